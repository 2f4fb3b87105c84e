r"""JSON Lines: one JSON object per image, one image per line, UTF-8; and a JSON array of the same objects.

    {"source": "tiger.jpg", "labels": [{"label": "tiger", "score": 0.93, "index": 292}, …]}
    {"source": "torn.jpg", "error": {"kind": "CorruptImage", "message": "…"}}

| key | value |
|---|---|
| ``source`` | the path or URL as it was given |
| ``labels`` | best first: ``label``, ``score`` (all digits), ``index`` in the model's output |
| ``error`` | instead of ``labels``: ``kind`` (a class of `pictag.errors`) and ``message`` |
| ``embedding`` | only if the prediction has one: a list of numbers, as short as float32 allows |

Bytes of a file name that aren't UTF-8 are written as JSON escapes, byte 0xE9 as ``\udce9``, just as Python
represents them: ``os.fsencode(json.loads(line)["source"])`` is the file's name. Control characters are
escaped, so a name can't end a line or control a terminal. A value that is not a number is ``null``; an
infinite one is ±3.4028235e+38, the largest float32.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from pictag.errors import UnreadableResults, shorten
from pictag.records import Failure, Label, Prediction
from pictag.sinks.embeddings import decode_embedding, encode_embedding
from pictag.sinks.escapes import SURROGATES, UNSAFE
from pictag.sinks.lines import FileName, read_results, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# JSON allows most of these unescaped, but they break lines, terminals or UTF-8.
_UNSAFE = re.compile(f"[{UNSAFE}{SURROGATES}]")

# Scores that JSON doesn't have. Within a string the quote before the colon would be escaped.
_NOT_FINITE = re.compile(r'(?<=[^\\]": )(?:NaN|-?Infinity)')
_REPLACEMENTS = {"NaN": "null", "Infinity": "3.4028235e+38", "-Infinity": "-3.4028235e+38"}
_BEGIN = b'{"source": '  # of each line
Row = TypeVar("Row")


def encode_json(prediction: Prediction) -> str:
    """The prediction as one line of JSON, without the line's end.

    >>> encode_json(Prediction(source="a.jpg", labels=(Label(label="cat", score=0.25, index=7),)))
    '{"source": "a.jpg", "labels": [{"label": "cat", "score": 0.25, "index": 7}]}'
    """
    entry: dict[str, Any] = {"source": prediction.source}
    if prediction.error is not None:
        entry["error"] = {"kind": prediction.error.kind, "message": prediction.error.message}
    else:
        entry["labels"] = [{"label": e.label, "score": e.score, "index": e.index} for e in prediction.labels]
    text = _NOT_FINITE.sub(lambda match: _REPLACEMENTS[match[0]], json.dumps(entry, ensure_ascii=False))
    text = _escape(text)
    if prediction.embedding is None:
        return text
    return f'{text[:-1]}, "embedding": {encode_embedding(prediction.embedding)}}}'


def encode_entry(entry: dict[str, Any]) -> str:
    """Any object as one line of JSON, without the line's end; names are written as `encode_json` does."""
    return _escape(json.dumps(entry, ensure_ascii=False))


def _escape(text: str) -> str:
    """JSON with escapes for the characters that break lines, terminals or UTF-8."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def decode_json(line: str | bytes) -> Prediction:
    """The prediction that `encode_json` was given; raises ``ValueError`` for anything else.

    >>> decode_json('{"source": "a.jpg", "error": {"kind": "NotAnImage", "message": "…"}}').error.kind
    'NotAnImage'
    """
    try:
        entry = json.loads(line)
        source = _expect(entry["source"], str)
        if "error" in entry:
            error = entry["error"]
            failure = Failure(kind=_expect(error["kind"], str), message=_expect(error["message"], str))
            return Prediction(source=source, error=failure)
        labels = tuple(
            Label(
                label=_expect(e["label"], str),
                score=math.nan if e["score"] is None else float(e["score"]),
                index=_expect(e["index"], int),
            )
            for e in entry["labels"]
        )
        embedding = decode_embedding(entry["embedding"]) if "embedding" in entry else None
        return Prediction(source=source, labels=labels, embedding=embedding)
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a prediction: {type(error).__name__} {error}") from error


def read_jsonl(path: FileName) -> Iterator[Prediction]:
    """The predictions of a file, one by one; a last line that was cut off by a crash is left out.

    Raises `UnreadableResults` naming the line that is not a prediction.
    """
    for _, prediction in scan_jsonl(path):
        yield prediction


def scan_jsonl(path: FileName) -> Iterator[tuple[int, Prediction]]:
    """Like `read_jsonl`, each with the number of bytes up to the end of its line."""
    return scan_lines(path, decode_json, what="a prediction")


def scan_lines(path: FileName, decode: Callable[[bytes], Row], *, what: str) -> Iterator[tuple[int, Row]]:
    """What ``decode`` makes of each line that begins with a source, and the bytes up to the end of the line.

    A last line that was cut off by a crash is left out. Raises `UnreadableResults`, which says that a line is
    not ``what``, if ``decode`` raises ``ValueError``.
    """
    end = 0
    with read_results(path) as stream:
        for number, line in enumerate(stream, start=1):
            end += len(line)
            if not line.strip():
                continue
            try:
                row = decode(line)
            except ValueError as error:
                if not line.endswith(b"\n") and line[: len(_BEGIN)] == _BEGIN[: len(line)]:
                    return
                raise UnreadableResults(
                    f"Line {number} of {shorten(path)} is not {what} in JSON: {shorten(error)}."
                ) from error
            yield end, row


class JsonlSink:
    """Writes JSON Lines to a binary stream; each line is in the stream when ``write`` returns."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, prediction: Prediction) -> None:
        """Write one line."""
        write_whole(self._stream, encode_json(prediction).encode() + b"\n")

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


class JsonArraySink:
    """Writes one JSON array to a binary stream, with one image per line. It ends when the sink is closed.

    >>> import io
    >>> stream = io.BytesIO()
    >>> sink = JsonArraySink(stream)
    >>> sink.write(Prediction(source="a.jpg"))
    >>> stream.getvalue()
    b'[\\n{"source": "a.jpg", "labels": []}'
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._separator = b"[\n"
        self._has_failed = False

    def write(self, prediction: Prediction) -> None:
        """Write one element."""
        try:
            write_whole(self._stream, self._separator + encode_json(prediction).encode())
        except OSError:
            self._has_failed = True
            raise
        self._separator = b",\n"

    def close(self) -> None:
        """End the array and close the stream."""
        if self._stream.closed:
            return
        try:
            write_whole(self._stream, b"[]\n" if self._separator == b"[\n" else b"\n]\n")
        except OSError:
            if not self._has_failed:
                raise
        finally:
            self._stream.close()


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not a {kind.__name__}")
    return value
