"""Measure a model on this machine: images per second, latency, memory and start time."""

from pictag.benchmark.measurement import measure

__all__ = ["measure"]
