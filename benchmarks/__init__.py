"""Measured against the plainest correct code in one run; results stand beside the machine's name."""
