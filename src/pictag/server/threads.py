"""Running slow work in threads that don't delay the end of the process."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from pictag.errors import EngineError, explain_shortage

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def run_in_thread(function: Callable[[], T], *, name: str) -> T:
    """The result of ``function``, called in a new daemon thread.

    `asyncio.to_thread` shares a few threads among all callers, and the process waits for them when it ends;
    downloading a model may take minutes. If the caller is cancelled, the thread continues and its result is
    dropped. Raises what the function raises, and `EngineError` if no thread can be started.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # from now on it can't be cancelled

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - raised in the caller; SystemExit would end its loop
            future.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))

    try:
        threading.Thread(target=work, daemon=True, name=name).start()
    except RuntimeError as error:
        raise EngineError(explain_shortage(error) or str(error)) from error
    return await asyncio.wrap_future(future)
