"""Finding a quantised graph that agrees with the original, for each engine.

Methods are tried in turn, the first that reaches the bar is taken. Where none does, the best one is improved:
nodes whose rounding costs most, by measurement, are left in float, one, two, four and so on, until the bar is
reached or half of them are in float.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pictag.engines.quantize_graph import (
    Graph,
    exclude_nodes,
    list_quantized,
    load_graph,
    save_graph,
    suit_onnxruntime,
)
from pictag.engines.quantize_nncf import quantize_with_nncf
from pictag.engines.quantize_static import quantize_statically
from pictag.errors import EngineError, InvalidModel
from pictag.quantization.measurement import ENGINES, compare, open_engine, score
from pictag.quantization.records import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pictag.engines.quantize_static import Ranges
    from pictag.engines.quantize_target import Target
    from pictag.models.load import Model
    from pictag.quantization.calibration import Samples
    from pictag.quantization.records import Agreement, OnProgress

_FOR_RANKING = 8  # images that tell which nodes suffer most


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A quantised graph: its file, how it was made, and the nodes whose activations are in float again."""

    file: Path
    method: str
    float_nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A candidate and its agreement on one engine."""

    candidate: Candidate
    agreement: Agreement


Make = Callable[[], Candidate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What holds for one search: the model and its graph, the images, the bar, and where files may lie."""

    model: Model
    graph: Graph
    attention: bool
    target: Target
    calibration: Samples
    check: Samples
    bar: float
    folder: Path
    on_progress: OnProgress

    def find(self) -> dict[str, Found]:
        """The best for each engine that can run the original; engines may share a file."""
        original = self.score_original(self.check)
        openvino = self._runs_with("openvino")
        if self.attention:
            smooth = self._with_nncf("smooth", attention=True)
            found = {"onnxruntime": self.choose("onnxruntime", [lambda: self._suit(smooth)], original)}
            return found | (
                {"openvino": self.choose("openvino", [lambda: smooth], original)} if openvino else {}
            )
        by_range: list[Make] = [
            lambda: self._static("minmax"),
            lambda: self._static("percentile"),
            lambda: self._static("entropy"),
        ]
        first = self.choose("onnxruntime", by_range, original)
        if not openvino:
            return {"onnxruntime": first}
        # Without attention OpenVINO runs graphs equally fast whoever quantised them: one file is enough.
        for_openvino: list[Make] = [
            lambda: first.candidate,
            lambda: self._with_nncf("mixed", attention=False),
        ]
        return {"onnxruntime": first, "openvino": self.choose("openvino", for_openvino, original)}

    def _runs_with(self, engine: str) -> bool:
        try:
            open_engine(engine, self.model.weights, self.model).close()
        except InvalidModel:  # an operation that it does not have
            return False
        return True

    def choose(self, engine: str, makers: Iterable[Make], original: NDArray[np.float32]) -> Found:
        """The first candidate that reaches the bar on an engine, or else the best, improved."""
        tried: list[Found] = []
        failure: EngineError | InvalidModel | None = None
        for make in makers:
            try:
                candidate = make()
                agreement = self._check(engine, candidate.file, original)
            except (EngineError, InvalidModel) as error:  # a tool or an engine that cannot do this graph
                failure = error
                continue
            tried.append(Found(candidate=candidate, agreement=agreement))
            if agreement.top1 >= self.bar:
                return tried[-1]
        if not tried and failure is not None:
            raise failure
        best = max(tried, key=lambda found: found.agreement.rank)
        return self._free_the_sensitive(engine, best, original)

    def _free_the_sensitive(self, engine: str, found: Found, original: NDArray[np.float32]) -> Found:
        graph = load_graph(found.candidate.file)
        ranked = self._rank(engine, graph)
        best, count = found, 1
        while count <= len(ranked) // 2:
            left = tuple(ranked[:count])
            file = self.folder / f"{found.candidate.file.stem}-{engine}-{count}.onnx"
            save_graph(exclude_nodes(graph, left), file)
            agreement = self._check(engine, file, original, f", {count} nodes in float")
            candidate = Candidate(
                file=file,
                method=found.candidate.method,
                float_nodes=(*found.candidate.float_nodes, *left),
            )
            best = max(
                best,
                Found(candidate=candidate, agreement=agreement),
                key=lambda entry: entry.agreement.rank,
            )
            if agreement.top1 >= self.bar:
                break
            count *= 2
        return best

    def _rank(self, engine: str, graph: Graph) -> Sequence[str]:
        """The quantised nodes, the one first that brings the scores closest when it alone is in float."""
        few = self.calibration[:_FOR_RANKING]
        original = self.score_original(few)
        file = self.folder / "one-in-float.onnx"
        names = list_quantized(graph)
        distances = {}
        for number, name in enumerate(names, start=1):
            self.on_progress(Progress(step="Looking for sensitive nodes", done=number, total=len(names)))
            save_graph(exclude_nodes(graph, (name,)), file)
            distances[name] = self._check(engine, file, original, samples=few).mean_difference
        return sorted(names, key=lambda name: distances[name])

    def score_original(self, samples: Samples) -> NDArray[np.float32]:
        """What the graph in float says of the samples."""
        engine = open_engine("onnxruntime", self.model.weights, self.model)
        try:
            return score(
                engine, samples, self.model, step="Scores of the original", on_progress=self.on_progress
            )
        finally:
            engine.close()

    def _check(
        self,
        name: str,
        file: Path,
        original: NDArray[np.float32],
        remark: str = "",
        *,
        samples: Samples | None = None,
    ) -> Agreement:
        engine = open_engine(name, file, self.model)
        quiet = samples is not None
        try:
            scores = score(
                engine,
                self.check if samples is None else samples,
                self.model,
                step=f"Checking with {ENGINES[name]}{remark}",
                on_progress=(lambda _: None) if quiet else self.on_progress,
            )
        finally:
            engine.close()
        return compare(original, scores)

    def _static(self, ranges: Ranges) -> Candidate:
        file = quantize_statically(
            self.graph,
            self.calibration.in_layout(self.model.layout),
            ranges=ranges,
            target=self.target,
            folder=self.folder,
            on_sample=self._count(f"Calibrating ({ranges})"),
        )
        return Candidate(file=file, method=ranges)

    def _with_nncf(self, method: str, *, attention: bool) -> Candidate:
        file = self.folder / f"{method}.onnx"
        graph = quantize_with_nncf(
            self.graph,
            self.calibration.in_layout(self.model.layout),
            attention=attention,
            target=self.target,
            on_sample=self._count(f"Calibrating ({method})"),
        )
        save_graph(graph, file)
        return Candidate(file=file, method=method)

    def _suit(self, candidate: Candidate) -> Candidate:
        file = self.folder / f"{candidate.method}-onnxruntime.onnx"
        save_graph(suit_onnxruntime(load_graph(candidate.file), signed=self.target == "arm"), file)
        return Candidate(file=file, method=candidate.method)

    def _count(self, step: str) -> Callable[[int], None]:
        return lambda done: self.on_progress(Progress(step=step, done=done, total=len(self.calibration)))
