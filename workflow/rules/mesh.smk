# Surfaces of fields that have one.
