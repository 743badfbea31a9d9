"""Searches how the weights of an artifact are stored: the smallest one that may be expected to keep the budget.

1. Each kernel alone is stored in 4 bits with scales of channels, and in 8 bits with one scale, and measured. That tells
   how its noise, which is known for any number of bits without running anything, becomes error of the output.
2. Single errors add up, so the division of bytes with the least error is known for any size (`allocation`). Some of
   these divisions are measured, from precise to small, until none can be expected to fit, and then more where the last
   one fitted.
3. In the smallest one that fits, GPTQ, the correction of the bias and clipped ranges are taken back for each kernel
   where that lowers the error that is measured; then smaller divisions are measured without them.
"""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from quantlab.study.side_by_side import side_by_side
from quantlab.study.tuning.acceptance import Goal, Measured, closest, figure_of, preferred, smallest
from quantlab.study.tuning.allocation import Allocation, Way, between, ladder
from quantlab.study.tuning.choices import is_same, ratio_of, sharing_of, simpler, without
from quantlab.study.tuning.measuring import Bench, candidate_key, emptied
from quantlab.types import Candidate, KernelChoice, Sharing, TunedFormat, TunedWeights
from quantlab_converters.hessians import HessianSums
from quantlab_converters.tunable import KernelOption, TunableWeights

__all__ = ["WeightSearch"]

BITS = (8, 7, 6, 5, 4, 3, 2)
_PROBED_BITS = 4
_STEPS = 16
"""Divisions on the way from the most precise to the smallest one."""
_FINE_STEPS = 4
"""Divisions between the smallest that fits and the next smaller one, in each of some rounds."""
_FINE_ROUNDS = 3
_BACK_ROUNDS = 2
"""Candidates in which single decisions are taken back, at most."""
_PROBED_SHARE = 0.999
"""Share of all values that belong to kernels that are measured alone; the small ones of the rest count as the most
sensitive one."""
_AT_ONCE = 2
_PROBE_TIME = 0.5
"""Share of the time after which no further kernel is measured alone."""


_ALONE, _DIVIDE, _BACK = "store weights alone", "divide bytes", "take decisions back"
"""The phases of a search, for its progress."""
_MOST_BACK = 3
"""Decisions about a kernel that can be taken back."""


@dataclass(frozen=True, slots=True, eq=False)
class _Stored:
    """A way to store all weights."""

    name: str
    options: Mapping[str, KernelOption]
    halves: tuple[str, ...]


