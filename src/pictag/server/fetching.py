"""Pictures behind URLs: fetched before they are let in, so that a slow host keeps no worker waiting."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import TYPE_CHECKING

from pictag.images.fetch import fetch_bytes
from pictag.server.refusals import BadRequest, DeadlinePassed, Overloaded
from pictag.server.threads import run_in_thread

if TYPE_CHECKING:
    from pictag.images import FetchLimits

MOST_FETCHES = 16
"""At a time. Each may hold a picture of ``max_bytes`` and a thread, for as long as a fetch may take."""


class Fetcher:
    """Fetches a few URLs at a time. ``limits`` of ``None`` refuse all."""

    def __init__(self, limits: FetchLimits | None) -> None:
        self._limits = limits
        self._places = threading.Semaphore(MOST_FETCHES)

    async def fetch(self, url: str, *, deadline_s: float) -> bytes:
        """The bytes behind a URL.

        Raises `BadRequest` where URLs are not read, `Overloaded`, `DeadlinePassed`, and errors of the
        ``FetchFailed`` branch.
        """
        if self._limits is None:
            raise BadRequest("This server reads no pictures from URLs; send the picture itself.")
        timeout_s = min(self._limits.timeout_s, deadline_s - time.monotonic())
        if timeout_s <= 0:
            raise DeadlinePassed("The time allowed for the request was over before its URL was read.")
        if not self._places.acquire(blocking=False):
            raise Overloaded(self._limits.timeout_s / 2, "Too many URLs are being read.", reason="fetch")
        limits = dataclasses.replace(self._limits, timeout_s=timeout_s)

        def fetch() -> bytes:
            try:
                return fetch_bytes(url, limits=limits)
            finally:  # not when the client leaves: the thread is taken until then
                self._places.release()

        return await run_in_thread(fetch, name="pictag-fetch")
