"""Networks: what has weights. One file a family, each with its paper's initialisation."""
