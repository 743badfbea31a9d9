"""Where ways to store weights are tried: each kernel is rounded once, and artifacts are written and measured."""

import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from quantlab.study.side_by_side import side_by_side
from quantlab.study.tuning.acceptance import Measured
from quantlab.study.tuning.measuring import Bench, candidate_key, emptied
from quantlab.types import KernelChoice, TunedWeights
from quantlab_converters.hessians import HessianSums
from quantlab_converters.tunable import KernelOption, TunableWeights

__all__ = ["AT_ONCE", "Stored", "Workbench"]

AT_ONCE = 2
_GPTQ_TIME = 0.7
"""Share of the time after which kernels are rounded to the nearest codes, which needs no factors of their Hessians."""


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A way to store all weights."""

    name: str
    options: Mapping[str, KernelOption]
    """Kernel → how it is stored; others stay in float32."""
    halves: tuple[str, ...]
    """Other weights that are half floats."""


@dataclass(eq=False)
class Workbench:
    """The weights of a format, and the time in which they may be tried."""

    bench: Bench
    weights: TunableWeights
    sums: Mapping[str, HessianSums]
    deadline: float
    """In seconds of `time.monotonic`."""
    began: float = field(default_factory=time.monotonic)
    finished: bool = True
    """Whether nothing was left out because time was over."""
    rounded_late: set[str] = field(default_factory=set)
    """Kernels that were rounded to the nearest codes because there was little time left."""
    _options: dict[tuple[str, KernelChoice | None], KernelOption] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def is_over(self, share: float = 1.0) -> bool:
        """Whether this share of the time is over."""
        return time.monotonic() > self.began + share * (self.deadline - self.began)

    def stops(self, share: float = 1.0) -> bool:
        """The same, asked by what is left out if it is: then the search is not finished."""
        over = self.is_over(share)
        self.finished = self.finished and not over
        return over

    def option(self, kernel: str, choice: KernelChoice | None) -> KernelOption:
        """A kernel as a choice stores it; rounded to the nearest codes if there is little time left for GPTQ."""
        key = (kernel, choice)
        if key not in self._options:
            made = choice
            if choice is not None and choice.rounding == "gptq" and kernel in self.sums and self.stops(_GPTQ_TIME):
                made = replace(choice, rounding="nearest")
                self.rounded_late.add(kernel)
            self._options[key] = self.weights.option(kernel, self.sums.get(kernel), made)
        return self._options[key]

    def decisions(self, stored: Stored) -> TunedWeights:
        """The decisions of an artifact."""
        return self.weights.tuned(stored.options, stored.halves)

    def measure_all(
        self, stored: Sequence[Stored], done: Callable[[], None], *, share: float = 1.0
    ) -> list[Measured | None]:
        """Measure artifacts side by side; None of those for which there is no time.

        Args:
            stored: The artifacts, no two of which are alike.
            done: Called after each that was measured.
            share: Of the time, after which none begins.
        """

        def measure(one: Stored) -> Measured | None:
            if self.stops(share):
                return None
            measured = self.measure(one)
            with self._lock:
                done()
            return measured

        return side_by_side(measure, stored, at_once=AT_ONCE)

    def measure(self, stored: Stored) -> Measured:
        """Measure an artifact, unless it is kept."""
        decisions = self.decisions(stored)
        key = candidate_key(decisions)
        if (kept := self.bench.kept(key, stored.name)) is not None:
            return kept
        folder = emptied(self.bench.context.store.work / "tune" / key)
        try:
            self.weights.write(decisions, folder)
            touched = [*(kernel.name for kernel in decisions.kernels), *decisions.biases, *decisions.halves]
            swapped = list(dict.fromkeys(touched)) if self.weights.swappable else None
            return self.bench.measure(stored.name, key, folder, swapped=swapped)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
