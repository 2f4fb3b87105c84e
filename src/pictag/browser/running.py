"""Running the page on this machine until Ctrl-C."""

from __future__ import annotations

import contextlib
import logging
import secrets
import signal
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import uvicorn

from pictag.browser.application import make_app
from pictag.browser.opened_library import OpenedLibrary
from pictag.errors import PictagError
from pictag.server.sockets import bind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOST = "127.0.0.1"
_FINISH_S = 2
_log = logging.getLogger("pictag.browser")


def browse(path: Path, *, port: int, announce: Callable[[str], object]) -> None:
    """Serve a library's page until Ctrl-C or SIGTERM; ``announce`` is called with its address.

    The address has a token, and is valid until the program ends. Raises an error of the `LibraryError`
    branch, or `OptionError` for a port that can't be used.
    """
    token = secrets.token_urlsafe(24)
    with closing(OpenedLibrary(path)) as library, closing(bind(HOST, port)) as listener:
        listener.listen()  # a browser that opens the address at once waits
        number = listener.getsockname()[1]
        server = LocalServer(make_app(library, token=token, port=number))
        warming = threading.Thread(target=_warm_up, args=(library,), name="warm up", daemon=True)
        warming.start()
        announce(f"http://{HOST}:{number}/?token={token}")
        server.run(sockets=[listener])
        warming.join()


class LocalServer(uvicorn.Server):
    """uvicorn's server without logs of its own, which ends by signals with no exception."""

    def __init__(self, app: object) -> None:
        super().__init__(
            uvicorn.Config(
                app,  # type: ignore[arg-type]  # any ASGI application
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_FINISH_S,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGINT and SIGTERM; uvicorn would raise them again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _warm_up(library: OpenedLibrary) -> None:
    try:
        library.warm_up()
    except PictagError as error:  # the page's first request will say so too
        _log.warning("%s", error)
