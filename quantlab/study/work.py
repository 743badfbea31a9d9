"""The steps of a study that run at the same time: conversions, download sizes and trials.

Two threads keep two cores busy: conversions and trials run in single-threaded child processes, for which the threads
wait. A trial can start as soon as its variant and the reference's outputs exist; the slowest trials start first. The
thread that runs a trial also scores it.

Layers are compared after all of that. TensorFlow fuses the reference's nodes depending on which of them are read, and
this depends on the trials that are compared together. If formats were compared as they are converted, the last bits of
the figures would depend on the order of events.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import PriorityQueue
from typing import Any

from quantlab.errors import StudyError
from quantlab.gate import are_gone
from quantlab.study.compare import Comparison
from quantlab.study.context import Context
from quantlab.study.conversions import ConversionResult, given_variant, make_variants
from quantlab.study.early_keeping import EarlyKeeping, Place, early_keeping, know_reference
from quantlab.study.importing import imported_layers, read_imports
from quantlab.study.inside.choice import TapChoice
from quantlab.study.inside.comparison import LayerStudy
from quantlab.study.inside.samples import draw_layer_samples
from quantlab.study.inside.sessions import SessionInputs
from quantlab.study.non_finite import PHASE as CALIBRATION_PHASE
from quantlab.study.non_finite import FiniteCheck, spoiled_by_variants, suspect_calibration
from quantlab.study.non_finite_words import output_warning
from quantlab.study.phases import plan_inside, plan_phases
from quantlab.study.plan import Plan
from quantlab.study.reference import Probe, batch_size_for, layer_batch, probe, run_reference
from quantlab.study.run import bytes_needed
from quantlab.study.scores_only import needing_outputs, scores_of
from quantlab.study.side_by_side import first_done, result_of
from quantlab.study.space import refuse_small_disk, refuse_staying_outputs
from quantlab.study.suspicions import repeatability, unstable_reference
from quantlab.study.task import Scoring
from quantlab.study.transfer import with_download_size
from quantlab.study.trial import PlannedRun, RunResult, run_trial
from quantlab.types import (
    PYTHON,
    REFERENCE,
    InnerRange,
    KeptOutputs,
    NonFinite,
    OpenedModel,
    SampleSet,
    Setting,
    Trial,
)

__all__ = ["Work", "WorkResult"]

_AT_ONCE = 2
"""Number of children that work at the same time, one thread each."""

_AT_ONCE_IN_SHARDS = 3
"""Number of trials at the same time in shards: workers run one while this process joins and scores another, and a third
waits, so that they always find a shard."""


@dataclass(frozen=True, slots=True)
class WorkResult:
    """The reference's outputs and the scored trials."""

    reference: KeptOutputs
    probe: Probe
    comparison: Comparison
    trials: tuple[Trial, ...]
    """Scored, in the order of the settings and runtimes."""
    non_finite: tuple[NonFinite, ...] = ()
    """Where the reference itself is NaN or infinite."""
    fed: KeptOutputs | None = None
    """The reference's outputs on the samples of an app's pipeline; None if those are the declared ones."""
    inner: tuple[InnerRange, ...] = ()
    """Ranges of tensors inside the model on the calibration samples; empty if they were not read."""
    unsearched: str | None = None
    """A warning, if calibration samples could not be searched for NaN and infinity inside the model."""


Finished = tuple[RunResult, Trial]
"""What became of a trial, and its row."""


@dataclass(frozen=True, slots=True, order=True)
class _Pending:
    """A trial that has not started; the slowest are sorted first."""

    quick: bool
    """Whether it runs in Python, the fastest runtime."""
    number: int
    conversion: ConversionResult = field(compare=False)
    planned: PlannedRun = field(compare=False)


