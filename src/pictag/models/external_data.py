"""External data: weights in files beside the ``.onnx`` file.

A malicious graph could name any file on the machine. Absolute names, names with ``..`` and links out of the
model's folder are therefore rejected before an engine opens anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pictag.errors import InvalidModel, ModelFileMissing, shorten
from pictag.models.weights import is_inside
from pictag.substitutes import HEAD_BYTES, explain_substitute


def resolve_in_model(weights: str, locations: Iterable[str]) -> tuple[str, ...]:
    """The paths in the model of the files that the graph in ``weights`` names.

    >>> resolve_in_model("onnx/model.onnx", ["model.onnx_data"])
    ('onnx/model.onnx_data',)
    """
    folder = PurePosixPath(weights).parent
    return tuple(str(folder / _check_name(location, weights)) for location in locations)


def check_external_data(weights: Path, locations: Iterable[str]) -> tuple[Path, ...]:
    """The files that the graph in ``weights`` names, if all of them exist inside the model's folder.

    The Hub's cache stores every file as a link into a folder of blobs, so a file may be beside the link or
    beside its target; ONNX Runtime has the same rule. Raises `InvalidModel` for a file outside of the folder
    and `ModelFileMissing` for one that doesn't exist.
    """
    inside = {weights.parent.resolve(), weights.resolve().parent}
    found = []
    for location in locations:
        path = weights.parent / _check_name(location, str(weights))
        target = path.resolve()
        if not any(target.is_relative_to(folder) for folder in inside):
            raise InvalidModel(
                f"{shorten(weights)} stores weights in {shorten(location)!r}, a link to a file outside of "
                "the model's folder. Put the file itself beside the model."
            )
        if not target.is_file():
            raise ModelFileMissing(
                f"{shorten(weights)} stores weights in {shorten(location)!r}, but that file is not "
                "beside it.",
                filename=path,
            )
        with path.open("rb") as file:
            substitute = explain_substitute(file.read(HEAD_BYTES))
        if substitute:
            raise InvalidModel(f"{shorten(path)}, with weights of {shorten(weights.name)}, is {substitute}.")
        found.append(path)
    return tuple(found)


def _check_name(location: str, weights: str) -> str:
    name = location.removeprefix("./")
    if not is_inside(name) or any(ord(c) < 32 for c in name):
        raise InvalidModel(
            f"{shorten(weights)} stores weights in {shorten(location)!r}, outside of the model's folder."
        )
    return name
