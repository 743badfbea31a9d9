"""Every tensor of every trial against the reference's, a batch at a time.

All variants are open at once and read the same batch, so that the reference and each format's float32 graph run once a
batch. What a batch held lies in one file a session, which the next batch overwrites.
"""

import functools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import QuantlabError
from quantlab.runtimes.taps import Reading
from quantlab.statistics import LayerError, NamedTensor, align, layers_of, layers_without_tensor
from quantlab.store import key_of
from quantlab.study._layer_rows import carry_over, measured_row, unaligned_row, with_isolated
from quantlab.study._sessions import Feed, Opened, open_isolated, open_reference, open_variant
from quantlab.types import Alignment, Baseline, LayerRow, OpenedModel, TapSpec, Trial, TrialLayers, Variant

__all__ = ["LayerStudy"]

Array = npt.NDArray[Any]

_ALIGN_SAMPLES = 8
_BATCH_BYTES = 64 << 20  # of one variant's tensors; with all variants open some of it lies in memory many times
_AT_ONCE = 2


@dataclass(slots=True)
class _Inside:
    """One trial while its tensors are summed."""

    trial: Trial
    opened: Opened
    float32: str
    """The setting of its format's float32 variant."""
    names: Mapping[str, str]
    """Its tensor → the float32 variant's."""
    isolated: Opened | None = None
    sums: dict[tuple[Baseline, str], LayerError] = field(default_factory=dict)
    isolated_sums: dict[str, LayerError] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    """Tensor → why it could not be read."""
    notes: list[str] = field(default_factory=list)
    largest_drift: float = 0.0
    """Of the tapped run's scored output from the measured run's."""

    @property
    def is_float32(self) -> bool:
        return self.trial.setting == self.float32 and self.trial.runtime == "python"


