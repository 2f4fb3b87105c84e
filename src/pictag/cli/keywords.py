"""``pictag keywords``: suggest keywords, and write them where other programs read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pictag.cli.application import application_pipeline, choose_model
from pictag.cli.destination import choose_destination
from pictag.cli.ending import SOME_FAILED, Invocation, debug_option, say
from pictag.cli.inputs import Inputs
from pictag.cli.keyword_options import Wishes, input_names, row_options, wish_options
from pictag.cli.options import QUIET
from pictag.errors import OutputError, shorten

if TYPE_CHECKING:
    from collections.abc import Callable

    from pictag.cli.destination import Destination
    from pictag.keywords import Keyworder, KeywordSuggestions
    from pictag.keywords.sink import KeywordSink
    from pictag.keywords.upload import UploadFile
    from pictag.options import PipelineOptions
    from pictag.pipelines import ImageClassificationPipeline
    from pictag.sinks.resume import DoneSources
    from pictag.sinks.rows import Rows

_MOST_NAMED = 20  # photographs that failed
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


@click.command(epilog=EXAMPLES, short_help="Suggest keywords for photographs.")
@input_names
@wish_options
@click.option("--undo", is_flag=True, help="Remove the keywords that pictag wrote into sidecars and images.")
@click.option(
    "--export-vocabulary", is_flag=True, help="Print pictag's own vocabulary as a keyword catalogue."
)
@row_options
@application_pipeline
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
    replaces_csv: bool = rows["overwrite"] or rows["resume"]
    if wishes.csv is not None and wishes.csv.exists() and not replaces_csv:
        raise OutputError(f"{shorten(wishes.csv)} already exists. Use --overwrite to replace it.")
    if wishes.csv is not None and rows["output"] is None:
        rows |= {"overwrite": False}  # --overwrite applies to --csv
    destination = choose_rows(rows)
    options = choose_model(options, invocation, quiet=quiet)
    return suggest_keywords(inputs, options, destination, wishes, replaces_csv=replaces_csv, quiet=quiet)


def choose_rows(given: dict[str, Any]) -> Destination:
    """Where the list of keywords goes; raises a usage error for a format that keywords don't have."""
    destination = choose_destination(**given)
    if destination.format not in ("table", "jsonl"):
        raise click.UsageError(
            "Keywords are listed as a table or as JSON Lines. For an agency's CSV file use --csv FILE."
        )
    return destination


def suggest_keywords(
    inputs: Inputs,
    options: PipelineOptions,
    destination: Destination,
    wishes: Wishes,
    *,
    replaces_csv: bool,
    quiet: bool,
) -> int:
    """Suggest keywords for all inputs, write them, and return the exit status."""
    from pictag.cli.report import describe_failure
    from pictag.cli.run import run_images
    from pictag.keywords import Keyworder
    from pictag.keywords.presets import GENERIC, find_preset
    from pictag.keywords.sink import KeywordSink
    from pictag.keywords.upload import UploadFile

    preset = find_preset(wishes.preset or GENERIC)
    warnings: list[str] = []
    sinks: list[KeywordSink] = []
    upload = None
    if wishes.csv is not None or wishes.preset is not None:
        if wishes.csv is not None and preset.note:
            warnings.append(f"{preset.title}: {preset.note}.")
        upload = UploadFile(
            wishes.csv,
            preset,
            warn=warnings.append,
            title_from=wishes.title_from,
            overwrite=replaces_csv,
            dry_run=wishes.dry_run,
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
                f"The minimum scores for this model weren't measured (label {keyworder.cuts.label}, concept "
                f"{keyworder.cuts.concept}). Set your own with --min-score."
            )
        rows, done = open_rows_for(destination, classifier, wishes, keyworder, upload)
        sinks.append(KeywordSink(keyworder, rows, store=choose_store(wishes), upload=upload))
        return sinks[0], done

    status = run_images(inputs, options, destination, open_sink, quiet=quiet)
    failures = [failure for sink in sinks for failure in sink.failures]
    if not quiet:
        for failure in failures[:_MOST_NAMED]:
            say(describe_failure(*failure))
        if len(failures) > _MOST_NAMED:
            say(f"{len(failures) - _MOST_NAMED:,} more photographs failed.")
        for sentence in warnings:
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
) -> tuple[Rows[KeywordSuggestions], DoneSources | None]:
    """The table or the JSON Lines, and with --resume the images that the file already has."""
    from pictag.cli.describe import describe_run
    from pictag.cli.destination import open_stdout, open_table
    from pictag.keywords.rows import describe_row
    from pictag.keywords.sink import open_rows, reopen_rows
    from pictag.sinks.rows import JsonRows, TableRows

    if destination.format == "table":
        from pictag.keywords.table import draw_keywords

        return TableRows(open_table(destination.path, percent=True), draw_keywords), None
    if destination.path is None:
        return JsonRows(open_stdout(), describe_row), None
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
