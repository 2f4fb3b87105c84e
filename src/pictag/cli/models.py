"""``pictag models``: list, download, inspect, verify and remove."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from pictag.cli.card import describe_card, show_size
from pictag.cli.ending import SOME_FAILED, debug_option
from pictag.cli.options import (
    CACHE_DIR,
    DTYPE,
    MODEL_FILE,
    MODEL_OUTPUT,
    MODEL_OUTPUT_NAME,
    OFFLINE,
    QUIET,
    REPORT_FORMAT,
    REVISION,
)
from pictag.cli.progress import Progress
from pictag.engines.quantize_target import has_fast_int8
from pictag.engines.registry import EngineChoice, choose_engine, list_installed, open_engine
from pictag.errors import EngineError, ModelError, OptionError, escape
from pictag.models.graph_facts import EmbeddingTensor, find_embedding
from pictag.models.load import LoadOptions, Model, load_model
from pictag.models.reference import EMBEDDED, ModelRef, parse_reference
from pictag.options import EngineOptions, Outputs
from pictag.pipelines.outputs import require_output, settle_outputs
from pictag.pipelines.runners import check_model

_FIRST_LABELS = 5

MODEL = click.argument("model", metavar="MODEL")


@click.group(short_help="List, download, inspect, verify and remove models.")
def models_app() -> None:
    """Manage the models in the cache, models in folders, and the built-in models.

    MODEL is a name on the Hub (org/name, org/name@revision), a folder, an .onnx file, or a built-in model
    (embedded, efficientnet-lite0, -lite1, -lite2).
    Downloads go into huggingface_hub's cache; HF_HOME, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE apply.
    """


@models_app.command("list")
@CACHE_DIR
@REPORT_FORMAT
@debug_option
def list_models(cache_dir: Path | None, format_: str) -> None:
    """List the models in the cache and the built-in models that are installed."""
    from pictag.models.cache import list_built_in, list_cached

    rows: list[dict[str, Any]] = [
        {"name": name, "revision": None, "branches": [], "size": size, "last_used": None}
        for name, size in list_built_in(cache_dir)
    ]
    for cached in list_cached(cache_dir):
        rows.append(
            {
                "name": cached.name,
                "revision": cached.commit,
                "branches": list(cached.branches),
                "size": cached.size_bytes,
                "last_used": datetime.fromtimestamp(cached.last_used, UTC).isoformat(timespec="seconds"),
                "weights": list(cached.weights),
            }
        )
    if format_ == "json":
        _print_json(rows)
        return
    _print_table(
        (
            (
                row["name"],
                " ".join(filter(None, [(row["revision"] or "-")[:12], ", ".join(row["branches"])])),
                "not converted yet" if row["size"] is None else show_size(row["size"]),
                (row["last_used"] or "-")[:10],
            )
            for row in rows
        ),
        head=("MODEL", "REVISION", "SIZE", "LAST USED"),
    )


@models_app.command("download")
@MODEL
@REVISION
@DTYPE
@MODEL_FILE
@CACHE_DIR
@QUIET
@debug_option
def download_model(
    model: str,
    *,
    revision: str | None,
    dtype: str,
    model_file: str | None,
    cache_dir: Path | None,
    quiet: bool,
) -> None:
    """Download a model into the cache.

    The files are compared with their checksums. The model can then be used without a network.
    """
    loaded = _load(
        parse_reference(model, revision=revision),
        LoadOptions(dtype=dtype, model_file=model_file, cache_dir=cache_dir),
        quiet=quiet,
    )
    card = loaded.card
    revised = f" at {card.revision[:12]}" if card.revision else ""
    size = show_size(card.size_bytes)
    _print(f"{card.name}{revised}: {card.weights} ({size}; {card.why}), {card.label_count} labels")


@models_app.command("inspect")
@MODEL
@REVISION
@DTYPE
@MODEL_FILE
@CACHE_DIR
@OFFLINE
@MODEL_OUTPUT
@MODEL_OUTPUT_NAME
@click.option("--labels", "all_labels", is_flag=True, help="Show all labels.")
@REPORT_FORMAT
@QUIET
@debug_option
def inspect_model(
    model: str,
    *,
    revision: str | None,
    dtype: str,
    model_file: str | None,
    cache_dir: Path | None,
    local_files_only: bool,
    output_: Outputs | None,
    output_name: str | None,
    all_labels: bool,
    format_: str,
    quiet: bool,
) -> None:
    """Show a model's files, preprocessing and labels.

    It also shows why these weights and this engine were chosen, and which file each threshold is from.
    """
    loaded = _load(
        parse_reference(model, revision=revision),
        LoadOptions(
            dtype=dtype,
            model_file=model_file,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            output=output_,
            output_name=output_name,
        ),
        quiet=quiet,
    )
    loaded, graph = _describe_graph(loaded)
    engine, embedding = _choose_engine(loaded), _find_embedding(loaded)
    shown = loaded.labels if all_labels or format_ == "json" else loaded.labels[:_FIRST_LABELS]
    if format_ == "json":
        card = asdict(loaded.card)
        more_facts = {
            "path": str(loaded.weights),
            "labels": list(shown),
            "graph": graph,
            "embedding": {"error": embedding} if isinstance(embedding, str) else asdict(embedding),
            "engine": asdict(engine),
        }
        _print_json(card | more_facts)
        return
    facts = [(name, str(value)) for name, value in describe_card(loaded, graph, engine, embedding)]
    _print_table(
        ("" if number and name == facts[number - 1][0] else name, value)
        for number, (name, value) in enumerate(facts)
    )
    more = len(loaded.labels) - len(shown)
    _print(f"labels         {len(loaded.labels)}")
    for index, label in enumerate(shown):
        _print(f"  {index:>5}  {label}")
    if more:
        _print(f"         … and {more} more (--labels shows all)")


@models_app.command("verify")
@MODEL
@REVISION
@CACHE_DIR
@REPORT_FORMAT
@debug_option
@click.pass_context
def verify_model(
    ctx: click.Context, model: str, *, revision: str | None, cache_dir: Path | None, format_: str
) -> None:
    """Check a model's files against their checksums.

    The checksums of a model on the Hub come from the Hub, which needs the network. Those of a folder come
    from its card.json, and those of the built-in models from pictag. If a cached file is wrong, it is
    deleted. The exit status is 1 if any file is wrong.
    """
    from pictag.models.cache import verify_files

    ref = parse_reference(model, revision=revision)
    checks = verify_files(ref, cache_dir)
    if format_ == "json":
        _print_json([asdict(check) for check in checks])
    else:
        _print_table(
            ((check.path, check.state, show_size(check.size_bytes)) for check in checks),
            head=("FILE", "STATE", "SIZE"),
        )
        if all(check.state == "unknown" for check in checks):
            _print("Nothing was compared: the model has no card.json with checksums.", err=True)
    if wrong := [check.path for check in checks if check.state == "wrong"]:
        text = f"Wrong checksum: {', '.join(wrong)}."
        if ref.kind == "hub" or (ref.kind == "built-in" and ref.name != EMBEDDED):
            text += f" Deleted from the cache. To get it again: 'pictag models download {ref}'."
        _print(text, err=True)
        ctx.exit(SOME_FAILED)


@models_app.command("remove")
@MODEL
@click.option("--revision", metavar="REV", help="Branch, tag or commit. [default: all revisions]")
@CACHE_DIR
@click.option("-y", "--yes", is_flag=True, help="Don't ask for confirmation.")
@debug_option
def remove_model(model: str, *, revision: str | None, cache_dir: Path | None, yes: bool) -> None:
    """Remove a model from the cache.

    All its revisions are removed. With --revision or org/name@revision, only that revision is removed.
    """
    from pictag.models.cache import remove_cached

    ref = parse_reference(model, revision=revision)
    plan = remove_cached(ref, cache_dir, dry_run=True)
    count = f" ({len(plan.commits)} revision{'s' if len(plan.commits) > 1 else ''})" if plan.commits else ""
    question = f"Remove {escape(str(ref))}{count} from the cache, {show_size(plan.freed_bytes)}?"
    if not yes and not click.confirm(question, err=True):
        _print("Nothing was removed.", err=True)
        return
    removed = remove_cached(ref, cache_dir)
    _print(f"Removed {ref}{count}, {show_size(removed.freed_bytes)} freed.")


def _load(ref: ModelRef, options: LoadOptions, *, quiet: bool) -> Model:
    with closing(Progress(shown=not quiet)) as progress:
        return load_model(ref, options, progress.show_download)


def _describe_graph(model: Model) -> tuple[Model, dict[str, Any]]:
    """The model, with what its graph returns, and the graph's inputs and outputs.

    If the graph can't be used, there is an ``error`` with the reason.
    """
    options = EngineOptions(layout=model.layout, scores=model.output_name or "")
    try:
        engine = open_engine("onnxruntime", model.weights, options)
    except (ModelError, EngineError) as error:
        return model, {"error": str(error)}
    graph: dict[str, Any] = {
        "inputs": [asdict(tensor) for tensor in engine.inputs],
        "outputs": [asdict(tensor) for tensor in engine.outputs],
    }
    try:
        check_model(model, engine)
        model = settle_outputs(model, engine)
    except (ModelError, EngineError) as error:
        return model, graph | {"error": str(error)}
    finally:
        engine.close()
    return model, graph


def _choose_engine(model: Model) -> EngineChoice:
    """The engine that ``engine="auto"`` chooses on this machine's CPU."""
    return choose_engine(
        "auto",
        quantization=model.quantization,
        device="cpu",
        installed=list_installed(),
        has_fast_int8=has_fast_int8(),
    )


def _find_embedding(model: Model) -> EmbeddingTensor | str:
    """The tensor that ``embeddings=True`` would return, or the reason why there is none."""
    try:
        return find_embedding(model.graph, require_output(model))
    except (ModelError, OptionError) as error:
        return str(error)


def _print(text: str, *, err: bool = False) -> None:
    # Names and labels are untrusted, so terminal control characters are escaped.
    click.echo(escape(text), err=err)


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def _print_table(rows: Iterable[Sequence[str]], *, head: Sequence[str] = ()) -> None:
    from pictag.cli.tables import draw, make_console, make_table  # rich takes 0.1 s to import

    click.echo(draw(make_console(), make_table(rows, head=head)), nl=False)
