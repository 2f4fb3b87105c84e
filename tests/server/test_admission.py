"""Admission control without workers: limits, estimates, and the time to retry after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pictag.errors import CorruptImage
from pictag.execution import Outcome, Timing
from pictag.server.admission import Admission, Cost
from pictag.server.http_errors import Overloaded
from pictag.server.settings import ServerSettings
from recording import serve_recorder
from tinymodel import make_tiny_model

if TYPE_CHECKING:
    from pictag.server.served_model import ServedModel

NO_COST = Cost(size_bytes=0, pixels=0, seconds=0.0)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    return serve_recorder(make_tiny_model(tmp_path_factory.mktemp("tiny")))


def learn(
    admission: Admission,
    served: ServedModel,
    *,
    cost: Cost = NO_COST,
    error: Exception | None = None,
    **seconds: float,
) -> None:
    admission.learn(served, cost, Outcome(source="", error=error, timing=Timing(**seconds)))


def admit(admission: Admission, served: ServedModel, *, left_s: float = 10.0, **size: int) -> Cost:
    return admission.admit(served, **{"size_bytes": 0, "pixels": 0, **size}, left_s=left_s)


def test_an_image_of_any_size_is_admitted_if_nothing_else_is_under_way(served: ServedModel) -> None:
    admission = Admission(ServerSettings(max_queued_bytes=10, max_queued_pixels=10), workers=1)
    admission.leave(admit(admission, served, size_bytes=100, pixels=100))
    admit(admission, served, size_bytes=100, pixels=100)


def test_the_estimated_wait_is_the_average_time_of_all_images_divided_by_the_workers(
    served: ServedModel,
) -> None:
    admission = Admission(ServerSettings(), workers=2)
    learn(admission, served, run_s=1.0)
    for waiting in range(4):
        assert admission.predicted_wait_s == pytest.approx(waiting / 2)
        admit(admission, served)
    learn(admission, served, run_s=2.0)  # one measurement moves the average by a tenth
    admit(admission, served)
    assert admission.predicted_wait_s == pytest.approx((4 + 1.1) / 2)


def test_retry_after_is_when_the_image_would_meet_its_deadline(served: ServedModel) -> None:
    admission = Admission(ServerSettings(), workers=1)
    learn(admission, served, run_s=1.0)
    for _ in range(7):
        admit(admission, served)
    with pytest.raises(Overloaded) as refused:
        admit(admission, served, left_s=5.0)
    assert refused.value.reason == "wait"
    assert refused.value.retry_after_s == pytest.approx(1.25 * 8 - 5)


def test_larger_images_are_expected_to_take_longer(served: ServedModel) -> None:
    admission = Admission(ServerSettings(), workers=1)
    cost = Cost(size_bytes=0, pixels=1_000_000, seconds=0.0)
    learn(admission, served, cost=cost, decode_s=0.1)
    small, large = (admit(admission, served, pixels=pixels).seconds for pixels in (1_000_000, 10_000_000))
    assert small == pytest.approx(0.1)
    assert large > 5 * small


def test_failed_images_do_not_change_the_estimate(served: ServedModel) -> None:
    admission = Admission(ServerSettings(), workers=1)
    cost = Cost(size_bytes=0, pixels=50_000_000, seconds=0.0)
    learn(admission, served, cost=cost, error=CorruptImage("cut off"), decode_s=1e-5)
    assert admit(admission, served, pixels=1_000_000).seconds == 0.0


def test_an_image_that_has_not_arrived_is_expected_to_take_the_average_time(served: ServedModel) -> None:
    admission = Admission(ServerSettings(), workers=1)
    admission.check_room(served, size_bytes=10**6, left_s=0.001)  # no measurements yet
    learn(admission, served, run_s=1.0)
    for _ in range(7):
        admit(admission, served, size_bytes=1000)
    admission.check_room(served, size_bytes=1000, left_s=10.1)
    with pytest.raises(Overloaded) as refused:
        admission.check_room(served, size_bytes=1000, left_s=9.9)
    assert refused.value.reason == "wait"
    assert refused.value.retry_after_s == pytest.approx(1.25 * 8 - 9.9)
    assert admission.count == 7


def test_a_small_image_that_has_not_arrived_is_expected_to_take_less(served: ServedModel) -> None:
    admission = Admission(ServerSettings(), workers=1)
    learn(admission, served, run_s=1.0)
    admit(admission, served, size_bytes=1_000_000)
    with pytest.raises(Overloaded):
        admission.check_room(served, size_bytes=250_000, left_s=2.0)
    admission.check_room(served, size_bytes=2500, left_s=2.0)


def test_limits_apply_to_images_that_have_not_arrived(served: ServedModel) -> None:
    admission = Admission(ServerSettings(max_queue=2, max_queued_bytes=200), workers=1)
    admission.check_room(served, size_bytes=300, left_s=1.0)  # nothing else is under way
    admit(admission, served, size_bytes=100)
    admission.check_room(served, size_bytes=100, left_s=1.0)
    with pytest.raises(Overloaded, match="bytes"):
        admission.check_room(served, size_bytes=101, left_s=1.0)
    admit(admission, served, size_bytes=100)
    with pytest.raises(Overloaded, match="Too many images"):
        admission.check_room(served, size_bytes=0, left_s=1.0)
