"""How a command ends: one sentence on stderr and an exit status; a traceback only with ``--debug``.

| status | meaning |
|---|---|
| 0 | success |
| 1 | some images failed |
| 2 | wrong usage or no model |
| 70 | an error inside pictag |
| 74 | the output can't be written, for example because the disk is full |
| 75 | only `pictag serve`: a temporary problem, such as a Hub that doesn't answer |
| 130, 143, 129 | interrupted (Ctrl-C, ``kill``, terminal closed); the results so far have been written |
| 141 | the reader of the output has stopped reading |
"""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from pictag.cli.interruption import Interrupted, Interruption
from pictag.errors import OutputError, PictagError, PictagWarning, escape, explain_shortage, shorten, suggest
from pictag.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ALL_WELL, SOME_FAILED, NOTHING_DONE, BROKEN, NOT_WRITTEN = 0, 1, 2, 70, 74
_WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_show_warning = warnings.showwarning
STOPPED_READING = 128 + 13  # as shells show it for a program that SIGPIPE ended

Command = TypeVar("Command", bound="Callable[..., Any]")


@dataclass(slots=True)
class Invocation:
    """The state of one run of the program; commands find it in click's ``ctx.obj``."""

    given: Sequence[str] = ()
    command: click.Command | None = None
    debug: bool = False
    settings: Settings = field(default_factory=Settings)


def debug_option(command: Command) -> Command:
    """Give a command ``--debug``, which shows an error's traceback."""

    def remember(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
        if isinstance(ctx.obj, Invocation):
            ctx.obj.command = ctx.command
            ctx.obj.debug |= value

    return click.option(
        "--debug",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=remember,
        help="Show the traceback of an error (also: PICTAG_DEBUG=1).",
    )(command)


def run_to_the_end(run: Callable[[], int], invocation: Invocation) -> int:  # noqa: PLR0911 - one per ending
    """Call ``run`` and turn anything it raises into an exit status, with a sentence where one helps."""
    try:
        with Interruption().listen(("SIGINT",)):
            status = run()
            if sys.stdout is not None:
                sys.stdout.flush()
    except click.exceptions.Exit as wanted:
        return wanted.exit_code
    except click.ClickException as error:
        return _explain_usage(error, invocation.given)
    except BrokenPipeError:
        _discard_stdout()
        return STOPPED_READING
    except Interrupted as interruption:
        say(str(interruption))
        return interruption.status
    except (KeyboardInterrupt, click.Abort):
        say("Interrupted.")
        return 130
    except Exception as error:  # noqa: BLE001 - an interface: the user gets a sentence
        if invocation.debug:
            traceback.print_exc()
        if isinstance(error, PictagError):
            say(_name_options(str(error), invocation.command))
            # Without an errno it is the user's choice that can't be written, such as a folder.
            return NOT_WRITTEN if isinstance(error, OutputError) and error.errno else NOTHING_DONE
        if isinstance(error, OSError) and error.filename is None and error.errno in _WRITE_ERRORS:
            _discard_stdout()
            say(f"Cannot write to standard output: {error.strerror}.")
            return NOT_WRITTEN
        if isinstance(error, RuntimeError | MemoryError) and (shortage := explain_shortage(error)):
            say(_name_options(shortage, invocation.command))
            return NOTHING_DONE
        say(
            f"Something went wrong inside pictag: {type(error).__name__}: {shorten(error)}. "
            "Run it again with --debug for the traceback, and please report it."
        )
        return BROKEN
    return status


def _discard_stdout() -> None:
    """Send what is left to the null device; otherwise the interpreter's last flush would fail as well."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(sentence: str) -> None:
    """Print one line on stderr; a closed stderr is not an error."""
    with suppress(OSError):
        click.echo(f"pictag: {escape(sentence)}", err=True)


def show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """In place of `warnings.showwarning`: pictag's own warnings are one sentence on stderr."""
    if issubclass(category, PictagWarning):
        say(str(message))
    else:
        _show_warning(message, category, *where, **more)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether the stream is a terminal; one that was closed before the program started is None."""
    return stream is not None and stream.isatty()


def _explain_usage(error: click.ClickException, given: Sequence[str]) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return NOTHING_DONE
    ctx, message = getattr(error, "ctx", None), error.format_message()
    advice = f" Try '{ctx.command_path} --help'." if ctx is not None else ""
    if isinstance(error, click.NoSuchOption):
        hint = suggest(error.option_name, error.possibilities or ())
        message = f"Unknown option {error.option_name!r}.{hint}"
        # Unlike pathlib, os.path doesn't raise for a name that is too long.
        name = next((text for text in given if text.startswith("-") and os.path.isfile(text)), None)  # noqa: PTH113
        if name is not None:
            advice = f" If you mean the file, write ./{shorten(name)}, or put -- before all names."
    say(message + advice)
    return NOTHING_DONE


def _name_options(message: str, command: click.Command | None) -> str:
    """The message with options as they are typed: ``--engine 'x'`` instead of Python's ``engine='x'``."""
    for option in command.params if command is not None else ():
        if isinstance(option, click.Option) and not option.is_flag:
            message = re.sub(rf"(?<!\S){option.name}=(?=[-'\w])", f"{option.opts[-1]} ", message)
    return message
