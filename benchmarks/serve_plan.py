"""What a generator is to send, when, and what is right as an answer."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

# What became of a request, where there is no HTTP status to tell.
LOST, LEFT, DOOR_CLOSED = 0, -1, -2
REFUSED, TOO_LATE = 429, 504
SAME = 1e-5  # scores that differ by no more are the same


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedImage:
    """A body to send, and what is right as its answer: one of ``statuses``, and these scores with a 200."""

    path: str
    statuses: tuple[int, ...] = (200,)
    scores: dict[str, float] | None = None

    def judge(self, status: int, body: bytes) -> tuple[str, float]:
        """What is wrong with an answer (``""``: nothing), and the largest difference between its scores."""
        name = Path(self.path).name
        if status not in self.statuses:
            return f"{name}: {status} {body[:200].decode(errors='replace')}", 0.0
        if status != 200 or self.scores is None:
            return "", 0.0
        try:
            found = {str(one["label"]): float(one["score"]) for one in json.loads(body)}
        except (ValueError, TypeError, KeyError):
            return f"{name}: no scores in {body[:200].decode(errors='replace')}", 0.0
        if list(found) != list(self.scores):
            return f"{name}: {list(found)}, not {list(self.scores)}", 0.0
        differences = [abs(found[label] - score) for label, score in self.scores.items()]
        if all(one <= SAME for one in differences):  # not a number is not the same
            return "", max(differences, default=0.0)
        return f"{name}: scores are {max(differences):.1e} away", max(differences)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is sent and when: ``rate`` requests a second, or (``None``) each connection as fast as it can.

    It ends after ``duration_s`` or ``count`` requests. ``leave_share`` of the clients close their connection
    up to ``leave_within_s`` after asking. ``is_even`` spaces requests evenly; otherwise they come by chance.
    Only where the server ``may_refuse`` is an answer 429 or 504 no fault; only where it ``may_close`` its
    door is a connection that is refused none, and that less was asked than ``count``.
    """

    port: int
    images: tuple[DecodedImage, ...]
    bad: tuple[DecodedImage, ...] = ()
    bad_share: float = 0.0
    rate: float | None = None
    is_even: bool = False
    duration_s: float = 60.0
    count: int | None = None
    connections: int = 32
    timeout_ms: int | None = None
    leave_share: float = 0.0
    leave_within_s: float = 0.5
    patience_s: float = 60.0
    seed: int = 5
    may_refuse: bool = False
    may_close: bool = False


def write_plan(plan: Plan) -> str:
    """The plan as text for the process that carries it out."""
    return json.dumps(asdict(plan))


def read_plan(text: str) -> Plan:
    """What `write_plan` wrote."""
    members = json.loads(text)
    for name in ("images", "bad"):
        members[name] = tuple(
            DecodedImage(**{**one, "statuses": tuple(one["statuses"])}) for one in members[name]
        )
    return Plan(**members)
