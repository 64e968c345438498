"""Runs made of what other programs trained: their weights, carried into ours and checked."""
