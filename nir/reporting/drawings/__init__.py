"""Drawings: functions from results to a matplotlib figure, a module for each kind of picture."""
