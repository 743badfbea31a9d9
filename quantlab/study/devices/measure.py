"""Runs the artifacts of a study on another device: the same bytes on the same samples, in runtimes that are there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from quantlab.errors import StudyError, UsageError
from quantlab.gate.judging import opened_model
from quantlab.gate.kept_scores import refuse_scores_only
from quantlab.models import ModelFile, ModelOptions
from quantlab.names import choose, excerpt
from quantlab.npy import mapped
from quantlab.processes import describe, onednn, python_environment, warm_up
from quantlab.progress import Progress, Silent
from quantlab.registries import REAL, Registries
from quantlab.runtimes import Runtime
from quantlab.samples import intact_samples
from quantlab.statistics import scored_samples
from quantlab.store import Store
from quantlab.study.context import Context, pool_for
from quantlab.study.conversions import ConversionResult
from quantlab.study.costs import measure_costs, this_machine
from quantlab.study.devices.rows import same_layer_samples, with_costs, with_layers
from quantlab.study.importing.outputs import observed_outputs, write_imports
from quantlab.study.importing.rows import read_imports
from quantlab.study.inside.choice import TapChoice
from quantlab.study.inside.comparison import LayerStudy
from quantlab.study.inside.samples import draw_layer_samples
from quantlab.study.inside.sessions import SessionInputs
from quantlab.study.integrity import intact_variant
from quantlab.study.options import AnalyzeOptions
from quantlab.study.reference import batch_size_of
from quantlab.study.trial import PlannedRun, RunResult, run_trial
from quantlab.types import (
    Costs,
    ImportedOutputs,
    Imports,
    Inside,
    LayerRow,
    Machine,
    OpenedModel,
    Study,
    TensorSpec,
    Trial,
    Variant,
)

__all__ = ["DeviceOptions", "DevicePlace", "measure_on_device"]


@dataclass(frozen=True, slots=True)
class DeviceOptions:
    """What is measured on a device."""

    settings: tuple[str, ...] | None = None
    """Names and globs of rows; None means all artifacts of the study."""
    layers: bool = True
    layer_samples: int | None = 256
    """As in `AnalyzeOptions`."""
    taps: tuple[str, ...] | None = None
    channels: tuple[str, ...] = ()
    costs: bool = True
    timing_rounds: int = 3
    time_limit: float = 600.0
    """Seconds in which a device that is there may report nothing."""
    unsafe: bool = False
    """Allow artifacts that do more than compute, as `ModelOptions.unsafe` does; a study does not remember it."""


@dataclass(frozen=True, slots=True)
class DevicePlace:
    """A device with runtimes."""

    runtimes: Mapping[str, Runtime]
    machine: Machine
    """Whose times are measured."""
    words: str
    """The device in words, for the notes of its rows."""
    announce: Callable[[str, int, int], None] = lambda *_: None
    """Called before each step with its words, its number and the number of all."""


def measure_on_device(
    study: str | Path,
    place: DevicePlace,
    options: DeviceOptions | None = None,
    *,
    progress: Progress | None = None,
    registries: Registries = REAL,
) -> Study:
    """Run the artifacts of a study on a device, and add a row for each.

    The rows stay when `analyze` runs again, as long as samples and artifacts are the same. What was measured is kept,
    also if the call is interrupted, and is used again for the same device with the same versions.

    Args:
        study: Folder of the study.
        place: The device.
        options: What is measured.
        progress: Receives events; nothing is printed.
        registries: The known formats, runtimes and converters.

    Returns:
        The study as stored, with the new rows. What the device could not run is a row with its failure.

    Raises:
        UsageError: If a setting is unknown, or none of the artifacts runs in any of the runtimes.
        StudyError: If the study, its samples or its artifacts are missing or damaged, or being analyzed.
    """
    options, store = options or DeviceOptions(), Store(Path(study))
    store.refuse_running()
    refuse_scores_only(store.read_study(), "'quantlab phone'")
    registries = replace(registries, runtimes={**registries.runtimes, **place.runtimes})
    with store.locked():
        record = store.read_study()
        file = ModelFile(Path(record.model.path), record.model.kind, record.model.sha256)  # type: ignore[arg-type]  # as recorded
        asked = AnalyzeOptions(
            seed=record.seed,
            batch_size=record.batch_size,
            layers=options.layers,
            taps=options.taps,
            channels=options.channels,
            timing_rounds=options.timing_rounds,
            time_limit=options.time_limit,
            model=ModelOptions(unsafe=options.unsafe),
        )
        with pool_for(file, store.work, asked, registries) as pool:
            context = Context(store, pool, asked, progress or Silent(), file, registries)
            _Measuring.of(context, record, place, options).run()
    return store.read_study()


@dataclass(slots=True)
class _Measuring:
    """All that is measured in one call."""

    context: Context
    study: Study
    place: DevicePlace
    options: DeviceOptions
    planned: Sequence[tuple[Variant, Runtime]]
    outputs: tuple[TensorSpec, ...]
    """The outputs of the reference, as observed."""
    steps: int = 0

    @classmethod
    def of(cls, context: Context, study: Study, place: DevicePlace, options: DeviceOptions) -> "_Measuring":
        """Plan what runs; refuses what is damaged."""
        if intact_samples(study.samples) in {"missing", "damaged"}:
            raise StudyError(
                f"the samples of '{context.store.root}' are missing or damaged; run the same 'quantlab analyze' again"
            )
        made = {trial.setting: trial.variant for trial in study.trials if trial.variant is not None}
        names = choose("setting", options.settings, list(made)) if options.settings is not None else list(made)
        formats = context.registries.formats
        planned = [
            (variant, runtime)
            for name in names
            if (variant := made[name]) is not None
            for runtime in place.runtimes.values()
            if runtime.runs(formats[variant.format])
        ]
        if not planned:
            raise UsageError(
                f"none of the artifacts {excerpt(', '.join(names))} runs in {', '.join(place.runtimes)}; add settings "
                f"of formats that run there, see 'quantlab settings'"
            )
        for variant in {variant.name: variant for variant, _ in planned}.values():
            if intact_variant(variant, context.registries) in {"missing", "damaged"}:
                raise StudyError(
                    f"the artifact of {variant.name} is missing or damaged; run the same 'quantlab analyze' again"
                )
        return cls(context, study, place, options, planned, tuple(observed_outputs(study)))

    @property
    def _all_steps(self) -> int:
        return len(self.planned) * (1 + self.options.layers) + self.options.costs

    def run(self) -> None:
        """Outputs, then layers, then times; each is stored before the next begins."""
        self.context.progress.plan("run", len(self.planned) * self.study.samples.n)
        if self.options.layers:  # those of the reference are read on this machine, which is idle until then
            warm_up(python_environment(onednn=onednn()), self.context.pool.preload)
        done: list[ImportedOutputs] = []
        try:
            done.extend(self._rows())
        finally:  # an interruption keeps the rows before it
            if done:
                self._store_rows(done)
        self.study = self.context.store.read_study()
        if self.options.layers and _finite(self.study).any():
            self._look_inside()
        if self.options.costs:
            self._measure_costs()

    def _rows(self) -> Iterator[ImportedOutputs]:
        for variant, runtime in self.planned:
            self._announce(f"{variant.name} in {runtime.name}: outputs")
            result = run_trial(
                self.context,
                ConversionResult(variant.name, variant),
                PlannedRun(runtime, requested=True),
                samples=self.study.samples,
                outputs=self.outputs,
                batch_size=self.study.batch_size,
            )
            yield self._row(variant, result)

    def _row(self, variant: Variant, result: RunResult) -> ImportedOutputs:
        return ImportedOutputs(
            setting=variant.name,
            runtime=result.runtime,
            source=self.place.words,
            matching="fed",
            samples_sha256=self.study.samples.sha256,
            variant_sha256=variant.sha256,
            kept=result.kept,
            notes=result.remarks,
            failure=result.failure,
            timed=result.kept is not None and result.untimed is None,
        )

    def _store_rows(self, rows: Sequence[ImportedOutputs]) -> None:
        new = {(row.setting, row.runtime) for row in rows}
        others = [row for row in read_imports(self.context.store).rows if (row.setting, row.runtime) not in new]
        write_imports(self.context.store, self.study, Imports((*others, *rows)), self.context.registries)

    def _announce(self, words: str) -> None:
        self.steps += 1
        self.place.announce(words, min(self.steps, self._all_steps), self._all_steps)

    @property
    def _trials(self) -> list[Trial]:
        """The rows of the device."""
        planned = {(variant.name, runtime.name) for variant, runtime in self.planned}
        return [trial for trial in self.study.trials if (trial.setting, trial.runtime) in planned and trial.imported]

    def _look_inside(self) -> None:
        """Compare the layers of one row after another, because a device keeps one variant open."""
        opened = opened_model(self.context.store, self.study)
        if opened is None:
            self.context.progress.warn("the study has no record of its model, so no layers are compared")
            return
        layers = self._layer_study(opened, [trial for trial in self._trials if trial.status == "measured"])
        try:
            compared = layers.run()
        except UsageError:  # an unknown tap is an error of the user
            raise
        except Exception as error:  # noqa: BLE001 (the rows and their times are worth more)
            self.context.progress.warn(f"nothing could be read inside the variants: {describe(error)}")
            return
        names = tuple(self.place.runtimes)
        rows = [row for trial in compared for row in trial.rows if row.runtime in names]
        notes = [note for trial in compared for note in trial.notes if any(name in note for name in names)]
        self._store_layers(layers, rows, notes)

    def _layer_study(self, opened: OpenedModel, trials: Sequence[Trial]) -> LayerStudy:
        context, formats = self.context, self.context.registries.formats
        usual = self.study.batch_size
        measured = [one.variant for one in self.study.trials if one.variant is not None and one.failure is None]
        drawn = draw_layer_samples(context, self.study.samples, self.options.layer_samples, _finite(self.study))
        size = min((batch_size_of(formats[one.format], one, usual) for one in measured), default=usual)
        # In Python, where they are kept, the float32 baselines that these trials are compared with.
        beside = [one for one in self.study.trials if one.in_python and one.is_float32]
        return LayerStudy(
            SessionInputs(context, drawn.samples, self.outputs, size),
            opened,
            drawn.indices,
            self.study.scored_output,
            [*beside, *trials],
            TapChoice(self.options.taps, self.options.channels),
            reference_environment=self.study.reference.environment,
            at_once=1,
            announce=self._announce_layers,
        )

    def _announce_layers(self, trial: Trial) -> None:
        if trial.runtime in self.place.runtimes:
            self._announce(f"{trial.setting} in {trial.runtime}: layers")

    def _store_layers(self, layers: LayerStudy, rows: Sequence[LayerRow], notes: Sequence[str]) -> None:
        store, samples = self.context.store, layers.inputs.samples
        before = store.inside_or_none()
        indices = tuple(int(place) for place in layers.indices)
        new = Inside((), (), (), (), samples.n, samples.drawn, layer_samples=samples, indices=indices)
        if before is None or not same_layer_samples(before, new):
            before = new
        runtimes = tuple(self.place.runtimes)
        kept = tuple(note for note in before.notes if not any(name in note for name in runtimes))
        inside = with_layers(before, rows, self.study)
        store.write_inside(replace(inside, notes=tuple(dict.fromkeys([*kept, *notes]))))

    def _measure_costs(self) -> None:
        store = self.context.store
        inputs = SessionInputs(self.context, self.study.samples, self.outputs, self.study.batch_size)
        trials = self._trials
        self.context.progress.plan("time", len(trials) * self.options.timing_rounds)
        self._announce("load and run times")
        measured = measure_costs(inputs, trials, rounds=self.options.timing_rounds, machine=self.place.machine)
        before = store.read(store.root / "costs.json", Costs) or Costs((), this_machine())
        store.write(store.root / "costs.json", with_costs(before, measured.rows, self.study.trials))


def _finite(study: Study) -> npt.NDArray[np.bool_]:
    """(n,): whether the reference is finite on a sample; layers are not compared on others."""
    return scored_samples(mapped(study.reference.outputs[study.scored_output]), study.non_finite)
