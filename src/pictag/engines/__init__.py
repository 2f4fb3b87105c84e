"""Engines run a model's graph: pixel values in, logits out."""

from __future__ import annotations

import os

# ONNX Runtime's builds send usage data to Microsoft, with an identifier that they keep in the home folder.
# This variable is read when the package is first imported. A value that is already set is kept.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
