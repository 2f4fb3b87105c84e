"""Engines run a model's graph: pixel values in, logits out."""
