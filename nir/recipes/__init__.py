"""Recipes: everything that decides what a run computes, as frozen dataclasses without torch.

A recipe's defaults are its paper's values, each with a comment that cites the source. A recipe
is known by the task's name in config.yaml (`nir.tasks.TASKS`).
"""
