"""The page's routes: its files, its JSON, and its images."""

from __future__ import annotations

import mimetypes
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

from pictag import __version__
from pictag.browser.access import Guard
from pictag.browser.annotating import write_sidecars
from pictag.browser.answers import (
    answer_bug,
    answer_error,
    answer_jpeg,
    answer_json,
    answer_status,
    is_fresh,
    read_id,
    read_ids,
    read_text,
    receive,
)
from pictag.browser.completion import complete
from pictag.browser.duplicate_groups import DuplicateFinder
from pictag.browser.listing import describe_photo, list_photos
from pictag.browser.question import read_number, read_question
from pictag.browser.reviewing import Reviewer, check_verdict
from pictag.browser.shown_images import THUMBNAIL_SIZES, read_thumbnail, read_view
from pictag.errors import OptionError, PictagError
from pictag.gallery.query import parse
from pictag.server.web_page import PageFiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from pictag.browser.opened_library import OpenedLibrary, Result
    from pictag.browser.reviewing import Step

PAGE_PHOTOS: Final = 100
_MOST_SELECTED: Final = 5_000
_MOST_UPDATED: Final = 1_000  # photos in the response to a decision; the page asks again for more
_FOLDER = Path(__file__).parent / "page"


def make_app(library: OpenedLibrary, *, token: str, port: int) -> Starlette:
    """The application for a library that is opened; the caller closes it."""
    mimetypes.add_type("text/javascript", ".js")  # Windows may say text/plain, which browsers then refuse
    routes = _Routes(library)
    reading: dict[str, Callable[[Request], Response]] = {
        "/": routes.show_page,
        "/api/status": routes.status,
        "/api/search": routes.search,
        "/api/facets": routes.facets,
        "/api/results/{result}": routes.page,
        "/api/results/{result}/ids": routes.ids,
        "/api/complete": routes.complete,
        "/api/photos/{id:int}": routes.photo,
        "/api/duplicates": routes.duplicates,
        "/images/{id:int}/view": routes.view,
        "/images/{id:int}/areas": routes.areas,
        "/images/{id:int}/{size:int}": routes.thumbnail,
    }
    writing: dict[str, Callable[[dict[str, Any]], Any]] = {
        "/api/decisions": routes.decide,
        "/api/undo": routes.undo,
        "/api/rename": routes.rename,
        "/api/dismiss": routes.dismiss,
        "/api/sidecars": routes.write_sidecars,
    }
    return Starlette(
        routes=[
            *(Route(path, handler, methods=["GET"]) for path, handler in reading.items()),
            *(Route(path, partial(receive, handler), methods=["POST"]) for path, handler in writing.items()),
            Mount("/page", PageFiles(directory=_FOLDER)),
        ],
        middleware=[Middleware(Guard, token=token, port=port)],
        exception_handlers={
            PictagError: answer_error,
            HTTPException: answer_status,
            Exception: answer_bug,
        },
    )


