"""How an image becomes what a model takes: steps as data, their execution, readers of configurations."""