@dataclass(eq=False)
class WeightSearch:
    """The search in one format."""

    bench: Bench
    weights: TunableWeights
    sums: Mapping[str, HessianSums]
    goal: Goal
    official: Sequence[Measured]
    """The settings of the format, measured on the same samples."""
    deadline: float
    """In seconds of `time.monotonic`."""
    began: float = field(default_factory=time.monotonic)
    finished: bool = True
    measured: dict[str, Measured] = field(default_factory=dict)
    """Name of a candidate → what was measured."""
    stored: dict[str, _Stored] = field(default_factory=dict)
    """Name of a candidate → how it stores the weights."""
    _allocations: dict[str, Allocation] = field(default_factory=dict)
    """Name of a candidate → how it divides the bytes."""
    _taken_back: dict[str, KernelChoice] = field(default_factory=dict)
    """Kernel → a choice without what did not help it."""
    _options: dict[tuple[str, KernelChoice | None], KernelOption] = field(default_factory=dict)
    _left: dict[str, int] = field(default_factory=dict)
    """Phase → units that were announced and are not done."""
    _number: int = 0

    def run(self) -> TunedFormat:
        """Search, and decide."""
        self._announce()
        ways = self._ways(self._sensitivities())
        self._descend(ways)
        self._skip_rest(_DIVIDE)  # the time of what is left of a phase is told by all the time since it began
        for _ in range(_BACK_ROUNDS):
            best = smallest(self._candidates())
            if best is None or best.official or self._is_over() or not self._take_back(self.stored[best.name]):
                break
            self._skip_rest(_BACK)
            self._refine(ways)
        self._skip_rest(*self._left)
        candidates = self._candidates()
        chosen = preferred(candidates) or closest(candidates)
        weights = None if chosen.official else self._decisions(self.stored[chosen.name])
        return TunedFormat(
            candidates=tuple(candidates),
            chosen=chosen.name,
            weights=weights,
            setting=chosen.name if chosen.official else None,
            finished=self.finished,
        )

    def _candidates(self) -> list[Candidate]:
        return self.goal.judged([*self.official, *self.measured.values()])

    def _announce(self) -> None:
        """Announce all phases, so that the time that is told to be left lacks none."""
        progress, seconds = self.bench.context.progress, self.bench.run_seconds / _AT_ONCE
        probes = sum(len(self._probes(name)) for name in self.weights.kernels)
        divisions = _STEPS + _FINE_ROUNDS * _FINE_STEPS
        self._left = {_ALONE: probes, _DIVIDE: divisions, _BACK: _MOST_BACK * len(self.weights.kernels)}
        for phase, units in self._left.items():
            progress.plan(phase, units, seconds)

    # Kernels alone

    def _option(self, kernel: str, choice: KernelChoice | None) -> KernelOption:
        key = (kernel, choice)
        if key not in self._options:
            self._options[key] = self.weights.option(kernel, self.sums.get(kernel), choice)
        return self._options[key]

    @cached_property
    def _by_channel(self) -> frozenset[str]:
        """The kernels that may have a scale for each channel: those first that lose most without."""
        options, gains = {}, {}
        for name in self.weights.kernels:
            options[name] = self._option(name, self.weights.choice(name, _PROBED_BITS, "channel"))
            gains[name] = (
                self._option(name, self.weights.choice(name, _PROBED_BITS, "tensor")).noise - options[name].noise
            )
        return self.weights.affordable(gains, options)

    def _choices(self, kernel: str) -> Iterator[KernelChoice | None]:
        yield None
        shared: tuple[Sharing, ...] = ("channel", "tensor") if kernel in self._by_channel else ("tensor",)
        for sharing in shared:
            for bits in BITS:
                yield self.weights.choice(kernel, bits, sharing)
        for bits in BITS:  # weights that do not matter keep the code of 0, which compresses best
            yield replace(self.weights.choice(kernel, bits, "tensor"), rounding="nearest")

    def _probes(self, kernel: str) -> list[tuple[Sharing, KernelChoice]]:
        """How a kernel is stored alone: with scales of channels in few bits, with one scale in many."""
        probes: list[tuple[Sharing, KernelChoice]] = []
        if kernel in self._by_channel:
            probes.append(("channel", self.weights.choice(kernel, _PROBED_BITS, "channel")))
        plain = replace(self.weights.choice(kernel, max(BITS), "tensor"), rounding="nearest")
        return [*probes, ("tensor", plain)]

    def _sensitivities(self) -> dict[tuple[str, Sharing], float]:
        """Kernel, and whether channels share a scale → error of the output in relation to the noise of the kernel."""
        sizes = self.weights.kernels
        ordered = sorted(sizes, key=lambda name: (-sizes[name], name))
        reached, total = 0, sum(sizes.values())
        probed: list[tuple[str, Sharing, KernelChoice]] = []
        for name in ordered:
            if reached < _PROBED_SHARE * total:
                probed += [(name, sharing, choice) for sharing, choice in self._probes(name)]
            reached += sizes[name]
        step = f"store weights of {self.bench.float32.format} one by one"
        self.bench.context.progress.begin(step, len(probed))

        def probe(place: int) -> Measured | None:
            name, _, choice = probed[place]
            if self._is_over(_PROBE_TIME):
                return None
            measured = self._measure(_Stored(f"{name} alone", {name: self._option(name, choice)}, ()))
            self._done(_ALONE, step)
            return measured

        results = side_by_side(probe, range(len(probed)), at_once=_AT_ONCE)
        figure = figure_of([one for one in results if one is not None])
        found: dict[tuple[str, Sharing], float] = {}
        for (name, sharing, choice), measured in zip(probed, results, strict=True):
            if (
                measured is not None
                and (ratio := ratio_of(figure(measured), self._option(name, choice).noise)) is not None
            ):
                found[name, sharing] = ratio
        self._skip_rest(_ALONE)
        ended = all(measured is not None for measured in results)
        self.bench.context.progress.end(step, "done" if ended else "time is over")
        self.finished = self.finished and ended
        return self._completed(found)

    def _completed(self, found: Mapping[tuple[str, Sharing], float]) -> dict[tuple[str, Sharing], float]:
        """The sensitivities of all kernels; one that was not measured counts as the most sensitive one."""
        highest = max(found.values(), default=1.0)
        shared: tuple[Sharing, ...] = ("channel", "tensor")
        return {(name, one): found.get((name, one), highest) for name in self.weights.kernels for one in shared}

    # All kernels

    def _ways(
        self, sensitivities: Mapping[tuple[str, Sharing], float]
    ) -> dict[str, list[tuple[KernelChoice | None, Way]]]:
        """Kernel → the ways to store it, with the errors that they are expected to make."""
        ways = {}
        for name in self.weights.kernels:
            ways[name] = [
                (choice, Way(sensitivities[name, sharing_of(choice)] * option.noise, self._size(option)))
                for choice in self._choices(name)
                for option in (self._option(name, choice),)
            ]
        return ways

    def _size(self, option: KernelOption) -> int:
        return option.raw_bytes if self.bench.target.transfer == "size_bytes" else option.compressed_bytes

    def _descend(self, ways: Mapping[str, list[tuple[KernelChoice | None, Way]]]) -> None:
        """Measure divisions from precise to small, until none fits any more, and then between the last two."""
        plain = [[way for _, way in each] for each in ways.values()]
        steps = ladder(plain, _STEPS)
        step = f"divide bytes among the weights of {self.bench.float32.format}"
        self.bench.context.progress.begin(step, len(steps))
        for begin in range(0, len(steps), _AT_ONCE):
            self._measure_all(steps[begin : begin + _AT_ONCE], ways, step)
            last = list(self._allocations)[-2 * _AT_ONCE :]
            if self._is_over() or (len(self._allocations) >= 2 * _AT_ONCE and not self._keeping & set(last)):
                break
        self._end(step)
        self._refine(ways)

    def _refine(self, ways: Mapping[str, list[tuple[KernelChoice | None, Way]]]) -> None:
        """Measure divisions between the smallest one that fits and the next smaller one."""
        plain = [[way for _, way in each] for each in ways.values()]
        step = f"divide bytes among the weights of {self.bench.float32.format} more finely"
        self.bench.context.progress.begin(step, _FINE_ROUNDS * _FINE_STEPS)
        for _ in range(_FINE_ROUNDS):
            larger, smaller = self._edge()
            if larger is None or smaller is None or self._is_over():
                break
            if not self._measure_all(between(plain, larger, smaller, _FINE_STEPS), ways, step):
                break
        self._end(step)

    def _end(self, step: str) -> None:
        best = smallest(self._candidates())
        words = f"best so far: {best.name}, {best.size_bytes:,} bytes" if best else "nothing fits so far"
        self.bench.context.progress.end(step, words)

    def _skip_rest(self, *phases: str) -> None:
        for phase in tuple(phases):
            self.bench.context.progress.skip(phase, self._left.pop(phase, 0))

    def _done(self, phase: str, step: str) -> None:
        if self._left.get(phase, 0) > 0:  # there may be more of it than was announced
            self._left[phase] -= 1
            self.bench.context.progress.work(phase, 1)
        self.bench.context.progress.advance(step, 1)

    @property
    def _keeping(self) -> set[str]:
        """The candidates that keep the loss, whatever their size: smaller ones may be small enough."""
        return {one.name for one in self._candidates() if one.keeps}

    def _edge(self) -> tuple[Allocation | None, Allocation | None]:
        """The smallest division that keeps the loss, and the next smaller one that was measured."""
        ordered = sorted(self._allocations, key=lambda name: self.measured[name].size_bytes)
        place = next((place for place, name in enumerate(ordered) if name in self._keeping), None)
        if place is None:
            return None, None
        return self._allocations[ordered[place]], self._allocations[ordered[place - 1]] if place else None

    def _measure_all(
        self,
        allocations: Sequence[Allocation],
        ways: Mapping[str, list[tuple[KernelChoice | None, Way]]],
        step: str,
    ) -> int:
        """Measure divisions, and return how many could be measured; those that are measured already do not count."""
        stored: list[_Stored] = []
        divided: dict[str, Allocation] = {}
        for allocation in allocations:
            options = {
                name: self._option(name, without(each[at][0], self._taken_back.get(name)))
                for (name, each), at in zip(ways.items(), allocation, strict=True)
            }
            # What tells two divisions apart may be taken back; then two threads would write the same folder.
            if all(options != one.options for one in (*self.stored.values(), *stored)):
                one = _Stored(self._name(options), options, self.weights.halves)
                divided[one.name] = allocation
                stored.append(one)

        def measure(one: _Stored) -> Measured | None:
            if self._is_over():
                self.finished = False
                return None
            measured = self._measure(one)
            self._done(_DIVIDE, step)
            return measured

        results = side_by_side(measure, stored, at_once=_AT_ONCE)
        for one, measured in zip(stored, results, strict=True):
            if measured is not None:
                self.measured[one.name], self.stored[one.name] = measured, one
                self._allocations[one.name] = divided[one.name]
        return sum(measured is not None for measured in results)

    def _name(self, options: Mapping[str, KernelOption]) -> str:
        """The mean number of bits of a value in kernels, with a number that tells candidates apart."""
        sizes = self.weights.kernels
        bits = sum(sizes[name] * (option.choice.bits if option.choice else 16) for name, option in options.items())
        self._number += 1
        return f"{bits / max(sum(sizes.values()), 1):.2f} bits #{self._number}"

    # Single decisions taken back

    def _take_back(self, best: _Stored) -> str | None:
        """Take back GPTQ, corrected biases and clipped ranges where that alone lowers the error.

        Returns:
            The name of the candidate with all that taken back, if its error is lower; else None.
        """
        base = self.measured[best.name]
        step = "take back what does not help"
        alternatives = [
            (name, choice)
            for name, option in best.options.items()
            for choice in simpler(option.choice)
            if not is_same(option, self._option(name, choice))
        ]
        self.bench.context.progress.begin(step, len(alternatives))

        def try_one(place: int) -> Measured | None:
            name, choice = alternatives[place]
            if self._is_over():
                self.finished = False
                return None
            options = {**best.options, name: self._option(name, choice)}
            measured = self._measure(_Stored(f"{best.name} with {choice}", options, best.halves))
            self._done(_BACK, step)
            return measured

        tried = side_by_side(try_one, range(len(alternatives)), at_once=_AT_ONCE)
        figure = figure_of([base, *(one for one in tried if one is not None)])
        better: dict[str, tuple[float, KernelOption]] = {}
        for (name, choice), one in zip(alternatives, tried, strict=True):
            if one is not None and figure(one) < better.get(name, (figure(base),))[0]:
                better[name] = (figure(one), self._option(name, choice))
        self.bench.context.progress.end(step, f"{len(better)} of {len(alternatives)} lower the error alone")
        if better and not self._is_over():
            options = {**best.options, **{name: option for name, (_, option) in better.items()}}
            changed = _Stored(f"{best.name}, {len(better)} taken back", options, best.halves)
            measured = self._measure(changed)
            figure = figure_of([base, measured])
            if figure(measured) < figure(base):
                self.measured[changed.name], self.stored[changed.name] = measured, changed
                self._taken_back |= {name: option.choice for name, (_, option) in better.items() if option.choice}
                return changed.name
        return None

    # Measuring

    def _decisions(self, stored: _Stored) -> TunedWeights:
        return self.weights.tuned(stored.options, stored.halves)

    def _measure(self, stored: _Stored) -> Measured:
        """Measure a candidate, unless it is kept."""
        decisions = self._decisions(stored)
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

    def _is_over(self, share: float = 1.0) -> bool:
        return time.monotonic() > self.began + share * (self.deadline - self.began)
