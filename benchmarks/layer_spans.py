"""Times the parts of what `quantlab.analyze` does inside variants, for `layer_cost.py`.

Sessions' reads and the sums of pairs of tensors are wrapped while it works; nothing is computed in another way, and
what lies between the wrapped calls is the rest.
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
    """What is looked inside of."""

    setting: str
    runtime: str
    given: Path | None = None
    """The variant's file, where no setting makes it."""

    @property
    def session(self) -> str:
        """What quantlab calls the file that the variant's tensors lie in."""
        return f"{self.setting}-{self.runtime}"

    @property
    def float32(self) -> str:
        """The setting of the second baseline."""
        return f"{self.format}-float32"

    @property
    def format(self) -> str:
        """`tfjs` or `tflite`."""
        return "tflite" if self.given else self.setting.split("-")[0]


@dataclass(frozen=True, slots=True)
class Span:
    """One call: what it was, when, and how many samples it read or elements it compared."""

    part: str
    begin: float
    end: float
    count: int

    @property
    def seconds(self) -> float:
        return self.end - self.begin


@dataclass(slots=True)
class Inside:
    """Where the seconds of one look inside went."""

    seconds: float = 0.0
    spans: list[Span] = field(default_factory=list)
    taps: dict[str, list[str]] = field(default_factory=dict)
    """Session → the tensors it read last."""
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Session in Python → its job."""

    @property
    def batches(self) -> list[Span]:
        """The reads of the reference, one a batch."""
        return [span for span in self.spans if span.part == f"read {REFERENCE}"]

    def _by_batch(self) -> list[list[Span]]:
        """The spans of each batch but the first, in which graphs are opened."""
        begins = [span.begin for span in self.batches[1:]]
        by_batch: list[list[Span]] = [[] for _ in begins]
        for span in self.spans:
            # By its end: another child's reading may begin a moment before the reference's.
            if span.end >= begins[0]:
                by_batch[bisect_right(begins, span.end) - 1].append(span)
        return by_batch

    @property
    def milliseconds(self) -> float:
        """Of one sample in the median batch: a process that is started late, or another's turn, falls out."""
        return 1e3 * statistics.median(
            (max(span.end for span in spans) - min(span.begin for span in spans)) / read.count
            for spans, read in zip(self._by_batch(), self.batches[1:], strict=True)
        )

    def parts(self) -> dict[str, float]:
        """Milliseconds a sample of each part in its median batch; what threads do at once counts for each of them."""
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
        """How many million elements a sample a part compared; None of a read."""
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
    """Look inside one variant in one runtime; its float32 variant was looked inside of before, and is kept."""
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
    """Which pair it was, by the sessions' files that the tensors are mapped from."""
    stems = [_mapped_from(array).stem for array in (baseline, candidate)]
    if stems[1].endswith("-isolated"):
        return "sum nodes by themselves"
    if stems[0] == REFERENCE:
        return "sum against the reference"
    return "sum against float32" if "-float32-" in stems[0] else "sum against the variant in Python"


def _mapped_from(array: Any) -> Path:
    """The file of the map that an array was cut out of."""
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
