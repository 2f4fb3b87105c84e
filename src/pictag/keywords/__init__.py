"""Keywords for photographs: broader concepts and labels, each with its score and the reason for it.

>>> from pictag import pipeline
>>> from pictag.keywords import Keyworder
>>> with pipeline(model="embedded") as classifier:
...     suggestions = Keyworder(classifier).suggest(["missing.jpg"])
>>> suggestions[0].error.kind
'ImageNotFound'
"""

from __future__ import annotations

from pictag.keywords.catalogue import Catalogue, CatalogueTerm, read_catalogue, write_catalogue
from pictag.keywords.cuts import Cuts, find_cuts
from pictag.keywords.suggest import (
    KeywordChooser,
    Keyworder,
    KeywordSuggestions,
    Suggestion,
    count_concepts,
)

__all__ = [
    "Catalogue",
    "CatalogueTerm",
    "Cuts",
    "KeywordChooser",
    "KeywordSuggestions",
    "Keyworder",
    "Suggestion",
    "count_concepts",
    "find_cuts",
    "read_catalogue",
    "write_catalogue",
]
