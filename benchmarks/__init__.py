"""Measured against the plainest correct code in one run, and on which machine."""
