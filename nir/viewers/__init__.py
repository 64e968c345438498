"""Viewers: fields made into what a browser draws without any network."""