@dataclass(slots=True)
class Work:
    """The conversions and trials of one call of `analyze`."""

    context: Context
    model: OpenedModel
    samples: SampleSet
    calibration: SampleSet | None
    plan: Plan
    scoring: Scoring
    add_seconds: Callable[[str, float], None]
    """Called with the name and the seconds of steps that run at the same time as others."""
    declared: SampleSet | None = None
    """The samples of the declared preprocessing, if `samples` are those of an app's pipeline."""
    _stopped: bool = False
    """Set when the study fails or is stopped; then nothing new is started."""
    _trials: list[Future[tuple[RunResult, Trial]]] = field(default_factory=list)
    _bringing: threading.Lock = field(default_factory=threading.Lock)
    """Held while the reference runs again, because its outputs were removed and a new row is compared with them."""
    _pending: "PriorityQueue[_Pending]" = field(default_factory=PriorityQueue)

    def run(self) -> WorkResult:
        """Run the reference and all trials."""
        pool = ThreadPoolExecutor(self._at_once, thread_name_prefix="quantlab")
        try:
            return self._run(pool)
        except BaseException:
            self._stopped = True
            pool.shutdown(wait=False, cancel_futures=True)
            # Threads that wait for children or workers would block, or start the next step.
            self.context.stop()
            raise
        finally:
            pool.shutdown(wait=True)

    @property
    def _at_once(self) -> int:
        """Number of trials at the same time."""
        if self.context.sharding is None:
            return _AT_ONCE
        return self.context.sharding.at_once or _AT_ONCE_IN_SHARDS

    def layers(self, result: WorkResult, trials: Sequence[Trial]) -> LayerStudy:
        """The comparison of the trials' layers."""
        drawn = draw_layer_samples(
            self.context, self.samples, self.context.options.layer_samples, result.comparison.finite
        )
        formats, usual = self.context.registries.formats, batch_size_for(self.context, self.model)
        batch_size = layer_batch(formats, trials, usual)
        inputs = SessionInputs(self.context, drawn.samples, result.probe.outputs, batch_size)
        choice = TapChoice(self.context.options.taps, self.context.options.channels)
        return LayerStudy(
            inputs,
            self.model,
            drawn.indices,
            self.scoring.output.name,
            trials,
            choice,
            reference_environment=result.reference.environment,
            dumped=imported_layers(read_imports(self.context.store), trials, drawn.samples),
        )

    def _run(self, pool: ThreadPoolExecutor) -> WorkResult:
        context = self.context
        plan_phases(
            context,
            self.plan,
            samples=self.samples.n,
            references=1 + (self.declared is not None),
            calibrating=self._calibrating,
        )
        # Layers that may act as in training are named before anything is converted; most models have none, and
        # theirs are not kept waiting.
        probed = self._probe() if self.model.training_layers else None
        reference = pool.submit(self._reference, probed)
        waiting = {pool.submit(self._make, settings) for settings in self.plan.by_format.values()}
        probed, kept, fed, non_finite = result_of(reference)
        looked = pool.submit(self._look_at_calibration, non_finite)
        comparison = Comparison.open(replace(self.scoring, output=self._scored(probed)), kept)
        result = WorkResult(kept, probed, comparison, (), non_finite, fed)
        know_reference(context, self.samples, comparison, kept)
        early = early_keeping(context, self.model.description, self.samples, comparison, kept, non_finite)
        if early is not None:
            result = replace(result, comparison=early.comparison)
        else:
            size = bytes_needed(probed.outputs, self.samples.n)
            refuse_staying_outputs(context, comparison, non_finite, self.plan.trial_count, size)
        for name in context.options.variants:
            given = given_variant(context, name, self.model, self.samples)
            self._start_trials(pool, with_download_size(context, given), result)
        while waiting:
            done, waiting = first_done(waiting)
            made = [conversion for future in done for conversion in future.result()]
            if early is not None:
                for conversion in made:
                    early.expect(conversion, [planned.runtime.name for planned in self.plan.planned_runs(conversion)])
            for conversion in made:
                self._start_trials(pool, conversion, result, early)
        finished = self._with_compared_outputs([result_of(trial) for trial in self._trials], result)
        (unsearched, inner), trials = result_of(looked), self._in_order([trial for _, trial in finished])
        # If no variant was calibrated, nothing depends on what was not searched.
        unsearched = unsearched if self._has_calibrated(trials) else None
        result = replace(result, trials=trials, inner=inner, unsearched=unsearched)
        return self._checked_inside(result, [run_result for run_result, _ in finished])

    def _checked_inside(self, result: WorkResult, done: Sequence[RunResult]) -> WorkResult:
        """The result, scored again without the samples on which the reference turns out to be NaN inside."""
        known, comparison = result.non_finite, result.comparison
        if _explained(known):
            return result
        check = FiniteCheck(self.context, self.model)
        spoiled, fine = spoiled_by_variants(result.trials, self.scoring.output.name, comparison.finite)
        suspect = bool(spoiled.any()) or suspect_calibration(result.trials, known, self.context.registries.settings)
        of_calibration = (
            check.of_calibration(self.calibration, suspect=suspect) if self.calibration and self._calibrating else None
        )
        inside = None
        if spoiled.any() or (suspect and of_calibration is not None):
            inside = check.of_inside(self.samples, self.calibration if of_calibration else None, spoiled, fine)
        known = (*known, *filter(None, [inside, of_calibration]))
        if inside is None:
            return replace(result, non_finite=known)
        comparison = Comparison.open(comparison.scoring, result.reference, known)
        rows = {(trial.setting, trial.runtime): trial for trial in result.trials}
        gone = {place for place, trial in rows.items() if scores_of(trial) is not None}
        finished = [(one, rows[one.conversion.setting, one.runtime]) for one in done]
        done = [one for one, _ in self._brought_back(finished, gone, result)]
        trials = self._in_order([run_result.trial(comparison) for run_result in done])
        return replace(result, non_finite=known, comparison=comparison, trials=trials)

    @property
    def _calibrating(self) -> int:
        """Number of samples that a setting is calibrated on; 0 if none is."""
        calibrated = any(setting.calibrated for members in self.plan.by_format.values() for setting in members)
        return self.calibration.n if calibrated and self.calibration else 0

    def _look_at_calibration(self, known: Sequence[NonFinite]) -> tuple[str | None, tuple[InnerRange, ...]]:
        """Read the reference on the calibration samples, while others convert and run; what is found is stored.

        Returns a warning if the reference cannot be read inside, and the ranges of the tensors there.
        """
        if self.calibration is None or not self._calibrating or _explained(known):
            self.context.progress.skip(CALIBRATION_PHASE, self._calibrating)
            return None, ()
        self.context.progress.work(CALIBRATION_PHASE, 0)
        check = FiniteCheck(self.context, self.model)
        unsearched = check.search_calibration(self.calibration)
        inner = check.ranges_inside(self.calibration) if unsearched is None else ()
        self.context.progress.work(CALIBRATION_PHASE, self.calibration.n)
        return unsearched, inner

    def _has_calibrated(self, trials: Sequence[Trial]) -> bool:
        settings = self.context.registries.settings
        made = (settings.get(trial.setting) for trial in trials if trial.variant is not None)
        return any(setting is not None and setting.calibrated for setting in made)

    def _in_order(self, trials: Sequence[Trial]) -> tuple[Trial, ...]:
        order = {
            name: place
            for place, name in enumerate((*self.context.registries.settings, *self.context.options.variants))
        }
        runtimes = list(self.context.registries.runtimes)
        ordered = sorted(trials, key=lambda trial: (order[trial.setting], runtimes.index(trial.runtime)))
        return self.plan.with_excused(ordered)

    def _scored(self, probed: Probe) -> Any:
        """The scored output with the shape that was observed."""
        return next(spec for spec in probed.outputs if spec.name == self.scoring.output.name)

    def _probe(self) -> Probe:
        context = self.context
        probed = probe(context, self.model, self.declared or self.samples)
        for text in unstable_reference(repeatability(probed, self.model.training_layers), context.registries.formats):
            context.progress.warn(text)
        return probed

    def _reference(self, probed: Probe | None) -> tuple[Probe, KeptOutputs, KeptOutputs | None, tuple[NonFinite, ...]]:
        context = self.context
        probed = probed or self._probe()
        declared = self.declared or self.samples
        size, references = bytes_needed(probed.outputs, self.samples.n), 1 + (self.declared is not None)
        refuse_small_disk(context, self.plan.trial_count, references=references, size=size, at_once=self._at_once)
        began = time.perf_counter()
        kept = run_reference(context, self.model, declared, probed.outputs)
        fed = None if self.declared is None else run_reference(context, self.model, self.samples, probed.outputs)
        self.add_seconds("run the reference", time.perf_counter() - began)
        once = kept.timing.seconds / kept.timing.samples if kept.timing.samples else 0.0
        plan_inside(context, self.plan, once, samples=self.samples.n, calibrating=self._calibrating)
        non_finite = FiniteCheck(context, self.model).of_outputs(declared, kept)
        for finding in non_finite:
            context.progress.warn(output_warning(finding, self.scoring.output.name))
        return probed, kept, fed, non_finite

    def _make(self, settings: Sequence[Setting]) -> list[ConversionResult]:
        began = time.perf_counter()
        conversions = []
        for conversion in make_variants(
            self.context, self.model, settings, samples=self.samples, calibration=self.calibration
        ):
            conversions.append(with_download_size(self.context, conversion))
            if self._stopped:
                break
        self.add_seconds(f"convert {settings[0].format}", time.perf_counter() - began)
        return conversions

    def _start_trials(
        self,
        pool: ThreadPoolExecutor,
        conversion: ConversionResult,
        result: WorkResult,
        early: EarlyKeeping | None = None,
    ) -> None:
        for planned in self.plan.planned_runs(conversion):
            # Outputs are removed early if the baselines, which run in Python, come first.
            quick = planned.runtime.name == PYTHON and early is None
            self._pending.put(_Pending(quick, len(self._trials), conversion, planned))
            self._trials.append(pool.submit(self._next_trial, result, early))

    def _next_trial(self, result: WorkResult, early: EarlyKeeping | None) -> Finished:
        """Run the first pending trial; fast ones come last, so that no core is idle at the end."""
        pending = self._pending.get_nowait()
        finished = self._trial(pending.conversion, pending.planned, result)
        if early is not None and not self._stopped:  # a row that was stopped is no failed one
            early.add(finished[1])
        return finished

    def _trial(self, conversion: ConversionResult, planned: PlannedRun, result: WorkResult) -> tuple[RunResult, Trial]:
        """What became of a trial, and its row."""
        run_result = run_trial(
            self.context,
            conversion,
            planned,
            samples=self.samples,
            outputs=result.probe.outputs,
            batch_size=batch_size_for(self.context, self.model),
        )
        if run_result.kept is not None and not any(map(are_gone, run_result.kept.files.values())):
            self._bring_reference(result)
        return run_result, run_result.trial(result.comparison)

    def _bring_reference(self, result: WorkResult) -> None:
        """Run the reference again, if its outputs were removed: a new row is compared with them.

        Raises:
            StudyError: If its outputs are others now.
        """
        with self._bringing:
            if self.context.scores is None or not are_gone(result.comparison.reference):
                return
            self.context.scores.needed.add((REFERENCE, PYTHON))
            again = run_reference(self.context, self.model, self.samples, result.probe.outputs)
            if dict(again.sha256) != dict(result.reference.sha256):
                raise StudyError(
                    "the model gives other outputs than when the scores of the study were kept, so new rows cannot be "
                    "compared with them; run 'quantlab analyze' again with --store outputs, or with another --out"
                )

    def _with_compared_outputs(self, finished: Sequence[Finished], result: WorkResult) -> list[Finished]:
        """The rows; those that new rows are compared with, and whose outputs were removed, have run again."""
        scores, done = self.context.scores, [*finished]
        while scores is not None:
            needed = needing_outputs([trial for _, trial in done], self.scoring.output.name) - scores.needed
            if not needed:
                break
            done = self._brought_back(done, needed, result)
        return done

    def _brought_back(self, finished: Sequence[Finished], needed: set[Place], result: WorkResult) -> list[Finished]:
        """The rows, of which some have run again because their outputs were removed."""
        scores, done = self.context.scores, [*finished]
        if scores is None:
            return done
        scores.needed |= needed
        for place, (run_result, trial) in enumerate(done):
            if (trial.setting, trial.runtime) in needed:
                scores.needed.add((trial.setting, str(trial.ran_on)))
                planned = PlannedRun(self.context.registries.runtimes[trial.runtime], run_result.requested)
                done[place] = self._trial(run_result.conversion, planned, result)
        return done


def _explained(known: Sequence[NonFinite]) -> bool:
    """Whether a weight explains why the reference is not finite, so that nothing inside need be read."""
    return any(finding.weights for finding in known)
