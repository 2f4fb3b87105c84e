"""Write the keywords of one photograph after another: as rows, into metadata, into an upload file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pictag.errors import PictagError
from pictag.keywords.rows import describe_row, encode_row, scan_rows
from pictag.keywords.suggest import KeywordSuggestions
from pictag.records import Failure, Prediction
from pictag.replacement import find_file, replace_file
from pictag.sinks.lines import open_lines
from pictag.sinks.resume import DoneSources
from pictag.sinks.rows import JsonRows
from pictag.sinks.run_record import check_record, check_record_path, read_record, write_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from pictag.keywords.suggest import Keyworder
    from pictag.keywords.upload import UploadFile
    from pictag.sinks.rows import Rows
    from pictag.sinks.run_record import RunRecord


class KeywordSink:
    """A sink of predictions made with ``all_scores=True``: turns them into keywords and writes these.

    ``store`` puts the keywords of one photograph into its metadata. If it fails, the photograph has failed:
    its row says why, and ``failures`` has it. ``upload`` collects the rows of an upload file.
    """

    def __init__(
        self,
        keyworder: Keyworder,
        rows: Rows[KeywordSuggestions],
        *,
        store: Callable[[KeywordSuggestions], object] | None = None,
        upload: UploadFile | None = None,
    ) -> None:
        self.failures: list[tuple[str, Failure]] = []
        self._keyworder = keyworder
        self._rows = rows
        self._store = store
        self._upload = upload

    def write(self, prediction: Prediction) -> None:
        """Write the keywords of one photograph."""
        suggestions = self._keyworder.convert(prediction)
        if suggestions.error is None and self._store is not None:
            try:
                self._store(suggestions)
            except PictagError as error:
                failure = Failure(kind=type(error).__name__, message=str(error))
                self.failures.append((suggestions.source, failure))
                suggestions = KeywordSuggestions(source=suggestions.source, error=failure)
        self._rows.write(suggestions)
        if self._upload is not None:
            self._upload.add(suggestions)

    def close(self) -> None:
        """Finish the rows and write the upload file."""
        try:
            self._rows.close()
        finally:
            if self._upload is not None:
                self._upload.close()


def store_in_sidecar(suggestions: KeywordSuggestions, name: Literal["full", "stem"] | None) -> None:
    """Write the keywords into the photograph's sidecar."""
    from pictag.metadata import Keyword, write_keywords

    write_keywords(suggestions.source, [Keyword(k.path) for k in suggestions.keywords], sidecar=name)


def embed(suggestions: KeywordSuggestions, *, backup: bool) -> None:
    """Write the keywords into the photograph itself, with ExifTool."""
    from pictag.metadata import Keyword, embed_keywords

    embed_keywords(suggestions.source, [Keyword(k.path) for k in suggestions.keywords], backup=backup)


def open_rows(path: Path, record: RunRecord) -> JsonRows[KeywordSuggestions]:
    """Start a file of rows, with the record of the model and options beside it."""
    check_record_path(path)
    rows = JsonRows(
        open_lines(path), describe_row
    )  # empties the file first, so that old rows never get the new record
    try:
        write_record(path, record)
    except BaseException:
        rows.close()
        raise
    return rows


def reopen_rows(
    path: Path, record: RunRecord, *, retry_failed: bool, seen: Callable[[KeywordSuggestions], None]
) -> tuple[JsonRows[KeywordSuggestions], DoneSources]:
    """Continue a file of rows; ``seen`` is called with each photograph that it already has.

    With ``retry_failed`` those that failed are first removed. Raises `pictag.errors.UnreadableResults` for a
    file that pictag has not written, and `OutputError` for one of another model or other options.
    """
    done = DoneSources()
    find_file(path, reason="so it can't be continued")
    if not path.exists() or not path.stat().st_size:
        return open_rows(path, record), done
    check_record(path, read_record(path, "jsonl"), record)
    with replace_file(path) as stream:  # by its rows without a torn last line
        for _, suggestions in scan_rows(path):
            if suggestions.error is not None and retry_failed:
                continue
            done.add(Prediction(source=suggestions.source, error=suggestions.error))
            seen(suggestions)
            stream.write(encode_row(suggestions).encode() + b"\n")
    done.sort()
    return JsonRows(open_lines(path, append=True), describe_row), done
