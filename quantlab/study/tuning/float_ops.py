"""Searches which ops of an artifact stay in float: the smallest artifact that may be expected to keep the budget.

1. All settings of the format are candidates. Those that are smaller than the smallest one that fits are tried further:
   the smallest ones first, while there is time.
2. Each op of such a setting is quantized alone and measured. Ops are sorted by this error in relation to the bytes that
   they add in float.
3. Artifacts that keep the first of them in float are measured: 1, 2, 3, 4, 6, 8, 12 ops and so on, until one fits, then
   the numbers in between, and then larger numbers as long as that makes the artifact smaller.
4. In the smallest one that fits, ops are quantized again where it then still fits and is smaller: errors of single ops
   do not quite add up, and an op in float may even add to the error of another one.

Weights of ops that stay in float are stored as half floats, whose error is far below that of 8 bits, at half the bytes
of float32. An op with few weights for each channel may even become smaller, because codes need scales and zero points.
"""

import shutil
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from quantlab.errors import ConversionError, QuantlabError
from quantlab.names import counted
from quantlab.study.sensitivity import measure_alone
from quantlab.study.sensitivity_subject import Subject, measurable_settings, request_of, subject_of
from quantlab.study.tuning.acceptance import Goal, Measured, closest, smallest
from quantlab.study.tuning.measuring import Bench, candidate_key
from quantlab.types import Candidate, OpenedModel, Study, TunedFormat
from quantlab_converters import Conversion, Part, convert_settings
from quantlab_converters.float_layers import entry_of

__all__ = ["FloatOpsSearch", "ladder", "next_number", "ordered_ops"]

_BASES = 3
"""Settings of which ops are kept in float, at most."""
_RANKED_SHARE = 0.6
"""Share of the time of a setting after which no further op is measured alone."""
_HALF_BYTES = 2
_OP_BYTES = 250
"""Counted for each op besides its weights, so that no op is free. Of the TFLite and ONNX files of two small models, an
op in float adds between 200 bytes more and 1,000 less than its weights: conversions at its ends, but no scales."""


def ordered_ops(errors: Mapping[Part, float], weight_bits: int) -> list[Part]:
    """The ops that cause an error, that with the largest error for each byte that it adds in float first.

    Args:
        errors: The error of each op, quantized alone.
        weight_bits: Bits of a quantized weight.
    """
    added = {part: part.values * (_HALF_BYTES - weight_bits / 8) + _OP_BYTES for part in errors}
    ordered = sorted(errors, key=lambda part: (-errors[part] / added[part], added[part], part.tap))
    return [part for part in ordered if errors[part] > 0]


def ladder(most: int) -> list[int]:
    """The numbers of ops that are tried: from 2 on, each is at most 1.5 times the one before; `most` is the last.

    >>> ladder(14), ladder(3), ladder(0)
    ([1, 2, 3, 4, 6, 8, 12, 14], [1, 2, 3], [])
    """
    steps = {step for power in range(most.bit_length()) for step in (2**power, 3 * 2**power) if step < most}
    return sorted(steps | ({most} if most else set()))


