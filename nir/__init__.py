"""Neural implicit representations: fields, measurement operators, training, evaluation."""

__version__ = "0.1.0"
