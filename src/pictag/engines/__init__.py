"""Engines run a model's graph: pixel values in, logits out."""

from __future__ import annotations

import os

# ONNX Runtime's builds report their use to their maker, under an identifier that they keep in the home
# folder. The variable is read when the package is first imported; whoever set it has made their own choice.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
