"""Work that may take minutes, in threads that do not hold up the end of the process."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class ThreadRefused(RuntimeError):
    """The system gives no thread now: nothing was begun."""


async def run_in_thread(function: Callable[[], T], *, name: str) -> T:
    """The function's result, from a thread of its own.

    ``asyncio.to_thread`` has few threads for everything, and the process waits for them when it ends; a model
    may take minutes to come from the Hub. Where the caller is cancelled, the thread goes on and its result is
    dropped. Raises `ThreadRefused`, and what the function raises.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(setter: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            setter(value)

    def work() -> None:
        try:
            arguments: tuple[Any, Any] = (future.set_result, function())
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits, who would wait for ever
            ended = error if isinstance(error, Exception) else RuntimeError(repr(error))
            arguments = (future.set_exception, ended)
        try:
            loop.call_soon_threadsafe(settle, *arguments)
        except RuntimeError:  # the loop has ended: nobody waits any more
            return

    try:
        threading.Thread(target=work, daemon=True, name=name).start()
    except RuntimeError as error:
        raise ThreadRefused(f"No thread could be started: {error}.") from error
    return await future
