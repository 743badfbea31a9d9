"""Times the parts of the layer comparison in `quantlab.analyze`, for `layer_cost.py`.

It wraps the reads of sessions and the sums of pairs of tensors, without changing them. The time between the wrapped
calls is reported as the rest.
"""

import statistics
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import quantlab
from quantlab.runtimes import taps
from quantlab.statistics import LayerError
from quantlab.study.inside import comparison

__all__ = ["Case", "Inside", "look_inside"]

REFERENCE = "reference-aligned"


@dataclass(frozen=True, slots=True)
class Case:
    """A variant and a runtime to measure."""

    setting: str
    runtime: str
    given: Path | None = None
    """The variant's file, if no setting makes it."""

    @property
    def session(self) -> str:
        """Name of the file with the variant's tensors."""
        return f"{self.setting}-{self.runtime}"

    @property
    def float32(self) -> str:
        """The setting of the float32 baseline."""
        return f"{self.format}-float32"

    @property
    def format(self) -> str:
        """`tfjs` or `tflite`."""
        return "tflite" if self.given else self.setting.split("-")[0]


@dataclass(frozen=True, slots=True)
class Span:
    """One call: its part, its times, and the number of samples read or elements compared."""

    part: str
    begin: float
    end: float
    count: int

    @property
    def seconds(self) -> float:
        return self.end - self.begin


@dataclass(slots=True)
class Inside:
    """The times of one layer comparison."""

    seconds: float = 0.0
    spans: list[Span] = field(default_factory=list)
    taps: dict[str, list[str]] = field(default_factory=dict)
    """Session → the tensors that it read last."""
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Session in Python → its job."""

    @property
    def batches(self) -> list[Span]:
        """The reads of the reference, one per batch."""
        return [span for span in self.spans if span.part == f"read {REFERENCE}"]

    def _by_batch(self) -> list[list[Span]]:
        """The spans of each batch except the first, in which graphs are opened."""
        begins = [span.begin for span in self.batches[1:]]
        by_batch: list[list[Span]] = [[] for _ in begins]
        for span in self.spans:
            # By the end of a read: another child may start to read slightly before the reference.
            if span.end >= begins[0]:
                by_batch[bisect_right(begins, span.end) - 1].append(span)
        return by_batch

    @property
    def milliseconds(self) -> float:
        """Milliseconds per sample in the median batch, which excludes delays by the start of processes or other
        load.
        """
        return 1e3 * statistics.median(
            (max(span.end for span in spans) - min(span.begin for span in spans)) / read.count
            for spans, read in zip(self._by_batch(), self.batches[1:], strict=True)
        )

    def parts(self) -> dict[str, float]:
        """Milliseconds per sample of each part in its median batch; parallel threads are added."""
        names = dict.fromkeys(span.part for spans in self._by_batch() for span in spans)
        return {
            name: 1e3
            * statistics.median(
                sum(span.seconds for span in spans if span.part == name) / read.count
                for spans, read in zip(self._by_batch(), self.batches[1:], strict=True)
            )
            for name in names
        }

    def elements(self, part: str) -> float | None:
        """Million elements per sample that a part compared; None for a read."""
        if part.startswith("read"):
            return None
        compared = sum(span.count for span in self.spans if span.part == part)
        return compared / 1e6 / sum(span.count for span in self.batches)

    def once(self) -> dict[str, float]:
        """Seconds before the second batch, by part."""
        spans = [span for span in self.spans if span.begin < self.batches[1].begin]
        reads = sum(span.seconds for span in spans if span.part.startswith("read"))
        align = sum(span.seconds for span in spans if span.part == "align")
        settled = max(span.end for span in self.spans) - self.batches[1].begin
        rest = self.seconds - settled - reads - align
        return {"first reads, which open the graphs": reads, "align by value": align, "all else, once": rest}


def look_inside(model: Path, data: str, study: Path, case: Case, samples: int) -> Inside:
    """Compare the layers of one variant in one runtime; the rows of its float32 variant are already stored."""
    options: dict[str, Any] = {"runtimes": ("python",), "layer_samples": samples, "costs": False, "out": study}
    quantlab.analyze(model, data=data, options=quantlab.AnalyzeOptions(settings=(case.float32,), **options))
    options |= {"settings": (case.setting,), "runtimes": (case.runtime,)}
    if case.given:
        options |= {"settings": (case.float32,), "variants": {case.setting: case.given}}
    inside = Inside()
    with _timed(inside):
        made = quantlab.analyze(model, data=data, options=quantlab.AnalyzeOptions(**options))
    inside.seconds = made.seconds["look inside"]
    return inside


@contextmanager
def _timed(inside: Inside) -> Iterator[None]:
    sessions = (taps._PythonSession, taps._SharedSession, taps._ChildSession)
    kept = [*((session, "read") for session in sessions), (LayerError, "of"), (comparison, "align")]
    originals = [(owner, name, vars(owner)[name]) for owner, name in kept]
    for session in sessions:
        session.read = _reading(session.read, inside)  # type: ignore[method-assign]
    LayerError.of = classmethod(_summing(LayerError.of.__func__, inside))  # type: ignore[attr-defined,method-assign,assignment]
    comparison.align = _aligning(comparison.align, inside)
    try:
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def _reading(read: Callable[..., Any], inside: Inside) -> Callable[..., Any]:
    def timed(session: Any, start: int, stop: int) -> Any:
        begin = time.perf_counter()
        reading = read(session, start, stop)
        end = time.perf_counter()
        request = getattr(session, "request", None)
        name = Path(request["file"] if request else _file(session)).stem
        inside.spans.append(Span(f"read {name}", begin, end, stop - start))
        inside.taps[name] = list(reading.taps)
        if request:
            inside.jobs[name] = request["job"]
        return reading

    return timed


def _file(session: Any) -> Path:
    return Path(session.scratch.file)


def _summing(of: Callable[..., Any], inside: Inside) -> Callable[..., Any]:
    def timed(kind: type[LayerError], baseline: Any, candidate: Any, **options: Any) -> Any:
        begin = time.perf_counter()
        error = of(kind, baseline, candidate, **options)
        inside.spans.append(Span(_sums_of(baseline, candidate), begin, time.perf_counter(), baseline.size))
        return error

    return timed


def _sums_of(baseline: Any, candidate: Any) -> str:
    """The part of a sum, from the sessions' files from which its tensors are mapped."""
    stems = [_mapped_from(array).stem for array in (baseline, candidate)]
    if stems[1].endswith("-isolated"):
        return "sum nodes by themselves"
    if stems[0] == REFERENCE:
        return "sum against the reference"
    return "sum against float32" if "-float32-" in stems[0] else "sum against the variant in Python"


def _mapped_from(array: Any) -> Path:
    """The mapped file to which an array belongs."""
    while array is not None and not hasattr(array, "filename"):
        array = getattr(array, "base", None)
    return Path(getattr(array, "filename", None) or "")


def _aligning(align: Callable[..., Any], inside: Inside) -> Callable[..., Any]:
    def timed(candidates: Sequence[Any], references: Sequence[Any]) -> Any:
        begin = time.perf_counter()
        alignment = align(candidates, references)
        inside.spans.append(Span("align", begin, time.perf_counter(), len(candidates)))
        return alignment

    return timed
