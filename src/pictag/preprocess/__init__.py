"""How a picture becomes what a model takes: steps as data, their execution, readers of configurations."""
