"""Measurement operators: what turns a field into predicted observations.

`calculus` differentiates fields by their coordinates (`jets` and `elementwise` are its engine);
the other modules hold one operator each.
"""
