"""What a load generator sends, when, and which responses are correct."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

# Outcomes of a request without an HTTP status.
LOST, LEFT, CONNECTION_REFUSED = 0, -1, -2
REFUSED, TOO_LATE = 429, 504
SAME = 1e-5  # maximum difference between equal scores


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestImage:
    """A body to send, with the accepted response: one of ``statuses``, and these scores for a 200."""

    path: str
    statuses: tuple[int, ...] = (200,)
    scores: dict[str, float] | None = None

    def check(self, status: int, body: bytes) -> tuple[str, float]:
        """What is wrong with a response (``""``: nothing), and the largest difference of a score."""
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
        if all(one <= SAME for one in differences):  # false for NaN
            return "", max(differences, default=0.0)
        return f"{name}: scores are {max(differences):.1e} away", max(differences)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is sent and when: ``rate`` requests per second, or (``None``) as fast as each connection allows.

    The load ends after ``duration_s`` or ``count`` requests. ``leave_share`` of the clients disconnect up to
    ``leave_within_s`` after sending. Requests are evenly spaced if ``is_even``, otherwise random (Poisson).
    Responses 429 and 504 are faults unless ``may_refuse``. Refused connections, and fewer requests than
    ``count``, are faults unless ``may_close``.
    """

    port: int
    images: tuple[RequestImage, ...]
    bad: tuple[RequestImage, ...] = ()
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
    """The plan as text for the load generator's process."""
    return json.dumps(asdict(plan))


def read_plan(text: str) -> Plan:
    """Read the output of `write_plan`."""
    members = json.loads(text)
    for name in ("images", "bad"):
        members[name] = tuple(
            RequestImage(**{**one, "statuses": tuple(one["statuses"])}) for one in members[name]
        )
    return Plan(**members)
