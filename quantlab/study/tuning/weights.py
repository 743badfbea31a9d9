"""Searches how the weights of an artifact are stored: the smallest one that may be expected to keep the budget.

1. Each kernel alone is stored in 4 bits with scales of channels, and in 8 bits with one scale, and measured. That tells
   how its noise, which is known for any number of bits without running anything, becomes error of the output.
2. Other weights become half floats, except those whose error would be too large (`halves`).
3. Single errors nearly add up, so the division of bytes with the least sum is known for any size (`allocation`). Some
   of these divisions are measured, from precise to small, until none can be expected to fit, and then more where the
   last one fitted.
4. In the smallest one that fits, GPTQ, the correction of the bias and clipped ranges are taken back for each kernel
   where that lowers the error that is measured; then smaller divisions are measured without them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from quantlab.names import counted
from quantlab.progress import Progress
from quantlab.study.tuning.acceptance import Goal, Measured, closest, figure_of, has_errors, preferred, smallest
from quantlab.study.tuning.allocation import Allocation, Way, between, error_of, ladder
from quantlab.study.tuning.choices import (
    PROBED_BITS,
    choices_of,
    is_same,
    probes_of,
    ratio_of,
    sharing_of,
    simpler,
    without,
)
from quantlab.study.tuning.halves import Groups, allowed_error, harmless
from quantlab.study.tuning.workbench import AT_ONCE, Stored, Workbench
from quantlab.types import Candidate, KernelChoice, Sharing, TunedFormat
from quantlab_converters.tunable import KernelOption, TunableWeights

__all__ = ["WeightSearch"]

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
_PROBE_TIME = 0.5
"""Share of the time after which no further kernel is measured alone."""
_HALVES_TIME = 0.6
"""Share of the time after which no further weights are measured as half floats."""


_ALONE, _HALVES, _DIVIDE, _BACK = "store weights alone", "store half floats", "divide bytes", "take decisions back"
"""The phases of a search, for its progress."""
_MOST_BACK = 3
"""Decisions about a kernel that can be taken back."""


Ways = Mapping[str, Sequence[tuple[KernelChoice | None, Way]]]
"""Kernel → the ways to store it."""


@dataclass(eq=False)
class WeightSearch:
    """The search in one format."""

    work: Workbench
    goal: Goal
    official: Sequence[Measured]
    """The settings of the format, measured on the same samples."""
    measured: dict[str, Measured] = field(default_factory=dict)
    """Name of a candidate → what was measured."""
    stored: dict[str, Stored] = field(default_factory=dict)
    """Name of a candidate → how it stores the weights."""
    _allocations: dict[str, Allocation] = field(default_factory=dict)
    """Name of a candidate → how it divides the bytes."""
    _taken_back: dict[str, KernelChoice] = field(default_factory=dict)
    """Kernel → a choice without what did not help it."""
    _left: dict[str, int] = field(default_factory=dict)
    """Phase → units that were announced and are not done."""
    _probed: list[Measured] = field(default_factory=list)
    """What was measured of kernels alone."""
    _halves: tuple[str, ...] = ()
    """The other weights that become half floats."""
    _single_decisions: int = 0
    """Number of artifacts that were measured to choose half floats and to take decisions back."""
    _summed: dict[str, float] = field(default_factory=dict)
    """Name of a candidate → the sum of the errors that are expected of its kernels alone."""
    _number: int = 0

    def run(self) -> TunedFormat:
        """Search, and decide."""
        self._announce()
        ways = self._ways(self._sensitivities())
        self._halves = self._harmless(ways)
        self._descend(ways)
        self._skip_rest(_DIVIDE)  # the time of what is left of a phase is told by all the time since it began
        for _ in range(_BACK_ROUNDS):
            best = smallest(self._candidates())
            if best is None or best.official or self.work.is_over() or not self._take_back(self.stored[best.name]):
                break
            self._skip_rest(_BACK)
            self._refine(ways)
        self._skip_rest(*self._left)
        candidates = self._candidates()
        chosen = preferred(candidates) or closest(candidates)
        self._warn_of_late_rounding(chosen)
        weights = None if chosen.official else self.work.decisions(self.stored[chosen.name])
        return TunedFormat(
            candidates=tuple(replace(one, summed_error=self._summed_error(one)) for one in candidates),
            chosen=chosen.name,
            weights=weights,
            setting=chosen.name if chosen.official else None,
            finished=self.work.finished,
            single_decisions=self._single_decisions,
        )

    def _summed_error(self, candidate: Candidate) -> float | None:
        """The sum of the errors of its kernels alone, if they are in the figure of the candidate's error."""
        same = has_errors(self._known) == has_errors([*self.official, *self.measured.values()])
        return self._summed.get(candidate.name) if same else None

    def _warn_of_late_rounding(self, chosen: Candidate) -> None:
        options = {} if chosen.official else self.stored[chosen.name].options
        coded = {name: option.choice for name, option in options.items() if option.choice is not None}
        late = [name for name in self.work.rounded_late & set(coded) if coded[name].rounding == "nearest"]
        if late:
            self._progress.warn(
                f"little time was left, so {len(late)} of {counted(len(options), 'kernel')} are rounded to the nearest "
                f"codes and not by GPTQ; give more --budget-minutes"
            )

    @property
    def weights(self) -> TunableWeights:
        """The weights that are tuned."""
        return self.work.weights

    @property
    def _progress(self) -> Progress:
        return self.work.bench.context.progress

    @property
    def _format(self) -> str:
        return self.work.bench.float32.format

    def _candidates(self) -> list[Candidate]:
        return self.goal.judged([*self.official, *self.measured.values()])

    def _announce(self) -> None:
        """Announce all phases, so that the time that is told to be left lacks none."""
        seconds = self.work.bench.run_seconds / AT_ONCE
        probes = sum(len(self._probes(name)) for name in self.weights.kernels)
        divisions = _STEPS + _FINE_ROUNDS * _FINE_STEPS
        self._left = {_ALONE: probes, _HALVES: 1, _DIVIDE: divisions, _BACK: _MOST_BACK * len(self.weights.kernels)}
        for phase, units in self._left.items():
            self._progress.plan(phase, units, seconds)

    # Kernels alone

    @cached_property
    def _by_channel(self) -> frozenset[str]:
        """The kernels that may have a scale for each channel: those first that lose most without."""
        options, gains = {}, {}
        for name in self.weights.kernels:
            if self.work.stops(_PROBE_TIME):
                break
            options[name] = self.work.option(name, self.weights.choice(name, PROBED_BITS, "channel"))
            shared = self.work.option(name, self.weights.choice(name, PROBED_BITS, "tensor"))
            gains[name] = shared.noise - options[name].noise
        return self.weights.affordable(gains, options)

    @property
    def _known(self) -> list[Measured]:
        """What is measured before bytes are divided; it decides in which figure sensitivities are."""
        return [*self.official, *self._probed]

    def _probes(self, kernel: str) -> list[KernelChoice]:
        return probes_of(self.weights, kernel, by_channel=kernel in self._by_channel)

    def _sensitivities(self) -> dict[tuple[str, Sharing], float]:
        """Kernel, and whether channels share a scale → error of the output in relation to the noise of the kernel."""
        sizes = self.weights.kernels
        ordered = sorted(sizes, key=lambda name: (-sizes[name], name))
        reached, total = 0, sum(sizes.values())
        probed: list[tuple[str, KernelChoice]] = []
        for name in ordered:
            if reached < _PROBED_SHARE * total:
                probed += [(name, choice) for choice in self._probes(name)]
            reached += sizes[name]
        step = f"store weights of {self._format} one by one"
        self._progress.begin(step, len(probed))

        alone: list[Stored] = []
        for name, choice in probed:
            if self.work.stops(_PROBE_TIME):
                break
            alone.append(Stored(f"{name} alone", {name: self.work.option(name, choice)}, ()))
        results = self.work.measure_all(alone, lambda: self._done(_ALONE, step), share=_PROBE_TIME)
        self._probed = [one for one in results if one is not None]
        figure = figure_of(self._known)
        found: dict[tuple[str, Sharing], float] = {}
        for (name, choice), measured in zip(probed, results, strict=False):  # without those for which time was over
            error = math.inf if measured is None else figure(measured)
            if (ratio := ratio_of(error, self.work.option(name, choice).noise)) is not None:
                found[name, choice.sharing] = ratio
        self._skip_rest(_ALONE)
        ended = len(self._probed) == len(probed)
        self._progress.end(step, "done" if ended else "time is over")
        return self._completed(found)

    def _completed(self, found: Mapping[tuple[str, Sharing], float]) -> dict[tuple[str, Sharing], float]:
        """The sensitivities of all kernels; one that was not measured counts as the most sensitive one."""
        highest = max(found.values(), default=1.0)
        shared: tuple[Sharing, ...] = ("channel", "tensor")
        return {(name, one): found.get((name, one), highest) for name in self.weights.kernels for one in shared}

    # Other weights

    def _harmless(self, ways: Ways) -> tuple[str, ...]:
        """The other weights that become half floats."""
        known = self._known
        allowed = allowed_error(ways, self.goal, known) if known else 0.0
        step = f"store other weights of {self._format} as half floats"
        self._progress.begin(step, 1)

        def errors_of(groups: Groups) -> list[float | None]:
            halved = [Stored(f"{counted(len(group), 'weight')} in half floats", {}, group) for group in groups]
            results = self.work.measure_all(halved, lambda: self._done(_HALVES, step), share=_HALVES_TIME)
            self._single_decisions += sum(one is not None for one in results)
            return [None if one is None else figure_of(known)(one) for one in results]

        chosen = harmless(self.weights.halves, errors_of, allowed)
        self._skip_rest(_HALVES)
        self._progress.end(step, f"{len(chosen)} of {len(self.weights.halves)} lose next to nothing")
        return chosen

    # All kernels

    def _ways(self, sensitivities: Mapping[tuple[str, Sharing], float]) -> Ways:
        """The ways to store kernels, with the errors that they are expected to make; none if there is no time left."""
        ways = dict[str, list[tuple[KernelChoice | None, Way]]]()
        for name in self.weights.kernels:
            ways[name] = []
            for choice in choices_of(self.weights, name, by_channel=name in self._by_channel):
                if self.work.stops():
                    return {}
                option = self.work.option(name, choice)
                error = sensitivities[name, sharing_of(choice)] * option.noise
                ways[name].append((choice, Way(error, self._size(option))))
        return ways

    def _size(self, option: KernelOption) -> int:
        return option.raw_bytes if self.work.bench.target.transfer == "size_bytes" else option.compressed_bytes

    def _descend(self, ways: Ways) -> None:
        """Measure divisions from precise to small, until none fits any more, and then between the last two."""
        plain = [[way for _, way in each] for each in ways.values()]
        steps = ladder(plain, _STEPS)
        step = f"divide bytes among the weights of {self._format}"
        self._progress.begin(step, len(steps))
        for begin in range(0, len(steps), AT_ONCE):
            self._measure_all(steps[begin : begin + AT_ONCE], ways, step)
            last = list(self._allocations)[-2 * AT_ONCE :]
            if self.work.is_over() or (len(self._allocations) >= 2 * AT_ONCE and not self._keeping & set(last)):
                break
        self._end(step)
        self._refine(ways)

    def _refine(self, ways: Ways) -> None:
        """Measure divisions between the smallest one that fits and the next smaller one."""
        plain = [[way for _, way in each] for each in ways.values()]
        step = f"divide bytes among the weights of {self._format} more finely"
        self._progress.begin(step, _FINE_ROUNDS * _FINE_STEPS)
        for _ in range(_FINE_ROUNDS):
            larger, smaller = self._edge()
            if larger is None or smaller is None or self.work.is_over():
                break
            if not self._measure_all(between(plain, larger, smaller, _FINE_STEPS), ways, step):
                break
        self._end(step)

    def _end(self, step: str) -> None:
        best = smallest(self._candidates())
        words = f"best so far: {best.name}, {best.size_bytes:,} bytes" if best else "nothing fits so far"
        self._progress.end(step, words)

    def _skip_rest(self, *phases: str) -> None:
        for phase in tuple(phases):
            self._progress.skip(phase, self._left.pop(phase, 0))

    def _done(self, phase: str, step: str) -> None:
        if self._left.get(phase, 0) > 0:  # there may be more of it than was announced
            self._left[phase] -= 1
            self._progress.work(phase, 1)
        self._progress.advance(step, 1)

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
        ways: Ways,
        step: str,
    ) -> int:
        """Measure divisions, and return how many could be measured; those that are measured already do not count."""
        stored: list[Stored] = []
        divided: dict[str, Allocation] = {}
        for allocation in allocations:
            if self.work.stops():
                break
            options = {
                name: self.work.option(name, without(each[at][0], self._taken_back.get(name)))
                for (name, each), at in zip(ways.items(), allocation, strict=True)
            }
            # What tells two divisions apart may be taken back; then two threads would write the same folder.
            if all(options != one.options for one in (*self.stored.values(), *stored)):
                one = Stored(self._name(options), options, self._halves)
                divided[one.name] = allocation
                stored.append(one)

        results = self.work.measure_all(stored, lambda: self._done(_DIVIDE, step))
        for one, measured in zip(stored, results, strict=True):
            if measured is not None:
                self.measured[one.name], self.stored[one.name] = measured, one
                self._allocations[one.name] = divided[one.name]
                if not self._taken_back:  # the sum is that of kernels with all that helps them alone
                    plain = [[way for _, way in each] for each in ways.values()]
                    self._summed[one.name] = error_of(plain, divided[one.name])
        return sum(measured is not None for measured in results)

    def _name(self, options: Mapping[str, KernelOption]) -> str:
        """The mean number of bits of a value in kernels, with a number that tells candidates apart."""
        sizes = self.weights.kernels
        bits = sum(sizes[name] * (option.choice.bits if option.choice else 16) for name, option in options.items())
        self._number += 1
        return f"{bits / max(sum(sizes.values()), 1):.2f} bits #{self._number}"

    # Single decisions taken back

    def _take_back(self, best: Stored) -> str | None:
        """Take back GPTQ, corrected biases and clipped ranges where that alone lowers the error.

        Returns:
            The name of the candidate with all that taken back, if its error is lower; else None.
        """
        base = self.measured[best.name]
        step = "take back what does not help"
        alternatives = list(self._alternatives(best))
        self._progress.begin(step, len(alternatives))
        changed = [
            Stored(f"{best.name} with {option.choice}", {**best.options, name: option}, best.halves)
            for name, option in alternatives
        ]
        tried = self.work.measure_all(changed, lambda: self._done(_BACK, step))
        self._single_decisions += sum(one is not None for one in tried)
        figure = figure_of([base, *(one for one in tried if one is not None)])
        better: dict[str, tuple[float, KernelOption]] = {}
        for (name, option), one in zip(alternatives, tried, strict=True):
            if one is not None and figure(one) < better.get(name, (figure(base),))[0]:
                better[name] = (figure(one), option)
        self._progress.end(step, f"{len(better)} of {len(alternatives)} lower the error alone")
        if better and not self.work.is_over():
            options = {**best.options, **{name: option for name, (_, option) in better.items()}}
            simple = Stored(f"{best.name}, {len(better)} taken back", options, best.halves)
            measured = self.work.measure(simple)
            self._single_decisions += 1
            figure = figure_of([base, measured])
            if figure(measured) < figure(base):
                self._single_decisions -= 1  # it is a candidate now
                self.measured[simple.name], self.stored[simple.name] = measured, simple
                self._taken_back |= {name: option.choice for name, (_, option) in better.items() if option.choice}
                return simple.name
        return None

    def _alternatives(self, best: Stored) -> Iterator[tuple[str, KernelOption]]:
        """Kernel → how it is stored with one improvement left out, where that stores something else."""
        for name, option in best.options.items():
            for choice in simpler(option.choice):
                if self.work.stops():
                    return
                simple = self.work.option(name, choice)
                if not is_same(option, simple):
                    yield name, simple
