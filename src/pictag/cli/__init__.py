"""The command line, ``pictag``.

A command is a module in this folder with a click command, and one line in `COMMANDS`. It is imported when it
is called, so ``pictag --help`` is fast. Commands only call the public library and let its errors pass;
`main` turns them into one sentence and an exit status.

(click rather than typer: huggingface_hub depends on it anyway, and importing it takes 18 ms and 5 MB; typer
with pydantic takes 80 ms and 19 MB.)
"""

from __future__ import annotations

import logging
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pictag import __version__
from pictag.cli.ending import Invocation, run_to_the_end, show_warning
from pictag.errors import PictagWarning, shorten
from pictag.settings import limit_numpy_threads, read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

# name: (module, attribute, summary)
COMMANDS = {
    "classify": ("pictag.cli.classify", "classify", "Classify images."),
    "keywords": ("pictag.cli.keywords", "keywords", "Suggest keywords for photographs."),
    "index": ("pictag.cli.index", "index", "Index photographs, to search them and find duplicates."),
    "search": ("pictag.cli.search", "search", "Search indexed photographs."),
    "similar": ("pictag.cli.similar", "similar", "Find images similar to a photograph."),
    "duplicates": ("pictag.cli.duplicates", "duplicates", "Find duplicates among indexed photographs."),
    "browse": ("pictag.cli.browse", "browse", "Browse the gallery in a web browser."),
    "gallery": ("pictag.cli.gallery", "gallery_app", "Review labels, and manage the gallery's library."),
    "evaluate": ("pictag.cli.evaluate", "evaluate", "Measure how good a model is on labelled images."),
    "compare": ("pictag.cli.compare", "compare", "Compare two evaluations of the same images."),
    "calibrate": (
        "pictag.cli.calibrate",
        "calibrate",
        "Fit a model's temperature and thresholds to labelled images.",
    ),
    "teach": ("pictag.cli.teach", "teach", "Teach a model your own labels."),
    "explain": ("pictag.cli.explain", "explain", "Show which areas of an image changed a label's score."),
    "models": ("pictag.cli.models", "models_app", "List, download, inspect, verify and remove models."),
    "quantize": ("pictag.cli.quantize", "quantize", "Quantize a model's weights to 8-bit integers."),
    "bench": ("pictag.cli.bench", "bench", "Measure a model on this machine."),
    "serve": ("pictag.cli.serve", "serve_app", "Classify images over HTTP."),
}


class LazyGroup(click.Group):
    """The commands of `COMMANDS`, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands' names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name; otherwise a usage error with the nearest name."""
        name = args[0]
        if name in COMMANDS or name.startswith("-"):
            return super().resolve_command(ctx, args)
        if Path(name).exists():
            shown = shorten(name)
            raise click.UsageError(
                f"{shown!r} is not a command. Did you mean 'pictag classify {shown}'?", ctx
            )
        raise click.NoSuchCommand(name, possibilities=COMMANDS, ctx=ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, _, summary) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="'pictag COMMAND --help' shows a command's options. Exit status: 0 success, 1 some images failed, "
    "2 wrong usage or no model, 74 the output can't be written, 130 interrupted.",
)
@click.version_option(__version__, message="pictag %(version)s")
def app() -> None:
    """Classify images with ONNX models."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; ``arguments`` are those of the process by default."""
    limit_numpy_threads()
    # Pillow warns about odd metadata in images that it reads correctly.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    warnings.simplefilter("default", PictagWarning)
    warnings.showwarning = show_warning
    # huggingface_hub warns about each retry of a download; only the result matters here.
    for name in ("huggingface_hub.file_download", "huggingface_hub.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)
    given = sys.argv[1:] if arguments is None else list(arguments)
    invocation = Invocation(given=given)

    def run() -> int:
        invocation.settings = settings = read_settings()
        invocation.debug = settings.debug
        if settings.completion is not None:  # the shell asks for completions
            from click.shell_completion import shell_complete

            return shell_complete(app, {}, "pictag", "_PICTAG_COMPLETE", settings.completion)
        # Not app.main(), which handles interruptions and closed pipes itself.
        with app.make_context("pictag", given, obj=invocation) as ctx:
            status = app.invoke(ctx)
        return status if isinstance(status, int) else 0

    return run_to_the_end(run, invocation)
