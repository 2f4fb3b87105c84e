"""Preprocessing: steps as data, their execution, and readers of configurations."""
