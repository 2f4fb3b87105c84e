"""Benchmarks: each prints a figure, its target, and a baseline from the same run."""