@dataclass(slots=True)
class LayerStudy:
    """The comparison of all trials' tensors; `run` gives each trial's rows."""

    feed: Feed
    model: OpenedModel
    indices: Array
    """Where the feed's samples stand among those that are scored."""
    scored_output: str
    trials: Sequence[Trial]
    _float32: dict[str, Opened] = field(default_factory=dict)
    _alignments: dict[str, dict[str, Alignment]] = field(default_factory=dict)
    """Format → tensor of its float32 variant → what it is."""
    _layers: dict[str, tuple[Alignment, ...]] = field(default_factory=dict)
    """Format → layers of the reference that have no tensor in it."""

    def run(self) -> list[TrialLayers]:
        """The rows of every measured trial whose format has a float32 variant, kept ones where nothing changed."""
        measured = [trial for trial in self.trials if trial.status == "measured" and self._original(trial) is not None]
        found: dict[str, TrialLayers | None] = {self._key(trial): self._kept(trial) for trial in measured}
        missing = [trial for trial in measured if found[self._key(trial)] is None]
        if missing:
            for compared, trial in zip(self._compare(missing), missing, strict=True):
                found[self._key(trial)] = compared
                self.feed.context.store.write(self._file(trial), compared)
        return [layers for trial in measured if (layers := found[self._key(trial)]) is not None]

    def _original(self, trial: Trial) -> Variant | None:
        """The float32 variant of a trial's format, as it was measured in Python."""
        name = f"{trial.variant.format}-float32" if trial.variant else None
        for other in self.trials:
            if other.setting == name and other.runtime == "python" and other.status == "measured":
                return other.variant
        return None

    def _key(self, trial: Trial) -> str:
        original = self._original(trial)
        return key_of(
            {
                "setting": trial.setting,
                "runtime": trial.runtime,
                "artifact": trial.variant.sha256 if trial.variant else None,
                "float32": original.sha256 if original else None,
                "environment": dict(trial.environment),
                "samples": self.feed.samples.sha256,
                "n": self.feed.samples.n,
            }
        )

    def _file(self, trial: Trial) -> Any:
        return self.feed.context.store.root / "inside" / trial.setting / trial.runtime / f"{self._key(trial)}.json"

    def _kept(self, trial: Trial) -> TrialLayers | None:
        return self.feed.context.store.read(self._file(trial), TrialLayers)

    def _compare(self, trials: Sequence[Trial]) -> list[TrialLayers]:
        step = f"look inside {len(trials)} trials"
        self.feed.context.progress.begin(step)
        first = self._align(trials)
        open_trials = [self._open(trial) for trial in trials]
        needed = sorted(
            {each.reference for known in self._alignments.values() for each in known.values() if each.reference}
        )
        reference = open_reference(self.feed, self.model, needed)
        size = max(1, min(self.feed.context.options.batch_size, _BATCH_BYTES // max(first, 1)))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for start in range(0, self.feed.samples.n, size):
                stop = min(start + size, self.feed.samples.n)
                expected = reference.session.read(start, stop)
                originals = {name: opened.session.read(start, stop) for name, opened in self._float32.items()}
                add = functools.partial(self._add, expected=expected, originals=originals, part=(start, stop))
                list(pool.map(add, open_trials))
        self.feed.context.progress.end(step, "done")
        return [self._finish(each) for each in open_trials]

    def _align(self, trials: Sequence[Trial]) -> int:
        """Align each format's float32 variant by value; gives the bytes of one sample's tensors."""
        whole = open_reference(self.feed, self.model, None)
        stop = min(_ALIGN_SAMPLES, self.feed.samples.n)
        reading = whole.session.read(0, stop)
        references = _named(whole.taps, reading.taps)
        largest = 1
        for original in {each.name: each for trial in trials if (each := self._original(trial))}.values():
            opened = open_variant(self.feed, original, "python")
            values = opened.session.read(0, stop).taps
            found = align(_named(opened.taps, values), references)
            self._float32[original.name] = opened
            self._alignments[original.name] = {each.tensor: each for each in found}
            self._layers[original.name] = layers_without_tensor(
                found, layers_of([each.name for each in references]).values()
            )
            largest = max(largest, sum(value.nbytes for value in values.values()) // stop)
        return largest

    def _open(self, trial: Trial) -> _Inside:
        variant, original = trial.variant, self._original(trial)
        if variant is None or original is None:
            raise ValueError(f"{trial.setting} has no variant to look inside of")
        opened = open_variant(self.feed, variant, str(trial.ran_on))
        names = carry_over(opened.taps, self._float32[original.name].taps)
        inside = _Inside(trial, opened, original.name, names)
        if (
            variant.format == "tfjs"
            and trial.runtime == "python"
            and variant.name != original.name
            and not variant.given
        ):
            inside.isolated = open_isolated(self.feed, variant, original)
        return inside

    def _add(self, each: _Inside, expected: Reading, originals: Mapping[str, Reading], part: tuple[int, int]) -> None:
        """Sum one batch of one trial; what goes wrong in it is its own."""
        if each.notes and each.notes[-1].startswith(_UNREADABLE):
            return
        try:
            reading = each.opened.session.read(*part)
            if each.isolated is not None:
                self._add_isolated(each, each.isolated.session.read(*part), originals[each.float32])
        except QuantlabError as error:
            each.notes.append(f"{_UNREADABLE} {each.trial.setting} in {each.trial.runtime}: {error}")
            return
        each.failed.update(reading.failed)
        self._add_drift(each, reading, part)
        for tap in each.opened.taps:
            if tap.name in reading.taps:
                self._add_tap(each, tap, reading.taps[tap.name], (expected, originals[each.float32]))

    def _add_tap(self, each: _Inside, tap: TapSpec, value: Array, baselines: tuple[Reading, Reading]) -> None:
        alignment = self._alignments[each.float32].get(each.names.get(tap.name, ""))
        if alignment is None or not alignment.aligned or alignment.reference is None:
            return
        expected, original = baselines
        self._sum(each, ("reference", tap.name), expected.taps[alignment.reference], value, tap)
        if not each.is_float32:
            self._sum(each, ("float32", tap.name), original.taps[alignment.tensor], value, tap)

    def _sum(self, each: _Inside, key: tuple[Baseline, str], baseline: Array, value: Array, tap: TapSpec) -> None:
        if baseline.size != value.size:
            each.failed[tap.name] = f"its shape is {value.shape[1:]} and the {key[0]}'s {baseline.shape[1:]}"
            return
        error = LayerError.of(baseline.reshape(value.shape), value, channels=key[0] == "reference", codes=tap.codes)
        each.sums[key] = each.sums[key] + error if key in each.sums else error

    def _add_isolated(self, each: _Inside, reading: Reading, original: Reading) -> None:
        for name, value in reading.taps.items():
            if name in original.taps:
                error = LayerError.of(original.taps[name], value, channels=True)
                each.isolated_sums[name] = each.isolated_sums[name] + error if name in each.isolated_sums else error

    def _add_drift(self, each: _Inside, reading: Reading, part: tuple[int, int]) -> None:
        """How far the tapped run's answer is from the measured run's: kernels can differ when tensors are kept."""
        measured = np.load(each.trial.outputs[self.scored_output], mmap_mode="r")[self.indices[slice(*part)]]
        drift = np.abs(reading.outputs[self.scored_output].astype(np.float64) - measured)
        each.largest_drift = max(each.largest_drift, float(drift.max(initial=0.0)))

    def _finish(self, each: _Inside) -> TrialLayers:
        if each.largest_drift:
            each.notes.append(
                f"{each.trial.setting} in {each.trial.runtime} answers differently while its tensors are read, "
                f"by up to {each.largest_drift:.2g}"
            )
        rows = [row for place, tap in enumerate(each.opened.taps) for row in self._rows(each, tap, place)]
        last = len(each.opened.taps)
        rows += [unaligned_row(each.trial, None, layer, last) for layer in self._layers[each.float32]]
        return TrialLayers(tuple(rows), tuple(each.notes))

    def _rows(self, each: _Inside, tap: TapSpec, place: int) -> list[LayerRow]:
        alignment = self._alignments[each.float32].get(each.names.get(tap.name, ""))
        reason = tap.reason or each.failed.get(tap.name)
        if alignment is None:
            reason = reason or "the float32 variant has no tensor of this name, nor an op in this place"
        elif ("reference", tap.name) not in each.sums:
            reason = reason or alignment.reason or "it could not be read"
        if alignment is None or reason is not None:
            layer = alignment.layer if alignment else tap.name
            return [unaligned_row(each.trial, tap, Alignment(tap.name, None, layer, reason), place)]
        baselines: tuple[Baseline, ...] = ("reference", "float32")
        rows = [
            measured_row(each.trial, tap, alignment, baseline, place=place, error=each.sums[baseline, tap.name])
            for baseline in baselines
            if (baseline, tap.name) in each.sums
        ]
        return [with_isolated(row, each.isolated_sums) for row in rows]


def _named(taps: Sequence[TapSpec], values: Mapping[str, Array]) -> list[NamedTensor]:
    return [NamedTensor(tap.name, values[tap.name]) for tap in taps if tap.name in values]


_UNREADABLE = "could not read inside"