class _Routes:
    """The handlers of one library's page. Starlette runs them in threads."""

    def __init__(self, library: OpenedLibrary) -> None:
        self._library = library
        self._duplicates = DuplicateFinder(library)
        self._reviewer = Reviewer(library, self._duplicates)
        self._html = (_FOLDER / "index.html").read_text(encoding="utf-8").replace("{version}", __version__)

    def show_page(self, _: Request) -> Response:
        return HTMLResponse(self._html)

    def status(self, _: Request) -> Response:
        with self._library.reading() as connection:
            folders, files, failed, model = connection.execute(
                "SELECT (SELECT count(*) FROM folders WHERE NOT is_mount), count(*), "
                "count(error), (SELECT name FROM models WHERE is_current) FROM files WHERE NOT is_missing"
            ).fetchone()
        return answer_json(
            {
                "library": str(self._library.path),
                "folders": folders,
                "files": files,
                "failed": failed,
                "model": model,
            }
        )

    def search(self, request: Request) -> Response:
        question = read_question(request.query_params.multi_items())
        result = self._library.search(question, is_fresh=is_fresh(request))
        return answer_json(
            {
                "result": result.id,
                "total": len(result.file_ids),
                "query": question.show(),
                "word": result.word,
                "photos": self._list(result, 0, PAGE_PHOTOS),
            }
        )

    def facets(self, request: Request) -> Response:
        question = read_question(request.query_params.multi_items())
        facets = self._library.count(question, is_fresh=is_fresh(request))
        return answer_json(
            {
                "total": facets.total,
                "facets": {
                    key: [{"value": entry.value, "count": entry.count} for entry in entries]
                    for key, entries in (
                        ("label", facets.labels),
                        ("date", facets.years),
                        ("type", facets.types),
                        ("is", facets.states),
                    )
                },
            }
        )

    def page(self, request: Request) -> Response:
        result = self._library.find_result(request.path_params["result"])
        if result is None:
            return answer_json({"message": "The result is too old. Search again."}, status=410)
        offset = int(read_number("offset", request.query_params.get("offset", "0")))
        limit = int(read_number("limit", request.query_params.get("limit", str(PAGE_PHOTOS))))
        return answer_json({"photos": self._list(result, offset, min(limit, 2 * PAGE_PHOTOS))})

    def ids(self, request: Request) -> Response:
        result = self._library.find_result(request.path_params["result"])
        return answer_json({"ids": [] if result is None else result.file_ids[:_MOST_SELECTED].tolist()})

    def _list(self, result: Result, offset: int, limit: int) -> list[dict[str, Any] | None]:
        """A page of a result; None for a photo that the library no longer has."""
        ids = result.file_ids[offset : offset + limit].tolist()
        scores = dict(zip(ids, result.scores[offset : offset + limit].tolist(), strict=True))
        with self._library.reading() as connection:
            found = list_photos(connection, ids, scores, word=result.word, blurred=result.question.blurred)
        photos = {photo["id"]: photo for photo in found}
        return [photos.get(file_id) for file_id in ids]

    def complete(self, request: Request) -> Response:
        text = request.query_params.get("text", "")[:10_000]
        place = int(read_number("place", request.query_params.get("place", str(len(text)))))
        with self._library.columns() as columns:
            return answer_json(complete(columns, text, min(place, len(text))))

    def photo(self, request: Request) -> Response:
        question = read_question(request.query_params.multi_items())
        with self._library.reading() as connection:
            terms = parse(question.show()).terms
            return answer_json(describe_photo(connection, read_id(request), terms))

    def thumbnail(self, request: Request) -> Response:
        size = request.path_params["size"]
        if size not in THUMBNAIL_SIZES:
            raise OptionError(f"Thumbnails have {' or '.join(map(str, THUMBNAIL_SIZES))} pixels.")
        return answer_jpeg(read_thumbnail(self._library, read_id(request), size))

    def view(self, request: Request) -> Response:
        return answer_jpeg(read_view(self._library, read_id(request)))

    def areas(self, request: Request) -> Response:
        word = read_text(request.query_params, "label")
        drawn = self._library.explainer.draw(self._library, read_id(request), word)
        return Response(drawn, media_type="image/png", headers={"Cache-Control": "no-store"})

    def duplicates(self, request: Request) -> Response:
        offset = int(read_number("offset", request.query_params.get("offset", "0")))
        return answer_json(self._duplicates.describe(offset=offset, limit=50))

    def decide(self, body: dict[str, Any]) -> Any:
        ids, word = read_ids(body), read_text(body, "word")
        return self._describe(self._reviewer.decide(ids, word, check_verdict(body.get("verdict"))), body)

    def undo(self, body: dict[str, Any]) -> Any:
        step = self._reviewer.undo()
        if step is None:
            return {"summary": "Nothing to undo", "images": 0, "photos": []}
        return self._describe(step, body, "Undone: ")

    def rename(self, body: dict[str, Any]) -> Any:
        return self._describe(self._reviewer.rename(read_text(body, "old"), read_text(body, "new")), body)

    def dismiss(self, body: dict[str, Any]) -> Any:
        return self._describe(self._reviewer.dismiss(read_ids(body)), body)

    def write_sidecars(self, body: dict[str, Any]) -> Any:
        return write_sidecars(self._library, read_ids(body))

    def _describe(self, step: Step, body: dict[str, Any], before: str = "") -> Any:
        """A step with its photos, as the result that the page shows has them."""
        result = self._library.find_result(str(body.get("result", "")))
        with self._library.reading() as connection:
            photos = list_photos(
                connection,
                step.file_ids[:_MOST_UPDATED],
                word=None if result is None else result.word,
                blurred=() if result is None else result.question.blurred,
            )
        return {"summary": before + step.summary, "images": step.change.images, "photos": photos}
