"""Downloading images from URLs before admission, so that a slow host doesn't block a worker."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from functools import partial
from typing import TYPE_CHECKING

from pictag.errors import DeadlineExceeded, FetchTimeout
from pictag.images.fetch import fetch_bytes
from pictag.server.http_errors import BadRequest, Overloaded
from pictag.server.threads import run_in_thread

if TYPE_CHECKING:
    from pictag.images import FetchLimits

MAX_FETCHES = 16
"""At a time. Each may take a thread and an image of ``max_bytes`` for as long as a fetch may take."""
_MAX_WAITING = 256
_SHORTEST_S = 0.001  # a timeout must be positive


class Fetcher:
    """Downloads a few URLs at a time; the others wait. With ``limits=None`` all URLs are rejected."""

    def __init__(self, limits: FetchLimits | None) -> None:
        self._limits = limits
        self._slots = asyncio.Semaphore(MAX_FETCHES)
        self._waiting = 0

    async def fetch(self, url: str, *, deadline_s: float) -> bytes:
        """The bytes behind a URL.

        Raises `BadRequest` if URLs are disabled, `Overloaded`, `DeadlineExceeded`, and errors of the
        ``FetchFailed`` branch.
        """
        if self._limits is None:
            raise BadRequest(
                "This server doesn't fetch images from URLs. Send the image itself in base64, or start the "
                "server with --allow-urls."
            )
        if deadline_s <= time.monotonic():
            raise _too_late()
        await self._acquire_slot(self._limits, deadline_s)
        timeout_s = max(_SHORTEST_S, min(self._limits.timeout_s, deadline_s - time.monotonic()))
        limits = dataclasses.replace(self._limits, timeout_s=timeout_s)
        task = asyncio.create_task(
            run_in_thread(partial(fetch_bytes, url, limits=limits), name="pictag-fetch")
        )
        task.add_done_callback(lambda _: self._slots.release())
        try:
            # If the client leaves, the thread still runs to its end and keeps the slot until then.
            return await asyncio.shield(task)
        except FetchTimeout as error:
            if timeout_s < self._limits.timeout_s:
                raise _too_late() from error
            raise

    async def _acquire_slot(self, limits: FetchLimits, deadline_s: float) -> None:
        if self._waiting >= _MAX_WAITING:
            raise Overloaded(limits.timeout_s / 2, "Too many URLs are waiting.", reason="urls")
        self._waiting += 1
        try:
            async with asyncio.timeout(deadline_s - time.monotonic()):
                await self._slots.acquire()
        except TimeoutError as error:
            raise _too_late() from error
        finally:
            self._waiting -= 1


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("The request's deadline passed before its URL was read.")
