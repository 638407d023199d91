"""How a dataset version becomes a model (nothing here yet: `train` arrives with its first model)."""
