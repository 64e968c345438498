"""Measurement operators: what turns a field into predicted observations.

`calculus` differentiates fields by their coordinates (its engine: `elementwise`, `sweeps`, `jets`,
`jet_rules`); the other modules hold one operator each.
"""
