"""Write docs/command-line.md from the commands' own help: ``python docs/make_command_line.py``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pictag.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).with_name("command-line.md")
WIDTH = 80


def walk(command: click.Command, words: tuple[str, ...], parent: click.Context | None) -> Iterator[str]:
    """One section for a command, and those of its own commands after it."""
    context = click.Context(
        command, info_name=words[-1], parent=parent, terminal_width=WIDTH, **command.context_settings
    )
    yield f"## {' '.join(words)}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from walk(inner, (*words, name), context)


def make_page() -> str:
    """The whole page."""
    head = (
        "# The command line\n\n"
        "What `--help` says, command by command. This page is made by `docs/make_command_line.py`; "
        "a test fails when it is out of date.\n"
    )
    return "\n".join([head, *walk(app, ("pictag",), None)])


if __name__ == "__main__":
    PAGE.write_text(make_page(), encoding="utf-8")
