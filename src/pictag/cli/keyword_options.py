"""The options of ``pictag keywords``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from pictag.cli.options import INPUTS, RESUME, collect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pictag.keywords.upload import TitleSource

PRESETS = ("generic", "adobe-stock", "shutterstock", "pond5", "alamy", "getty")
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


KEYWORD_CHOICE: Sequence[Callable[..., Any]] = (
    click.option(
        "--max-keywords",
        type=click.IntRange(min=1),
        metavar="N",
        help="Maximum number of suggestions per image.",
    ),
    click.option(
        "--min-score",
        type=float,
        metavar="SCORE",
        help="Minimum score of a suggestion. [default: measured for the model]",
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
    click.option("--no-backup", is_flag=True, help="With --embed: don't keep a copy of the original."),
    click.option(
        "--csv",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Write a CSV file for uploading, in the form of --preset. Rows above the agency's limit go into "
        "further files: a-2.csv beside a.csv.",
    ),
    click.option(
        "--preset",
        type=click.Choice(PRESETS),
        help="The agency whose format --csv has, and whose limits are checked. [default: generic]",
    ),
    click.option(
        "--title-from",
        type=click.Choice(TITLE_SOURCES),
        help="Source of the title in --csv for photographs without one. [default: none, it stays empty]",
    ),
    click.option("--dry-run", is_flag=True, help="Show what would be written, but write nothing."),
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
    *RESUME,
    click.option("--overwrite", is_flag=True, help="Replace the files of --output and --csv if they exist."),
)

wish_options = collect(KEYWORD_CHOICE, "wishes", lambda given: Wishes(**given))
input_names = collect(INPUTS, "names", dict)
row_options = collect(ROWS, "rows", dict)
