"""The loop of the commands for images: listing ahead."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from pictag.cli.run import Listing
from pictag.errors import ImageUnreadable
from pictag.images import make_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pictag.images import Source

SOURCES = [make_source(f"{number}.jpg") for number in range(3)]


def test_the_total_is_known_before_the_last_source_is_used() -> None:
    listed = threading.Event()

    def give() -> Iterator[Source]:
        yield from SOURCES
        listed.set()

    listing = Listing(give(), ahead=10)
    sources = iter(listing)
    first = next(sources)
    assert listed.wait(10)
    assert [first, *sources] == SOURCES
    assert listing.total == 3


def test_without_listing_ahead_the_total_stays_unknown() -> None:
    listing = Listing(iter(SOURCES), ahead=0)
    assert list(listing) == SOURCES
    assert listing.total is None


def test_an_error_while_listing_is_raised_after_the_sources_before_it() -> None:
    def give() -> Iterator[Source]:
        yield SOURCES[0]
        raise ImageUnreadable("The list can't be read.")

    sources = iter(Listing(give(), ahead=10))
    assert next(sources) == SOURCES[0]
    with pytest.raises(ImageUnreadable):
        next(sources)
