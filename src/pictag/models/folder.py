"""Models in a folder: the Hub's layout, the built-in models, and ``.onnx`` files with labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pictag.errors import InvalidModel, ModelFileMissing, OptionError, shorten
from pictag.models.external_data import check_external_data
from pictag.models.files import CONFIG, PREPROCESSOR, PROCESSOR, FileFact, ModelFiles, read_licence
from pictag.models.graph_file import read_graph_file
from pictag.models.options import LoadOptions
from pictag.models.weights import AUTO, Choice, choose_weights, dtype_of

LABELS = "labels.txt"
TAGS = "selected_tags.csv"  # see pictag.models.tagger
SETTINGS = "pictag.toml"
DESCRIPTIONS = (CONFIG, PREPROCESSOR, PROCESSOR, LABELS, TAGS, SETTINGS)


def embedded_folder() -> Path:
    """The folder of the model in the package."""
    return Path(__file__).with_name("embedded")


def find_folder(
    folder: Path, options: LoadOptions, *, name: str, files: Sequence[str] | None = None
) -> ModelFiles:
    """The files of a model in a folder, with the weights chosen and their external files checked.

    ``files`` are the only ones to use, by default all in the folder. Raises `ModelFileMissing`, which names
    the missing and the existing files, or `InvalidModel`.
    """
    if files is None:
        files = list_model_files(folder)
    is_described = any(known in files for known in (CONFIG, LABELS, TAGS))
    if not is_described and not any(file.endswith(".onnx") for file in files):
        raise _undescribed(folder, name, files)
    choice = choose_weights(
        files,
        model=name,
        dtype=options.dtype,
        model_file=options.model_file,
        device=options.device,
        engine=options.engine,
    )
    found = _collect(folder, choice, [known for known in DESCRIPTIONS if known in files])
    if not is_described and "names" not in found.graph.metadata:  # the labels, as Ultralytics writes them
        raise _undescribed(folder, name, files)
    return found


def _undescribed(folder: Path, name: str, files: Sequence[str]) -> ModelFileMissing:
    found = f"It contains: {shorten(', '.join(files), 300)}." if files else "The folder is empty."
    return ModelFileMissing(
        f"{shorten(name)} is not a model: it has neither {CONFIG} nor {LABELS}. {found}",
        filename=folder / CONFIG,
    )


def find_file(path: Path, options: LoadOptions) -> ModelFiles:
    """The files of a model that is given by its ``.onnx`` file.

    They are in the file's folder; for ``onnx/model.onnx`` in the Hub's layout, in the folder above.
    """
    if options.model_file is not None or options.dtype != AUTO:
        raise OptionError(f"{shorten(path)} already is the weights file. Leave out dtype and model_file.")
    folder, inside = path.parent, path.name
    above = folder.absolute().parent
    if not (folder / CONFIG).is_file() and not (folder / LABELS).is_file() and (above / CONFIG).is_file():
        inside = f"{folder.absolute().name}/{path.name}"
        folder = above
    choice = Choice(path=inside, dtype=dtype_of(inside), why="this file was requested")
    return _collect(folder, choice, [known for known in DESCRIPTIONS if (folder / known).is_file()])


def list_model_files(folder: Path) -> tuple[str, ...]:
    """The files in a model's folder and in its ``onnx`` folder, as paths with ``/``."""
    try:
        return tuple(
            path.relative_to(folder).as_posix()
            for place in (folder, folder / "onnx")
            if place.is_dir()
            for path in sorted(place.iterdir())
            if path.is_file()
        )
    except OSError as error:
        raise InvalidModel(f"The folder {shorten(folder)} could not be read: {error.strerror}.") from error


def _collect(folder: Path, choice: Choice, descriptions: Sequence[str]) -> ModelFiles:
    weights = folder / choice.path
    graph = read_graph_file(weights)
    external = check_external_data(weights, graph.external)
    beside = (path.relative_to(folder).as_posix() for path in external)
    names = [*descriptions, choice.path, *beside]
    return ModelFiles(
        folder=folder,
        choice=choice,
        graph=graph,
        files=tuple(FileFact(path=name, size=(folder / name).stat().st_size) for name in names),
        licence=read_licence(folder / "README.md"),
    )
