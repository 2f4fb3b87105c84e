"""Which areas of a photo changed the score of one of its labels, by the model that gave it."""

from __future__ import annotations

import io
import json
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pictag.browser.shown_images import locate
from pictag.errors import OptionError, PictagError, PipelineClosed, shorten
from pictag.explanation import MAX_EDGE, draw_heat
from pictag.gallery.scoring import describe_model
from pictag.metadata.keywords import meaning
from pictag.pipelines import pipeline
from pictag.vocabulary import match_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pictag.browser.opened_library import OpenedLibrary
    from pictag.pipelines import ImageClassificationPipeline

_EDGES: Final = (640, 1280)  # of the longer side


class ExplanationBusy(PictagError):
    """Another explanation is being computed."""


class Explainer:
    """Explanations, one at a time. The model is opened for the first one and stays open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_closing = False
        self._identity = ""  # of the model that is open
        self._classifier: ImageClassificationPipeline[Any] | None = None
        self._labels: Mapping[str, list[int]] = {}

    def draw(self, library: OpenedLibrary, file_id: int, word: str) -> bytes:
        """A PNG of a photo with the areas that changed a label's score, in the photo's shape.

        Raises `ExplanationBusy`, `OptionError` for a word that isn't one of the model's labels, what
        `pictag.browser.shown_images.locate` raises, and the errors of the image and the model.
        """
        with library.reading() as connection:
            name = locate(connection, file_id)
            model = connection.execute(
                "SELECT identity, models.name, options FROM files JOIN contents ON contents.id = content_id "
                "JOIN models ON models.id = model_id WHERE files.id = ?",
                (file_id,),
            ).fetchone()
        if model is None:
            raise OptionError("This photo has no scores. Index it again: pictag index")
        if not self._lock.acquire(blocking=False):
            raise ExplanationBusy("Another explanation is being computed. Try again in a moment.")
        try:
            classifier = self._open(*model)
            index = self._find_label(word, model[1])
            found = classifier.map_score(Path(name), index, max_edge=MAX_EDGE, on_progress=self._check_open)
        finally:
            self._lock.release()
        stream = io.BytesIO()
        draw_heat(found, _EDGES).save(stream, "PNG")
        return stream.getvalue()

    def close(self) -> None:
        """End an explanation that is being computed, and close the model."""
        self._is_closing = True
        with self._lock:
            if self._classifier is not None:
                self._classifier.close()

    def _open(self, identity: str, name: str, options: str) -> ImageClassificationPipeline[Any]:
        self._check_open()
        if self._classifier is not None and self._identity == identity:
            return self._classifier
        classifier = pipeline(**json.loads(options), embeddings=True)
        if describe_model(classifier).identity != identity:
            classifier.close()
            raise OptionError(
                f"The model {shorten(name)} has changed since this photo was indexed. Index it again: "
                "pictag index"
            )
        if self._classifier is not None:
            self._classifier.close()
        concepts = match_labels(classifier.model.labels, classifier.model.config_json.get("wordnet_ids", ()))
        labels = defaultdict(list)
        for index, concept in enumerate(concepts.labels):
            if concept is not None:
                labels[meaning(concept.word)].append(index)
        self._classifier, self._identity, self._labels = classifier, identity, labels
        return classifier

    def _find_label(self, word: str, model: str) -> int:
        indices = self._labels.get(meaning(word), [])
        if len(indices) != 1:
            found = "several labels" if indices else "no label"
            raise OptionError(f"The model {shorten(model)} has {found} with the name {shorten(repr(word))}.")
        return indices[0]

    def _check_open(self, _done: int = 0, _total: int = 0) -> None:
        if self._is_closing:
            raise PipelineClosed("pictag browse is ending.")
