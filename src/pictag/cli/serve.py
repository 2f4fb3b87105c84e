"""``pictag serve``: the HTTP server."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from pictag.cli.ending import ALL_WELL, Invocation, debug_option
from pictag.engines.registry import ENGINE_NAMES
from pictag.errors import MissingExtra, OptionError, shorten
from pictag.models.weights import DTYPES
from pictag.options import DECODES

EXAMPLES = """
Examples:

\b
  pictag serve --model embedded
  pictag serve --model photos=Xenova/vit-base-patch16-224 --model ./my-model --lazy --memory-budget-mb 500
  PICTAG_SERVER_API_KEY=… pictag serve --host 0.0.0.0 --port 8080
  pictag serve --config server.toml --set max_queue=64 --show-config

The command line overrides the environment (PICTAG_SERVER_ and the setting's name in capitals), which
overrides the file. The API key can't be set on the command line, where other users of the machine would see
it: use PICTAG_SERVER_API_KEY or the file.

Exit status: 0 stopped by SIGTERM or Ctrl-C after all requests were finished, 1 some requests were cut off,
2 wrong usage, invalid settings or an invalid model, 70 an error inside pictag, 75 a temporary problem (the
address is in use, a model can't be downloaded now), 130 or 143 a second Ctrl-C or SIGTERM.
"""


@click.command("serve", epilog=EXAMPLES, short_help="Classify images over HTTP.")
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="[NAME=]MODEL",
    help="A name on the Hub, a folder, an .onnx file, or a built-in model (embedded, "
    "efficientnet-lite0). Can be repeated; the first is the default. [default: "
    "PICTAG_MODEL, or Xenova/vit-base-patch16-224]",
)
@click.option(
    "--host", metavar="ADDRESS", help="Address to listen on. [default: 127.0.0.1, only this machine]"
)
@click.option(
    "-p",
    "--port",
    type=click.IntRange(0, 65_535),
    metavar="N",
    help="Port to listen on; 0 chooses a free one. [default: 8000]",
)
@click.option(
    "--engine",
    type=click.Choice(("auto", *ENGINE_NAMES)),
    help="The library that runs the models, as for classify. [default: auto]",
)
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    help="Which of a model's weights to use, as for classify. [default: auto]",
)
@click.option(
    "--device", metavar="DEVICE", help="Where the models run: cpu, cuda or tensorrt. [default: cpu]"
)
@click.option(
    "--decode",
    type=click.Choice(DECODES),
    help="fast scales large JPEGs down while decoding. [default: exact]",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of images processed at the same time. [default: number of cores + 1]",
)
@click.option("--lazy", is_flag=True, help="Load each model on its first request, not at startup.")
@click.option("--offline", is_flag=True, help="Never download a model.")
@click.option(
    "--memory-budget-mb",
    type=click.IntRange(min=1),
    metavar="N",
    help="Unload idle models when the weights of the loaded models take more than N MB.",
)
@click.option(
    "--max-queue",
    type=click.IntRange(min=1),
    metavar="N",
    help="Maximum number of images that are waiting or being processed. [default: 256]",
)
@click.option("--allow-urls", is_flag=True, help="Read images from public URLs in requests.")
@click.option("--no-page", is_flag=True, help="Don't serve the web page.")
@click.option(
    "--log-format",
    type=click.Choice(("auto", "json", "text")),
    help="auto is text on a terminal, otherwise JSON. [default: auto]",
)
@click.option(
    "--set",
    "others",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change any setting; --show-config lists them. Can be repeated.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Read settings from a TOML file.",
)
@click.option("--show-config", is_flag=True, help="Show all settings and where each comes from, and exit.")
@debug_option
@click.pass_obj
def serve_app(
    invocation: Invocation,
    /,
    *,
    config: Path | None,
    show_config: bool,
    others: tuple[str, ...],
    models: tuple[str, ...],
    lazy: bool,
    offline: bool,
    allow_urls: bool,
    no_page: bool,
    **plain: Any,
) -> int:
    """Classify images over HTTP, for browsers and for Hugging Face, Triton and TorchServe clients."""
    read_configuration, serve = _import_server()
    given = _read_others(others)
    given |= {name: value for name, value in plain.items() if value is not None}
    switches = {"preload": (lazy, False), "offline": (offline, True), "allow_urls": (allow_urls, True)}
    switches["page"] = (no_page, False)
    given |= {name: value for name, (is_given, value) in switches.items() if is_given}
    if models:
        given["models"] = models
    settings = invocation.settings
    configuration = read_configuration(given, settings.server, file=config, model=settings.model)
    if show_config:
        click.echo(configuration.render(), nl=False)
        return ALL_WELL
    status: int = serve(configuration.settings, debug=invocation.debug)
    return status


def _import_server() -> tuple[Any, Any]:
    try:
        from pictag.server.app import make_app
        from pictag.server.configuration import read_configuration
        from pictag.server.serving import serve
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"The server needs {error.name}, which is not installed: pip install 'pictag[server]'"
        ) from error
    return read_configuration, partial(serve, make_app)


def _read_others(others: tuple[str, ...]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for text in others:
        name, equals, value = text.partition("=")
        if not equals:
            raise OptionError(f"--set {shorten(text, 80)}: use NAME=VALUE.")
        if name == "api_key":
            raise OptionError(
                "--set api_key would be visible to other users. Use PICTAG_SERVER_API_KEY or the file."
            )
        given[name] = value
    return given
