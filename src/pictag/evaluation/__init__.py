"""How good is a model on these images, and which threshold should one use?

>>> from pictag.evaluation import estimate_share
>>> estimate_share(45, 50).value
0.9
"""

from __future__ import annotations

from pictag.evaluation.estimates import Estimate, estimate_share
from pictag.evaluation.labelled import LabelledData, LabelledImage, read_labelled

__all__ = ["Estimate", "LabelledData", "LabelledImage", "estimate_share", "read_labelled"]
