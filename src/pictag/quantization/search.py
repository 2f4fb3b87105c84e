"""Searches, for each engine, for a quantized graph that agrees with the original.

Methods are tried in turn until one reaches the threshold. If none does, the best one is improved: its most
sensitive nodes, found by measurement, are put back into float (one, two, four and so on) until the threshold
is reached or half of the nodes are in float.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
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
from pictag.quantization.measurement import ENGINES, compare, open_graph, score
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

_RANKING_IMAGES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A quantized graph: its file, the method, and the nodes whose activations are back in float."""

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
    """One search: the model and its graph, the images, the threshold, and a folder for candidates."""

    model: Model
    graph: Graph
    attention: bool
    target: Target
    calibration: Samples
    check: Samples
    threshold: float
    folder: Path
    on_progress: OnProgress

    def find(self) -> dict[str, Found]:
        """The best candidate for each engine that can run the original; engines may share a file."""
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
        if self.target == "x86":  # full-range weights are slower without VNNI, but much more accurate
            by_range.insert(1, lambda: self._static("minmax", full_range=True))
        first = self.choose("onnxruntime", by_range, original)
        if not openvino:
            return {"onnxruntime": first}
        # Without attention, OpenVINO runs both tools' graphs equally fast, so one file is enough.
        for_openvino: list[Make] = [
            lambda: first.candidate,
            lambda: self._with_nncf("mixed", attention=False),
        ]
        return {"onnxruntime": first, "openvino": self.choose("openvino", for_openvino, original)}

    def _runs_with(self, engine: str) -> bool:
        try:
            open_graph(engine, self.model.weights, self.model).close()
        except InvalidModel:  # the engine lacks an operation
            return False
        return True

    def choose(self, engine: str, makers: Iterable[Make], original: NDArray[np.float32]) -> Found:
        """The first candidate that reaches the threshold with an engine, or the best one, improved."""
        tried: list[Found] = []
        failure: EngineError | InvalidModel | None = None
        for make in makers:
            try:
                candidate = make()
                agreement = self._check(engine, candidate.file, original)
            except (EngineError, InvalidModel) as error:  # a tool or an engine can't handle this graph
                failure = error
                continue
            tried.append(Found(candidate=candidate, agreement=agreement))
            if agreement.top1 >= self.threshold:
                return tried[-1]
        if not tried and failure is not None:
            raise failure
        best = max(tried, key=lambda found: found.agreement.rank)
        return self._restore_sensitive(engine, best, original)

    def _restore_sensitive(self, engine: str, found: Found, original: NDArray[np.float32]) -> Found:
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
            found_now = Found(candidate=candidate, agreement=agreement)
            best = max(best, found_now, key=lambda entry: entry.agreement.rank)
            if agreement.top1 >= self.threshold:
                break
            count *= 2
        return best

    def _rank(self, engine: str, graph: Graph) -> Sequence[str]:
        """The quantized nodes, most sensitive first: the one whose return to float helps the scores most."""
        few = self.calibration[:_RANKING_IMAGES]
        original = self.score_original(few)
        file = self.folder / "one-in-float.onnx"
        names = list_quantized(graph)
        distances = {}
        for number, name in enumerate(names, start=1):
            self.on_progress(Progress(step="Ranking sensitive nodes", done=number, total=len(names)))
            save_graph(exclude_nodes(graph, (name,)), file)
            distances[name] = self._check(engine, file, original, samples=few).mean_difference
        return sorted(names, key=lambda name: distances[name])

    def score_original(self, samples: Samples) -> NDArray[np.float32]:
        """The float graph's scores of the samples."""
        with closing(open_graph("onnxruntime", self.model.weights, self.model)) as engine:
            return score(
                engine, samples, self.model, step="Scoring with the original", on_progress=self.on_progress
            )

    def _check(
        self,
        name: str,
        file: Path,
        original: NDArray[np.float32],
        remark: str = "",
        *,
        samples: Samples | None = None,
    ) -> Agreement:
        with closing(open_graph(name, file, self.model)) as engine:
            scores = score(
                engine,
                samples or self.check,
                self.model,
                step=f"Checking with {ENGINES[name]}{remark}",
                on_progress=(lambda _: None) if samples else self.on_progress,
            )
        return compare(original, scores)

    def _static(self, ranges: Ranges, *, full_range: bool = False) -> Candidate:
        file = quantize_statically(
            self.graph,
            self.calibration.in_layout(self.model.layout),
            ranges=ranges,
            target="vnni" if full_range else self.target,
            folder=self.folder,
            on_sample=self._count(f"Calibrating ({ranges})"),
        )
        return Candidate(file=file, method=f"{ranges} (full range)" if full_range else ranges)

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
