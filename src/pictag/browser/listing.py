"""What the page shows of photos, as JSON: a page of results, and one photo with all that is known of it."""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pictag.browser.question import HIDDEN_WORD, list_sought
from pictag.errors import ImageNotFound
from pictag.gallery.columns import MIN_SCORE
from pictag.gallery.full_text import path_text
from pictag.gallery.word_forms import find_words, list_forms, tokenize
from pictag.metadata.keywords import meaning

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pictag.gallery.query import Term

_LIKELY: Final = 0.5
_KEY_CHARACTERS: Final = 16  # of the pixels' hash, enough to tell images apart in addresses


def list_photos(
    connection: sqlite3.Connection,
    file_ids: Sequence[int],
    scores: Mapping[int, float] | None = None,
    *,
    word: str | None = None,
    blurred: Iterable[str] = (),
) -> list[dict[str, Any]]:
    """The photos in files, in their order; those that the library no longer has are left out.

    ``width`` and ``height`` are 0 for a file that couldn't be read. ``caption`` is the label to review:
    ``word`` if one is given, otherwise the narrowest likely one, with the model's score and what a person
    decided. ``words`` are those that people confirmed or added. ``blurred`` are labels of photos to blur.
    """
    unwanted = set(map(meaning, blurred))
    rows = connection.execute(
        "SELECT files.id, files.path, coalesce(error, ''), coalesce(width, 0), coalesce(height, 0), pixels "
        "FROM json_each(?) JOIN files ON files.id = value LEFT JOIN contents ON contents.id = content_id "
        "WHERE NOT is_missing ORDER BY json_each.key",
        (json.dumps(list(file_ids)),),
    ).fetchall()
    labels = _read_labels(connection, [row[0] for row in rows])
    found = []
    for file_id, path, error, width, height, pixels in rows:
        score = math.nan if scores is None else scores.get(file_id, math.nan)
        own = labels[file_id]
        found.append(
            {
                "id": file_id,
                "name": path_text(os.path.basename(path)),  # noqa: PTH119 - bytes
                "width": width,
                "height": height,
                "key": "" if pixels is None else pixels.hex()[:_KEY_CHARACTERS],
                "error": error,
                "score": None if math.isnan(score) else score,
                "caption": _choose_caption(own, word),
                "words": [
                    entry["word"]
                    for entry in own
                    if entry["verdict"] in ("confirmed", "added") and entry["word"] != HIDDEN_WORD
                ],
                "hidden": any(entry["word"] == HIDDEN_WORD for entry in own),
                "blurred": any(
                    entry["score"] >= MIN_SCORE
                    and not unwanted.isdisjoint(map(meaning, (entry["word"], *entry["synonyms"])))
                    for entry in own
                )
                if unwanted
                else False,
            }
        )
    return found


def describe_photo(
    connection: sqlite3.Connection, file_id: int, terms: Sequence[Term] = ()
) -> dict[str, Any]:
    """All that is known of a photo; ``matches`` says which parts of a query it has, and where.

    Raises `ImageNotFound`.
    """
    row = connection.execute(
        "SELECT path, files.size, taken, camera, has_gps, type, content_id, models.name FROM files "
        "LEFT JOIN contents ON contents.id = content_id LEFT JOIN models ON models.id = model_id "
        "WHERE files.id = ? AND NOT is_missing",
        (file_id,),
    ).fetchone()
    if row is None:
        raise ImageNotFound("The library no longer has this photo.")
    path, size, taken, camera, has_gps, type_, content_id, model = row
    (photo,) = list_photos(connection, [file_id])
    labels = [entry for entry in _read_labels(connection, [file_id])[file_id] if entry["word"] != HIDDEN_WORD]
    keywords = [
        word
        for (word,) in connection.execute(
            "SELECT word FROM keywords WHERE file_id = ? ORDER BY position", (file_id,)
        )
    ]
    rejected = {meaning(entry["word"]) for entry in labels if entry["verdict"] == "rejected"}
    copies = connection.execute(
        "SELECT path FROM files WHERE content_id = ? AND id <> ? AND NOT is_missing ORDER BY path LIMIT 20",
        (content_id, file_id),
    ).fetchall()
    kept = [word for word in keywords if meaning(word) not in rejected]
    return photo | {
        "path": path_text(path),
        "folder": path_text(os.path.dirname(path)),  # noqa: PTH120 - bytes
        "size": size,
        "taken": taken,
        "camera": camera,
        "has_gps": bool(has_gps),
        "type": type_,
        "model": model,
        "labels": labels,
        "keywords": kept,
        "copies": [path_text(copy) for (copy,) in copies],
        "matches": list(_explain(terms, labels, kept, path_text(path))),
    }


def _read_labels(connection: sqlite3.Connection, file_ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """The labels of files: those that people decided about first, then the best."""
    labels: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for file_id, word, synonyms, kind, score, model_score, verdict in connection.execute(
        "SELECT files.id, word, synonyms, kind, score, model_score, verdict FROM json_each(?) "
        "JOIN files ON files.id = value JOIN scores USING (content_id) JOIN terms ON terms.id = term_id "
        "ORDER BY verdict IS NULL, score DESC, terms.id",
        (json.dumps(list(file_ids)),),
    ):
        labels[file_id].append(
            {
                "word": word,
                "synonyms": _read_synonyms(synonyms),
                "kind": kind,
                "score": score,
                "model_score": model_score,
                "verdict": verdict,
            }
        )
    return labels


@cache
def _read_synonyms(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def _choose_caption(labels: Sequence[dict[str, Any]], word: str | None) -> dict[str, Any] | None:
    """The label that a photo is reviewed by; the model's score, so that it stays after a decision."""
    if word is not None:
        key = meaning(word)
        own = next((entry for entry in labels if meaning(entry["word"]) == key), None)
        return {
            "word": word,
            "score": None if own is None else own["model_score"],
            "verdict": None if own is None else own["verdict"],
        }
    rated = sorted(
        (entry for entry in labels if (entry["model_score"] or 0) >= MIN_SCORE),
        key=lambda entry: -entry["model_score"],
    )
    likely = [entry for entry in rated if entry["model_score"] >= _LIKELY]
    # A concept has at least the score of those below it, so the narrowest likely one is the last.
    chosen = [entry for entry in likely if entry["kind"] == "label"] or likely[-1:] or rated[:1]
    if not chosen:
        return None
    return {
        "word": chosen[0]["word"],
        "score": chosen[0]["model_score"],
        "verdict": chosen[0]["verdict"],
    }


def _explain(
    terms: Iterable[Term], labels: Sequence[dict[str, Any]], keywords: Iterable[str], path: str
) -> Iterator[dict[str, Any]]:
    """Where the words of a query are found in a photo."""
    names = {
        "keyword": [(word, word) for word in keywords],
        "label": [
            (name, entry["word"])
            for entry in labels
            if entry["score"] > 0
            for name in (entry["word"], *entry["synonyms"])
        ],
        "name": [(path, path)],
    }
    known = {entry["word"]: entry for entry in labels}
    for words, places in list_sought(terms):
        wanted = [list_forms(token) for token in tokenize(words.text)]
        for place in places:
            found = dict.fromkeys(
                shown
                for text, shown in names[place]
                if find_words(wanted, list(map(list_forms, tokenize(text))), is_prefix=words.is_prefix)
            )
            for shown in found:
                yield {"text": words.text, "in": place, "word": shown, **_rate(known.get(shown))}


def _rate(label: dict[str, Any] | None) -> dict[str, Any]:
    return {name: None if label is None else label[name] for name in ("score", "verdict")}
