"""What a machine makes of a model: rates, latencies, memory, and how far that is from what it could do."""

from pictag.benchmark.measurement import measure

__all__ = ["measure"]
