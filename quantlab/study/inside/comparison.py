"""Compares every tensor of every trial with the reference, one batch at a time.

All variants are open at the same time and read the same batch, so that the reference and each format's float32 graph
run once per batch. Each session writes the tensors of a batch to one file, which the next batch overwrites.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from quantlab.errors import QuantlabError
from quantlab.names import counted
from quantlab.processes import describe
from quantlab.runtimes.taps import TensorReader
from quantlab.statistics import (
    LAYER_STATISTICS,
    NamedTensor,
    align,
    layers_by_tensor,
    layers_without_tensor,
)
from quantlab.store import key_of
from quantlab.study.codes import code_key
from quantlab.study.context import read_kept
from quantlab.study.inside.batches import Batches
from quantlab.study.inside.choice import TapChoice
from quantlab.study.inside.dumped import DumpedTensors
from quantlab.study.inside.loops import load_loops
from quantlab.study.inside.rows import carry_over, unaligned_row
from quantlab.study.inside.sessions import (
    SessionInputs,
    TappedVariant,
    list_variant_taps,
    open_isolated,
    open_reference,
    open_variant,
    runs_ops_alone,
)
from quantlab.study.inside.sums import KnownTensors, TrialSums
from quantlab.study.side_by_side import side_by_side
from quantlab.types import (
    PYTHON,
    Alignment,
    ImportedLayers,
    OpenedModel,
    TapSpec,
    Trial,
    TrialLayers,
    Variant,
)

__all__ = ["PHASE", "LayerStudy"]

PHASE = "look inside"

Array = npt.NDArray[Any]

_ALIGN_SAMPLES = 8
_BATCH_BYTES = 64 << 20  # tensors of one variant; with all variants open, several such batches are in memory


@dataclass(frozen=True, slots=True)
class _Aligned:
    """The float32 baseline of a format, open in Python, and the alignment of its tensors."""

    opened: TappedVariant
    alignments: Sequence[Alignment]
    sample_bytes: int
    """Bytes of all tensors of one sample."""


@dataclass(slots=True)
class LayerStudy:
    """The comparison of all trials' tensors; `run` gives each trial's rows."""

    inputs: SessionInputs
    model: OpenedModel
    indices: Array
    """Indices of the samples of `inputs` among the scored samples."""
    scored_output: str
    trials: Sequence[Trial]
    choice: TapChoice
    reference_environment: Mapping[str, str]
    """Versions and flags that the reference's tensors depend on."""
    dumped: Mapping[tuple[str, str], ImportedLayers] = field(default_factory=dict)
    """Setting and name of an imported row → the tensors that the program wrote; other imported rows are left out."""
    at_once: int | None = None
    """Number of trials that are open at the same time; None is all. With fewer, the reference runs again for each
    part: a device may have memory for one variant only."""
    announce: Callable[[Trial], None] = lambda _: None
    """Called before a part of the trials is opened, with the first of them."""
    _float32: dict[str, TappedVariant] = field(default_factory=dict)
    _alignments: dict[str, dict[str, Alignment]] = field(default_factory=dict)
    """Format → tensor of its float32 baseline → its alignment."""
    _layers: dict[str, tuple[Alignment, ...]] = field(default_factory=dict)
    """Format → layers of the reference without a tensor in it."""
    _unopened: dict[str, str] = field(default_factory=dict)
    """Format → why the tensors of its float32 baseline could not be read."""
    _listed: dict[str, tuple[TapSpec, ...]] = field(default_factory=dict)
    """Setting → every tensor of its variant."""

    def run(self) -> list[TrialLayers]:
        """The rows of every measured trial whose format has a float32 baseline, from the store if nothing changed.

        Raises:
            UsageError: If a requested tap does not exist.
        """
        return [*self.rows_of(self.trials), *self._without_baseline()]

    def rows_of(self, trials: Sequence[Trial]) -> list[TrialLayers]:
        """The rows of some of `trials`, as `run`; the others are only baselines."""
        measured = [
            trial
            for trial in trials
            if trial.status == "measured" and self._float32_baseline(trial) is not None and self._readable(trial)
        ]
        by_key = {self._key(trial): self._kept(trial) for trial in measured}
        missing = [trial for trial in measured if by_key[self._key(trial)] is None]
        self.inputs.context.progress.skip(PHASE, self.inputs.samples.n * (len(trials) - len(missing)))
        if missing:
            for trial, layers, whole in self._compare(missing):
                by_key[self._key(trial)] = layers
                if whole:
                    self.inputs.context.store.write(self._file(trial), layers)
        return [kept for trial in measured if (kept := by_key[self._key(trial)]) is not None]

    def _readable(self, trial: Trial) -> bool:
        """Whether a runtime, or what another program wrote, gives the tensors of a trial.

        The runtime of a device that is not connected gives none.
        """
        if not trial.imported or (trial.setting, trial.runtime) in self.dumped:
            return True
        runtime = self.inputs.context.registries.runtimes.get(trial.runtime)
        return runtime is not None and runtime.elsewhere is None

    def _without_baseline(self) -> list[TrialLayers]:
        """A note for each variant whose format has no float32 baseline that was measured in Python."""
        lacking = dict.fromkeys(
            (trial.setting, trial.variant.float32)
            for trial in self.trials
            if trial.status == "measured" and trial.variant is not None and self._float32_baseline(trial) is None
        )
        return [
            TrialLayers((), (f"the layers of {name} were not compared, because {float32} was not measured in python",))
            for name, float32 in lacking
        ]

    def _float32_baseline(self, trial: Trial) -> Variant | None:
        """The float32 baseline of a trial's format, as it was measured in Python."""
        baseline = self._float32_trial(trial)
        return baseline.variant if baseline else None

    def _float32_trial(self, trial: Trial) -> Trial | None:
        name = trial.variant.float32 if trial.variant else None
        return next((other for other in self.trials if other.setting == name and other.in_python), None)

    def _key(self, trial: Trial) -> str:
        """Hash of all that a trial's rows depend on. Its Python baseline has the float32 baseline's environment."""
        baseline = self._float32_trial(trial)
        return key_of(
            {
                "setting": trial.setting,
                "runtime": trial.runtime,
                "artifact": trial.variant.sha256 if trial.variant else None,
                "environment": dict(trial.environment),
                "float32 artifact": baseline.variant.sha256 if baseline and baseline.variant else None,
                "float32 environment": dict(baseline.environment) if baseline else None,
                "reference environment": dict(self.reference_environment),
                "batch_size": self.inputs.batch_size,
                "output": self.scored_output,
                "samples": self.inputs.samples.sha256,
                "n": self.inputs.samples.n,
                "taps": self.choice.taps,
                "channels": self.choice.channels,
                "rows": _ROWS,
                **{f"statistic {name}": True for name in LAYER_STATISTICS},
                **code_key(trial.variant),
                **({"dumped": dict(dumped.sha256)} if (dumped := self._dumped(trial)) else {}),
            }
        )

    def _dumped(self, trial: Trial) -> ImportedLayers | None:
        return self.dumped.get((trial.setting, trial.runtime))

    def _file(self, trial: Trial) -> Any:
        return self.inputs.context.store.root / "inside" / trial.setting / trial.runtime / f"{self._key(trial)}.json"

    def _kept(self, trial: Trial) -> TrialLayers | None:
        again = f"the layers of {trial.setting} are compared again in {trial.runtime}"
        return read_kept(self.inputs.context, self._file(trial), TrialLayers, again)

    def _compare(self, trials: Sequence[Trial]) -> list[tuple[Trial, TrialLayers, bool]]:
        """Each trial's rows, and whether they are complete, so that they may be stored."""
        step = f"look inside {counted(len(trials), 'trial')}"
        self.inputs.context.progress.work(PHASE, 0)
        parts = len(_parts(trials, self.at_once))
        self.inputs.context.progress.begin(step, parts * self.inputs.samples.n)
        threading.Thread(target=load_loops, daemon=True).start()  # at the same time as children open the variants
        first, reference_names = self._align(trials)
        done: list[tuple[Trial, TrialLayers, bool]] = []
        for part in _parts(trials, self.at_once):
            done += self._compare_part(part, step, first, reference_names)
        self.inputs.context.progress.end(step, "done")
        return done

    def _compare_part(
        self, trials: Sequence[Trial], step: str, sample_bytes: int, reference_names: Sequence[str]
    ) -> list[tuple[Trial, TrialLayers, bool]]:
        """The same for trials that are open at the same time."""
        self.announce(trials[0])
        opened = self._open_all(trials)
        sums = [outcome for outcome in opened if isinstance(outcome, TrialSums)]
        self.choice.refuse_unknown(
            [*reference_names, *(name for trial_sums in sums for name in _known_names(trial_sums))]
        )
        self._sum(step, sums, sample_bytes)
        self.inputs.context.progress.skip(PHASE, self.inputs.samples.n * (len(opened) - len(sums)))
        return [
            (trial, self._finish(outcome), outcome.unreadable is None)
            if isinstance(outcome, TrialSums)
            else (trial, TrialLayers((), (outcome,)), False)
            for trial, outcome in zip(trials, opened, strict=True)
        ]

    def _sum(self, step: str, sums: Sequence[TrialSums], sample_bytes: int) -> None:
        """Read all samples a batch at a time, and add them to each trial's sums."""
        needed = {
            alignment.reference
            for trial_sums in sums
            for tap in trial_sums.tensors.wanted
            if (alignment := trial_sums.tensors.alignment(tap)) and alignment.reference
        }
        size = max(1, min(self.inputs.batch_size, _BATCH_BYTES // max(sample_bytes, 1)))
        with Batches(
            reference=open_reference(self.inputs, self.model, sorted(needed)).session,
            baselines=self._baselines(sums),
            trials=sums,
            float32=[self._baseline_name(trial_sums.trial) for trial_sums in sums],
            scored_output=self.scored_output,
            indices=self.indices,
        ) as batches:
            for start in range(0, self.inputs.samples.n, size):
                part = (start, min(start + size, self.inputs.samples.n))
                batches.add(part)
                self.inputs.context.progress.advance(step, part[1] - part[0])
                self.inputs.context.progress.work(PHASE, (part[1] - part[0]) * len(sums))

    def _baselines(self, sums: Sequence[TrialSums]) -> dict[str, TensorReader]:
        """Setting → its session in Python, for variants that others are compared with; read once per batch."""
        sessions: dict[str, TensorReader] = {name: opened.session for name, opened in self._float32.items()}
        in_python = {
            trial_sums.trial.setting: trial_sums.session for trial_sums in sums if trial_sums.trial.runtime == PYTHON
        }
        for trial_sums in sums:
            name, variant = trial_sums.trial.setting, trial_sums.trial.variant
            if not trial_sums.has_python_baseline or name in sessions or variant is None:
                continue
            sessions[name] = in_python.get(name) or open_variant(
                self.inputs, variant, PYTHON, trial_sums.tensors.wanted
            )
        return sessions

    def _baseline_name(self, trial: Trial) -> str:
        baseline = self._float32_baseline(trial)
        return baseline.name if baseline else ""

    def _align(self, trials: Sequence[Trial]) -> tuple[int, list[str]]:
        """Align each format's float32 baseline by value; return the bytes per sample, and the known names."""
        whole = open_reference(self.inputs, self.model, None)
        stop = min(_ALIGN_SAMPLES, self.inputs.samples.n) if self.inputs.batch_size > 1 else 1
        references = _named(whole.taps, whole.session.read(0, stop).taps)
        layers = layers_by_tensor(references)
        baselines = {variant.name: variant for trial in trials if (variant := self._float32_baseline(trial))}
        aligned = side_by_side(
            lambda baseline: self._align_format(baseline, references, stop),
            [*baselines.values()],
            stop=self.inputs.context.pool.close,
        )
        for name, outcome in zip(baselines, aligned, strict=True):
            if isinstance(outcome, str):
                self._unopened[name] = f"{name} could not be read inside in python: {outcome}"
                continue
            self._float32[name] = outcome.opened
            self._alignments[name] = {alignment.tensor: alignment for alignment in outcome.alignments}
            self._layers[name] = layers_without_tensor(outcome.alignments, layers.values())
        largest = max((outcome.sample_bytes for outcome in aligned if isinstance(outcome, _Aligned)), default=1)
        return largest, [*layers.values(), *layers]

    def _align_format(self, baseline: Variant, references: Sequence[NamedTensor], stop: int) -> _Aligned | str:
        """Open a format's float32 baseline in Python and align it, or return why it cannot be read."""
        try:
            taps = self._taps(baseline)
            opened = TappedVariant(taps, open_variant(self.inputs, baseline, PYTHON, taps))
            values = opened.session.read(0, stop).taps
        except QuantlabError as error:
            return describe(error)
        sample_bytes = sum(value.nbytes for value in values.values()) // stop
        return _Aligned(opened, align(_named(opened.taps, values), references), sample_bytes)

    def _taps(self, variant: Variant) -> tuple[TapSpec, ...]:
        """Every tensor of a variant; listed once for all runtimes."""
        if variant.name not in self._listed:
            self._listed[variant.name] = list_variant_taps(self.inputs, variant)
        return self._listed[variant.name]

    def _open_all(self, trials: Sequence[Trial]) -> list[TrialSums | str]:
        """Open each trial for reading tensors, or return why it cannot be opened; trials of one variant in sequence."""
        groups: dict[str, list[Trial]] = {}
        for trial in trials:
            groups.setdefault(trial.setting, []).append(trial)
        opened = side_by_side(
            lambda group: [(trial, self._open(trial)) for trial in group],
            [*groups.values()],
            stop=self.inputs.context.pool.close,
        )
        by_trial = {id(trial): outcome for group in opened for trial, outcome in group}
        return [by_trial[id(trial)] for trial in trials]

    def _open(self, trial: Trial) -> TrialSums | str:
        """Open a trial for reading tensors, or return why it cannot be opened."""
        variant, baseline = trial.variant, self._float32_baseline(trial)
        if variant is None or baseline is None:
            raise ValueError(f"{trial.setting} has no variant whose tensors could be read")
        if baseline.name in self._unopened:
            return f"{trial.setting} in {trial.runtime}: {self._unopened[baseline.name]}"
        try:
            return self._opened(trial, variant, baseline)
        except QuantlabError as error:
            return f"could not read inside {trial.setting} in {trial.runtime}: {describe(error)}"

    def _opened(self, trial: Trial, variant: Variant, baseline: Variant) -> TrialSums:
        taps = self._taps(variant)
        names = carry_over(taps, self._float32[baseline.name].taps)
        tensors = KnownTensors(taps, names, self._alignments[baseline.name], self.choice)
        is_float32 = trial.setting == baseline.name and trial.runtime == PYTHON
        sums = TrialSums(
            trial,
            tensors,
            # The float32 baseline is already open; opening it again would overwrite the tapped copy that is in use.
            session=self._float32[baseline.name].session if is_float32 else self._reader(trial, variant, tensors),
            isolated=None,
            scored_output=self.scored_output,
            is_float32=is_float32,
            has_python_baseline=trial.runtime != PYTHON and trial.setting != baseline.name,
        )
        if runs_ops_alone(self.inputs.format(variant.format)) and trial.runtime == PYTHON and not is_float32:
            self._open_alone(sums, variant, baseline)
        return sums

    def _reader(self, trial: Trial, variant: Variant, tensors: KnownTensors) -> TensorReader:
        """What reads a trial's tensors: the files of another program, or a session of its runtime."""
        dumped = self._dumped(trial)
        if dumped is None:
            return open_variant(self.inputs, variant, str(trial.ran_on), tensors.wanted)
        wanted = tuple(tap.name for tap in tensors.wanted if tap.reason is None)
        return DumpedTensors(dumped, trial, self.indices, wanted)

    def _open_alone(self, sums: TrialSums, variant: Variant, baseline: Variant) -> None:
        """Open the variant's ops for running alone; a trial without isolated errors says why."""
        if variant.given:
            sums.lose_isolated("the file is not from this study, so its ops need not be those of the float32 file")
            return
        try:
            sums.isolated = open_isolated(self.inputs, variant, baseline, sums.tensors.wanted, sums.tensors.names)
        except QuantlabError as error:
            sums.lose_isolated(describe(error))

    def _finish(self, sums: TrialSums) -> TrialLayers:
        last = len(sums.tensors.taps)
        fused = [*self._layers[self._baseline_name(sums.trial)], *sums.tensors.missing_layers()]
        missing = [unaligned_row(sums.trial, None, layer, last) for layer in fused if self.choice.wants(layer.layer)]
        return TrialLayers((*sums.rows(), *missing), sums.all_notes())


def _parts(trials: Sequence[Trial], size: int | None) -> list[Sequence[Trial]]:
    return [trials[first : first + (size or len(trials))] for first in range(0, len(trials), size or len(trials))]


def _known_names(sums: TrialSums) -> list[str]:
    return [tap.name for tap in sums.tensors.taps]


def _named(taps: Sequence[TapSpec], values: Mapping[str, Array]) -> list[NamedTensor]:
    return [NamedTensor(tap.name, values[tap.name], tap.scope) for tap in taps if tap.name in values]


_ROWS = 8
"""Incremented when the rows change, so that rows stored by an older quantlab are computed again."""
