"""``pictag index``: index folders of photographs in the library of the gallery."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from pictag.cli.application import choose_model, collect_pipeline
from pictag.cli.destination import Destination
from pictag.cli.ending import Invocation, debug_option, say
from pictag.cli.library import LIBRARY, choose_library
from pictag.cli.options import ALPHA, DECODE, QUIET
from pictag.errors import shorten

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from pictag.gallery import Gallery
    from pictag.gallery.changes import Indexed
    from pictag.gallery.folders import FolderScan
    from pictag.gallery.index import IndexSummary
    from pictag.options import PipelineOptions
    from pictag.pipelines import ImageClassificationPipeline

EXAMPLES = """
Examples:

\b
  pictag index ~/Pictures
  pictag index                           update all folders of the library
  pictag index ~/Pictures --exclude screenshots --exclude '*.png'

Photographs are never changed. Files that are unchanged aren't read again. Hidden folders, @eaDir and
node_modules are skipped.

Exit status: 0 success, 1 some images failed, 2 wrong usage or no model, 74 the library can't be written, 130
interrupted (run it again to continue).
"""
_MODEL = click.option(
    "-m",
    "--model",
    metavar="MODEL",
    help="A model on the Hub (org/name, org/name@revision), a folder, an .onnx file, or a built-in model. "
    "[default: the library's own; for a new library PICTAG_MODEL, or efficientnet-lite0 if it is installed, "
    "or embedded]",
)
# Without the options that change pixels: all images of a library are decoded the same way.
model_options = collect_pipeline(_MODEL, without=(DECODE, ALPHA), embeddings=True)


@click.command(epilog=EXAMPLES, short_help="Index photographs, to search them and find duplicates.")
@click.argument("folders", nargs=-1, metavar="[FOLDER]...")
@LIBRARY
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Skip files and folders by name, or by path below FOLDER; may be repeated. The patterns are stored "
    "for these folders.",
)
@click.option("--retry-failed", is_flag=True, help="Try failed images again, even if they haven't changed.")
@model_options
@QUIET
@debug_option
@click.pass_obj
def index(
    invocation: Invocation,
    *,
    folders: tuple[str, ...],
    library: Path | None,
    exclude: tuple[str, ...],
    retry_failed: bool,
    options: PipelineOptions,
    quiet: bool,
) -> int:
    """Index the photographs in FOLDERs and their subfolders: read the files that have changed, and classify
    new images. Without FOLDER, update all folders of the library.
    """
    from pictag.gallery import Gallery
    from pictag.gallery.folders import FolderScan

    with Gallery.open(choose_library(library, invocation), create=bool(folders)) as gallery:
        scan = FolderScan(gallery.connection, folders, exclude=exclude)
        options = choose_options(gallery, options, invocation, quiet=quiet)
        return index_folders(gallery, scan, options, retry_failed=retry_failed, quiet=quiet)


def choose_options(
    gallery: Gallery, options: PipelineOptions, invocation: Invocation, *, quiet: bool
) -> PipelineOptions:
    """The options with a model: the library's own unless another is given."""
    own = gallery.model_options
    if options.model is not None or own is None:
        return choose_model(options, invocation, quiet=quiet)
    function = own.pop("function_to_apply")
    return replace(options, **own, scoring=replace(options.scoring, function_to_apply=function))


def index_folders(
    gallery: Gallery, scan: FolderScan, options: PipelineOptions, *, retry_failed: bool, quiet: bool
) -> int:
    """Index the folders, and return the exit status."""
    from pictag.cli.run import run_images
    from pictag.gallery.index import Indexer

    indexers: list[Indexer] = []
    former = gallery.model_name

    def open_sink(classifier: ImageClassificationPipeline[Any]) -> tuple[Indexer, None]:
        indexers.append(
            Indexer(gallery.connection, classifier, scan, path=gallery.path, retry_failed=retry_failed)
        )
        if indexers[0].replaces_model and not quiet:
            say(
                f"Model: {classifier.card.name} instead of {former}. The images of these folders get its "
                "labels; confirmed, rejected and added words stay."
            )
        return indexers[0], None

    def classify(
        _: ImageClassificationPipeline[Any], found: Iterable[Any], /, **_unused: object
    ) -> Generator[Indexed]:
        yield from indexers[0].stream(found)

    # The library is the destination; failures are named on stderr.
    destination = Destination(format="table", path=gallery.path)
    status = run_images(scan, options, destination, open_sink, quiet=quiet, classify=classify)
    summary = indexers[0].summary
    for folder, count in summary.kept.items():
        say(
            f"{shorten(folder)} can't be read or has no images (is its disk connected?). Its "
            f"{_count(count, 'image')} stay{'s' if count == 1 else ''} in the library. If deleted, run: "
            "pictag gallery remove FOLDER"
        )
    if not quiet:
        say(describe_summary(summary))
        if left := gallery.count_other_model():
            say(
                f"{_count(left, 'image')} of other folders have the labels of another model. To replace "
                "them, run pictag index without folders."
            )
    return status


def describe_summary(summary: IndexSummary) -> str:
    """What an index run did, in one sentence."""
    found = summary.unchanged + summary.known + summary.new + summary.failed
    parts = [f"{summary.new:,} new", f"{summary.unchanged:,} unchanged"]
    if summary.known:
        parts.append(f"{summary.known:,} moved, copied or edited")
    if summary.missing:
        parts.append(f"{summary.missing:,} gone")
    if summary.failed:
        parts.append(f"{summary.failed:,} failed")
    if summary.folders:
        parts.append(f"{_count(summary.folders, 'folder')} unreadable")
    sentence = f"{_count(found, 'image')}: {', '.join(parts)}."
    if summary.raw:
        sentence += f" {_count(summary.raw, 'camera RAW file')} without a JPEG skipped."
    return sentence


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
