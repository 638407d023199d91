"""How a dataset version becomes a model that one can defend: data, models, the loop, evaluation, explanation."""
