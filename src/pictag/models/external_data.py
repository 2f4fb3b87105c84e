"""The files beside an ``.onnx`` file that its weights lie in: which they are, and that they stay inside.

A graph may name any file on the machine as its weights. Names that are absolute, go up with ``..`` or lead
out through a link are refused by name, before an engine opens anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pictag.errors import InvalidModel, ModelFileMissing, shorten
from pictag.models.weights import is_inside


def resolve_in_model(weights: str, locations: Iterable[str]) -> tuple[str, ...]:
    """The paths inside the model of the files that the graph in ``weights`` names.

    >>> resolve_in_model("onnx/model.onnx", ["model.onnx_data"])
    ('onnx/model.onnx_data',)
    """
    folder = PurePosixPath(weights).parent
    return tuple(str(folder / _check_name(location, weights)) for location in locations)


def check_external_data(weights: Path, locations: Iterable[str]) -> tuple[Path, ...]:
    """The files that the graph in ``weights`` names, each present and inside the model's folder.

    The Hub's cache keeps every file as a link into one folder of blobs; so a file counts as inside when it
    lies beside the link or beside what the link leads to, which is also ONNX Runtime's rule. Raises
    `InvalidModel` for a name that leads out and `ModelFileMissing` for one that leads nowhere.
    """
    inside = {weights.parent.resolve(), weights.resolve().parent}
    found = []
    for location in locations:
        path = weights.parent / _check_name(location, str(weights))
        target = path.resolve()
        if not any(target.is_relative_to(folder) for folder in inside):
            raise InvalidModel(
                f"{shorten(weights)} keeps weights in {shorten(location)!r}, a link that leads out of the "
                "model. "
                "It is refused; put the file itself beside the model."
            )
        if not target.is_file():
            raise ModelFileMissing(
                f"{shorten(weights)} keeps weights in {shorten(location)!r}, and that file is not beside it."
            )
        found.append(path)
    return tuple(found)


def _check_name(location: str, weights: str) -> str:
    name = location.removeprefix("./")
    if not is_inside(name) or any(ord(c) < 32 for c in name):
        raise InvalidModel(
            f"{shorten(weights)} keeps weights in {shorten(location)!r}, which leads out of the model. It "
            "is refused."
        )
    return name
