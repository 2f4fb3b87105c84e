"""The sessions of a pipeline: for one image and for many, each opened when it is first needed."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from pictag.engines.choose import choose_engine, find_installed
from pictag.errors import PipelineClosed
from pictag.pipelines.graph import check_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pictag.engines.base import Engine
    from pictag.engines.choose import EngineChoice, Mode
    from pictag.engines.openvino import Precision
    from pictag.models.load import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How sessions are opened: ``engine`` is a name or an engine of the caller's, which does all modes."""

    engine: str | Engine
    device: str
    threads: int
    precision: Precision
    compiled_cache: Path | None


class Sessions:
    """Opens sessions and keeps them; ``load`` gives the model with the files that suit an engine best."""

    def __init__(self, model: Model, options: EngineOptions, load: Callable[[str], Model]) -> None:
        self._model = model
        self._options = options
        self._load = load
        self._lock = threading.Lock()
        self._open: dict[tuple[str, Mode], Engine] = {}
        self.is_closed = False

    @property
    def runs_on_core(self) -> bool:
        """Whether a run works on the core of the thread that asks for it, and does not wait for a card."""
        return isinstance(self._options.engine, str) and self._options.device == "cpu"

    def choose(self, mode: Mode) -> EngineChoice:
        """The engine for a mode, and why."""
        assert isinstance(self._options.engine, str)
        return choose_engine(
            self._options.engine,
            mode=mode,
            quantization=self._model.quantization,
            device=self._options.device,
            installed=find_installed(),
        )

    def get(self, mode: Mode) -> Engine:
        """The session for a mode. Raises an error of the ``ModelError`` branch where it cannot be opened."""
        with self._lock:
            self.check_open()
            if not isinstance(self._options.engine, str):
                if not self._open:
                    check_model(self._model, self._options.engine)
                return self._open.setdefault(("", "latency"), self._options.engine)
            name = self.choose(mode).name
            # On one core, and on a device of its own, both modes are done alike.
            if self._options.threads == 1 or self._options.device != "cpu":
                mode = "latency"
            if (name, mode) not in self._open:
                self._open[name, mode] = self._open_session(name, mode)
            return self._open[name, mode]

    def check_open(self) -> None:
        """Raise `PipelineClosed` after `close`."""
        if self.is_closed:
            raise PipelineClosed("This pipeline was closed; make a new one with pictag.pipeline(…).")

    def close(self) -> None:
        """Release all; calling it again does nothing."""
        with self._lock:
            self.is_closed = True
            for engine in self._open.values():
                engine.close()

    def _open_session(self, name: str, mode: Mode) -> Engine:
        options = self._options
        # An engine takes a fifth of a second to import: not before the model's files are known to be good.
        module = import_module(f"pictag.engines.{name}")
        model = self._load(name)
        engine: Engine = (
            module.open_session(
                model.weights,
                layout=model.layout,
                threads=options.threads,
                mode=mode,
                precision=options.precision,
                compiled_cache=options.compiled_cache,
            )
            if name == "openvino"
            else module.open_session(
                model.weights,
                layout=model.layout,
                threads=options.threads,
                mode=mode,
                device=options.device,
                compiled_cache=options.compiled_cache,
            )
        )
        check_model(model, engine)
        return engine
