"""Images behind URLs: fetched before they are let in, so that a slow host keeps no worker waiting."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from typing import TYPE_CHECKING

from pictag.errors import FetchTimeout
from pictag.images.fetch import fetch_bytes
from pictag.server.refusals import BadRequest, DeadlinePassed, Overloaded
from pictag.server.threads import ThreadRefused, run_in_thread

if TYPE_CHECKING:
    from pictag.images import FetchLimits

MOST_FETCHES = 16
"""At a time. Each may hold an image of ``max_bytes`` and a thread, for as long as a fetch may take."""
_MOST_WAITING = 256


class Fetcher:
    """Fetches a few URLs at a time; the others wait. ``limits`` of ``None`` refuse all."""

    def __init__(self, limits: FetchLimits | None) -> None:
        self._limits = limits
        self._places = asyncio.Semaphore(MOST_FETCHES)
        self._waiting = 0

    async def fetch(self, url: str, *, deadline_s: float) -> bytes:
        """The bytes behind a URL.

        Raises `BadRequest` where URLs are not read, `Overloaded`, `DeadlinePassed`, and errors of the
        ``FetchFailed`` branch.
        """
        if self._limits is None:
            raise BadRequest("This server reads no images from URLs; send the image itself.")
        await self._take_place(self._limits, deadline_s)
        timeout_s = min(self._limits.timeout_s, deadline_s - time.monotonic())
        if timeout_s <= 0:
            self._places.release()
            raise _too_late()
        limits = dataclasses.replace(self._limits, timeout_s=timeout_s)
        loop = asyncio.get_running_loop()

        def fetch() -> bytes:
            try:
                return fetch_bytes(url, limits=limits)
            finally:  # not when the client leaves: the thread is taken until then
                with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits for a place
                    loop.call_soon_threadsafe(self._places.release)

        try:
            return await run_in_thread(fetch, name="pictag-fetch")
        except ThreadRefused:
            self._places.release()
            raise
        except FetchTimeout as error:
            if timeout_s < self._limits.timeout_s:
                raise _too_late() from error
            raise

    async def _take_place(self, limits: FetchLimits, deadline_s: float) -> None:
        if self._waiting >= _MOST_WAITING:
            raise Overloaded(limits.timeout_s / 2, "Too many URLs are being read.", reason="urls")
        self._waiting += 1
        try:
            async with asyncio.timeout(deadline_s - time.monotonic()):
                await self._places.acquire()
        except TimeoutError as error:
            raise _too_late() from error
        finally:
            self._waiting -= 1


def _too_late() -> DeadlinePassed:
    return DeadlinePassed("The time allowed for the request was over before its URL was read.")