def next_number(tried: Mapping[int, int | None], steps: Sequence[int]) -> int | None:
    """The number of ops to try next; None if no other one can help.

    >>> next_number({1: None, 2: None}, [1, 2, 3, 4, 6]), next_number({4: None, 6: 900}, [1, 2, 3, 4, 6])
    (3, 5)

    Args:
        tried: Number of ops → size of the artifact if it fits, else None.
        steps: What is tried until one fits.
    """
    last = max(tried, default=0)
    fitting = {number: size for number, size in tried.items() if size is not None}
    if fitting:
        fewest = min(fitting)
        failing = max((number for number in tried if number < fewest), default=0)
        if fewest - failing > 1:
            return (failing + fewest) // 2
        if fitting.get(last) != min(fitting.values()):
            return None
    return next((step for step in steps if step > last), None)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A candidate, and what it is made from."""

    name: str
    setting: str
    float_layers: tuple[str, ...]
    """Entries of `--float-layers`, in the order of the ops."""


@dataclass(eq=False)
class FloatOpsSearch:
    """The search in one format."""

    bench: Bench
    study: Study
    """Of the settings on the search samples."""
    opened: OpenedModel
    goal: Goal
    official: Sequence[Measured]
    """The settings of the format, measured in that study."""
    deadline: float
    """In seconds of `time.monotonic`."""
    finished: bool = True
    measured: dict[str, Measured] = field(default_factory=dict)
    """Name of a candidate → what was measured."""
    made_from: dict[str, _Asked] = field(default_factory=dict)
    """Name of a candidate → what it is made from."""
    _number: int = 0
    """Number of candidates in which ops are quantized again."""

    def run(self) -> TunedFormat:
        """Search, and decide."""
        shutil.rmtree(self.bench.context.store.work / "tune", ignore_errors=True)  # of a search that was killed
        subjects = self._subjects()
        searched = [subject for subject in subjects if subject.parts]
        for place, subject in enumerate(searched):
            now = time.monotonic()
            if now > self.deadline:
                self.finished = False
                break
            if self._size_of(subject) < self._limit:
                self._search(subject, now + (self.deadline - now) / (len(searched) - place))
        candidates = self._candidates()
        chosen = smallest(candidates) or closest(candidates)
        made = self.made_from.get(chosen.name, _Asked(chosen.name, chosen.name, ()))
        return TunedFormat(
            candidates=tuple(candidates),
            chosen=chosen.name,
            setting=made.setting,
            float_layers=made.float_layers,
            finished=self.finished,
            note="none of the model's ops can be kept in float" if subjects and not searched else "",
        )

    def _candidates(self) -> list[Candidate]:
        return self.goal.judged([*self.official, *self.measured.values()])

    @property
    def _limit(self) -> float:
        """The size from which on a candidate is of no use."""
        fitting = smallest(self._candidates())
        sizes = (fitting.size_bytes if fitting else None, self.goal.budget.size_bytes)
        return min((size for size in sizes if size is not None), default=float("inf"))

    # Settings

    def _subjects(self) -> list[Subject]:
        """The settings of which ops may be kept in float: those that do not fit and are small enough."""
        registries, limit = self.bench.context.registries, self._limit
        measurable = [name for name in measurable_settings(registries) if not registries.settings[name].half]
        small = [one for one in self._candidates() if not one.fits and one.size_bytes < limit and one.official]
        names = [one.name for one in sorted(small, key=lambda one: (one.size_bytes, one.name))]
        chosen = [name for name in names if name in measurable][:_BASES]
        return [subject_of(self.study, name, registries) for name in chosen]

    def _size_of(self, subject: Subject) -> int:
        return next(one.size_bytes for one in self.official if one.name == subject.setting.name)

    def _search(self, subject: Subject, until: float) -> None:
        """Measure artifacts of a setting that keep more and more ops in float."""
        name, now = subject.setting.name, time.monotonic()
        found = measure_alone(
            self.bench.context, self.study, self.opened, subject, deadline=now + _RANKED_SHARE * (until - now)
        )
        self.finished = self.finished and found.finished
        if not found.errors and found.reasons:
            self.bench.context.progress.warn(f"{name} is not tuned: {next(iter(found.reasons.values()))}")
        if ops := ordered_ops(found.errors, subject.setting.weight_bits):
            self._keep(subject, tuple(entry_of(part, subject.parts) for part in ops), until)
            self._quantize_again(subject, until)

    def _keep(self, subject: Subject, entries: tuple[str, ...], until: float) -> None:
        """Keep more and more of the ops in float, until one fits."""
        steps, step = ladder(len(entries)), f"keep ops of {subject.setting.name} in float"
        self.bench.context.progress.begin(step, len(steps))
        tried: dict[int, str] = {}

        def first(number: int) -> _Asked:
            return _Asked(_name(subject, number), subject.setting.name, entries[:number])

        with closing(self._measure(subject, [first(number) for number in steps], step)) as larger:
            while (number := next_number(self._fitting(tried), steps)) is not None:
                if self._is_over(until):
                    break
                limit = self._limit
                if number > max(tried, default=0):  # the next one of the steps
                    measured = next(larger)
                else:
                    (measured,) = self._measure(subject, [first(number)], step)
                tried[number] = _name(subject, number)
                if measured and measured.size_bytes > limit and self._fitting(tried)[number] is None:
                    break
        self._end(step)

    def _fitting(self, tried: Mapping[int, str]) -> dict[int, int | None]:
        """Number of ops → size of the artifact if it fits, as all candidates together tell it now."""
        fitting = {one.name: one.size_bytes for one in self._candidates() if one.fits}
        return {number: fitting.get(name) for number, name in tried.items()}

    def _quantize_again(self, subject: Subject, until: float) -> None:
        """Quantize ops of the best candidate again, each alone, and then together those that make it smaller."""
        best = smallest(self._candidates())
        made = None if best is None else self.made_from.get(best.name)
        if best is None or made is None or made.setting != subject.setting.name or len(made.float_layers) < 2:
            return
        if self._is_over(until):
            return
        step = f"quantize ops of {subject.setting.name} again"
        self.bench.context.progress.begin(step, len(made.float_layers))
        alone = {entry: self._without(subject, made, [entry]) for entry in made.float_layers}
        with closing(self._measure(subject, list(alone.values()), step)) as results:
            for _ in results:
                if self._is_over(until):
                    break
        again: list[str] = []
        size_bytes = best.size_bytes
        for entry in self._smaller(alone, size_bytes):
            if self._is_over(until):
                break
            asked = self._without(subject, made, [*again, entry])
            (measured,) = self._measure(subject, [asked], step)
            if measured is not None and self._smaller({entry: asked}, size_bytes):
                again.append(entry)
                size_bytes = measured.size_bytes
        self._end(step)

    def _smaller(self, asked: Mapping[str, _Asked], size_bytes: float) -> list[str]:
        """The keys of candidates that fit and are smaller, that with the lowest error first."""
        judged = {one.name: one for one in self._candidates() if one.fits and one.size_bytes < size_bytes}
        better = [key for key, one in asked.items() if one.name in judged]
        return sorted(better, key=lambda key: (judged[asked[key].name].error, key))

    def _without(self, subject: Subject, made: _Asked, entries: Sequence[str]) -> _Asked:
        """The candidate with some of its ops quantized; under the name that it has, if it was measured."""
        left = tuple(entry for entry in made.float_layers if entry not in entries)
        known = [one for one in self.made_from.values() if (one.setting, one.float_layers) == (made.setting, left)]
        self._number += not known
        return known[0] if known else _Asked(f"{_name(subject, len(left))} #{self._number}", made.setting, left)

    def _is_over(self, until: float) -> bool:
        """Whether no further candidate may begin; then the search is not finished."""
        over = time.monotonic() > until
        self.finished = self.finished and not over
        return over

    def _end(self, step: str) -> None:
        best = smallest(self._candidates())
        words = f"best so far: {best.name}, {best.size_bytes:,} bytes" if best else "nothing fits"
        self.bench.context.progress.end(step, words)

    # Artifacts

    def _measure(self, subject: Subject, asked: Sequence[_Asked], step: str) -> Generator[Measured | None, None, None]:
        """Yield what is measured of candidates, in turn; None of one that cannot be made or run.

        One process converts all that are not kept, each while the one before is measured.
        """
        bench = self.bench
        keys = {one: self._key(subject, one) for one in asked}
        missing = [one for one in asked if bench.kept(keys[one], one.name) is None]
        # A folder of its own: a process that runs artifacts may still hold one that was at the same path.
        work = bench.context.store.work / "tune" / (keys[missing[0]] if missing else "nothing")
        request = request_of(subject, self.study, self.opened, [one.float_layers for one in missing], work)
        conversions = convert_settings(subject.converter, request, log=work / "log", pool=bench.context.pool)
        try:
            for one in asked:
                measured = bench.kept(keys[one], one.name)
                if measured is None:
                    measured = self._measured(subject, one, keys[one], next(conversions))
                if measured is not None:
                    self.measured[one.name], self.made_from[one.name] = measured, one
                bench.context.progress.advance(step, 1)
                yield measured
        finally:
            conversions.close()
            shutil.rmtree(work, ignore_errors=True)

    def _measured(self, subject: Subject, asked: _Asked, key: str, conversion: Conversion) -> Measured | None:
        try:
            if conversion.reason is not None:
                raise ConversionError(conversion.reason)
            return self.bench.measure(asked.name, key, subject.format.served(conversion.folder))
        except QuantlabError as failure:
            self.bench.context.progress.warn(f"{asked.name} could not be measured: {failure}")
            return None
        finally:
            shutil.rmtree(conversion.folder, ignore_errors=True)

    def _key(self, subject: Subject, asked: _Asked) -> str:
        calibration = self.study.calibration if subject.setting.calibrated else None
        sha256 = calibration.sha256 if calibration is not None else None
        return candidate_key((asked.setting, subject.quantized.sha256, asked.float_layers, sha256))


def _name(subject: Subject, number: int) -> str:
    return f"{subject.setting.name}, {counted(number, 'op')} in float"
