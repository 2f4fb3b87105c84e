"""The loss that training minimises."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from augment import Batch


def compute_loss(logits: Tensor, batch: Batch, smoothing: float) -> Tensor:
    """Cross entropy with smoothed labels, shared between the two classes of a mixed image."""
    own = functional.cross_entropy(logits, batch.labels, label_smoothing=smoothing, reduction="none")
    other = functional.cross_entropy(logits, batch.others, label_smoothing=smoothing, reduction="none")
    return (batch.share * own + (1 - batch.share) * other).mean()
