"""What a Hub may answer while pictag asks: nothing leaves the cache, and no token leaves the Hub.

``huggingface_hub`` trusts the server that it is pointed at: it makes a file's path in the cache from the
headers of the reply. pictag may be pointed at any mirror, so the headers are checked before they are used.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import constants, get_session

from pictag.models.options import DownloadProgress, OnProgress

_ETAG = re.compile(r"[A-Za-z0-9_+=\-]{1,128}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class RefusedAnswer(Exception):
    """The Hub's answer contradicts what it said before, or leads out of the cache. Never leaves this room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the Hub stated of the file that is being fetched."""

    commit: str
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Conversation:
    expected: Expected | None


_conversation: ContextVar[_Conversation | None] = ContextVar("pictag_hub_conversation", default=None)


@contextmanager
def guarded(expected: Expected | None = None) -> Iterator[None]:
    """Check what the Hub answers within the block, and keep its library's warnings off the user's terminal.

    Hooks and a filter are put in place once; outside of such a block they do nothing, so other users of
    ``huggingface_hub`` in the same process are not affected.
    """
    hooks = get_session().event_hooks
    if _check_request not in hooks["request"]:
        hooks["request"].append(_check_request)
    if _check_response not in hooks["response"]:
        hooks["response"].append(_check_response)
    for handler in logging.getLogger("huggingface_hub").handlers:
        if _is_wanted not in handler.filters:
            handler.addFilter(_is_wanted)
    token = _conversation.set(_Conversation(expected=expected))
    try:
        yield
    finally:
        _conversation.reset(token)


def _is_wanted(record: logging.LogRecord) -> bool:
    # Retries and notices are told through our own errors; who has asked for more than warnings sees all.
    return (
        _conversation.get() is None
        or logging.getLogger("huggingface_hub").getEffectiveLevel() < logging.WARNING
    )


def _check_request(request: httpx2.Request) -> None:
    if (
        _conversation.get() is not None
        and "authorization" in request.headers
        and not is_hub(str(request.url))
    ):
        del request.headers["authorization"]


def is_hub(url: str) -> bool:
    """Whether an address belongs to the Hub in use, so that it may be sent the token."""
    parts = urlsplit(url)
    if (
        parts.scheme == "https"
        and parts.hostname in ("huggingface.co", "hf.co")
        and parts.port in (None, 443)
    ):
        return True
    return _origin(url) == _origin(constants.ENDPOINT)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _check_response(response: httpx2.Response) -> None:
    conversation = _conversation.get()
    if conversation is None or conversation.expected is None or response.request.method != "HEAD":
        return
    if response.status_code >= 400:
        return
    expected, headers = conversation.expected, response.headers
    etag = headers.get("X-Linked-Etag") or headers.get("ETag")
    if etag is not None and not _ETAG.fullmatch(etag.removeprefix("W/").strip('"')):
        raise RefusedAnswer("the ETag that it gives cannot be the name of a file in the cache")
    commit = headers.get("X-Repo-Commit")
    if commit is not None and commit != expected.commit:
        raise RefusedAnswer("it answers with another commit than the one that was asked for")
    size = headers.get("X-Linked-Size") or (None if response.is_redirect else headers.get("Content-Length"))
    if size is not None and expected.size is not None and size != str(expected.size):
        raise RefusedAnswer(f"it stated {expected.size} bytes before, and now offers {size[:20]}")
    refresh = headers.get("X-Xet-Refresh-Route") or response.links.get("xet-auth", {}).get("url")
    if refresh is not None and not is_hub(refresh):
        raise RefusedAnswer("it wants the token sent to another host")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who wants to know of one file's progress; ``failures`` is what they raised themselves."""

    file: str
    size: int | None
    on_progress: OnProgress | None
    failures: list[BaseException] = field(default_factory=list)


class DownloadMeter:
    """Stands where ``huggingface_hub`` expects a progress bar: tells of progress, prints nothing."""

    def __init__(self, watch: Watch, total: int | None, initial: int) -> None:
        self.total = watch.size if watch.size is not None else total
        self.n = initial
        # The names that the library's own bars have.
        self.format_dict: dict[str, object] = {}
        self._watch = watch
        self._report()

    def update(self, n: float | None = 1) -> None:
        """Count ``n`` more bytes, or fewer where a download starts over; too many are refused."""
        self.n += int(n or 0)
        if self._watch.size is not None and self.n > self._watch.size:
            raise RefusedAnswer(f"it stated {self._watch.size} bytes and sends more")
        self._report()

    def _report(self) -> None:
        watch = self._watch
        if watch.on_progress is None:
            return
        try:
            watch.on_progress(DownloadProgress(file=watch.file, received=self.n, total=self.total))
        except BaseException as error:
            watch.failures.append(error)
            raise

    def update_transfer(self, n: float | None = 1) -> None:
        """Bytes on the wire, which differ from the file's where chunks are reused: not shown."""

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """A bar's text: not shown."""

    def set_transfer_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """A bar's text: not shown."""

    def refresh(self) -> None:
        """Nothing is drawn."""

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> DownloadMeter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def is_commit(text: object) -> bool:
    """Whether a text is a whole commit hash."""
    return isinstance(text, str) and _COMMIT.fullmatch(text) is not None


def make_meter_class(watch: Watch) -> Callable[..., DownloadMeter]:
    """A class of meters for one file, as ``huggingface_hub`` wants a class and gives it its own arguments."""

    class Meter(DownloadMeter):
        def __init__(
            self,
            *,
            total: int | None = None,
            initial: int = 0,
            desc: str | None = None,
            unit: str = "B",
            unit_scale: bool = True,
            position: int | None = None,
            bar_format: str | None = None,
            leave: bool = True,
        ) -> None:
            super().__init__(watch, total, initial)

    return Meter
