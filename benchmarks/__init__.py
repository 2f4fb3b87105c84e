"""Benchmarks: each prints its figure, its bar, and the baseline that was measured in the same run."""
