"""One command from a model and a calibration set to the table.

Two threads feed two cores: conversions and trials run in single-threaded child processes, so a thread of ours mostly
waits. A trial starts as soon as its variant and the reference's outputs are there.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from quantlab.calibration import refuse_missing
from quantlab.errors import UsageError
from quantlab.models import identify
from quantlab.processes import describe, python_environment, warm_up
from quantlab.progress import Progress, Silent
from quantlab.runtimes import RUNTIMES
from quantlab.settings import SETTINGS
from quantlab.store import Store
from quantlab.study._compare import Comparison
from quantlab.study._context import Context, artifact_format, open_model, workshop_for
from quantlab.study._convert import Made, given_variant, make_variants
from quantlab.study._costs import measure_costs
from quantlab.study._inside import look_inside
from quantlab.study._layer_samples import draw_layer_samples
from quantlab.study._layers import LayerStudy
from quantlab.study._overlap import refuse_overlap
from quantlab.study._plan import Plan, make_plan
from quantlab.study._reference import Probe, batch_size_for, probe, run_reference
from quantlab.study._run import bytes_needed
from quantlab.study._samples import draw_samples
from quantlab.study._sessions import Feed
from quantlab.study._tap_choice import TapChoice
from quantlab.study._task import Scoring, choose_scoring, refuse_unknown_metric
from quantlab.study._transfer import with_transfer
from quantlab.study._trial import Measured, run_trial
from quantlab.study._warnings import (
    broken_parity,
    near_chance,
    parity_by_format,
    unstable_reference,
    with_straying_tensors,
)
from quantlab.study.options import AnalyzeOptions
from quantlab.types import KeptOutputs, OpenedModel, SampleSet, Setting, Study, TensorSpec, Trial
from quantlab_converters import CONVERTERS, preloaded

__all__ = ["analyze", "load_study"]

_AT_ONCE = 2  # children working at a time, one thread each


def analyze(
    model: str | Path,
    *,
    data: str,
    options: AnalyzeOptions | None = None,
    progress: Progress | None = None,
) -> Study:
    """Convert a model, run every variant where it will run, and compare each with the model.

    Args:
        model: A `.keras`, `.h5` or `.hdf5` file, a SavedModel folder, or an `.onnx` file.
        data: The calibration set: a `.npz`, a `.npy`, a folder of images, or `module:function`.
        options: Everything else.
        progress: Hears what happens; nothing is printed.

    Returns:
        The study as its folder keeps it in `study.json`. A trial that could not be measured is in it, with its
        failure.

    Raises:
        QuantlabError: If nothing can be measured: the model, the data or an option is not as it must be.
    """
    options = options or AnalyzeOptions()
    make_plan(options)  # names first: they cost nothing
    refuse_unknown_metric(options.metric)
    path = Path(model)
    file = identify(path, options.model)
    plan = make_plan(options, file.kind)
    refuse_missing(data, options.calibration)
    store = Store(options.out or Path(f"{path.stem}.study"))
    with store.locked():
        store.refuse_other_model(file.sha256, path)
        with workshop_for(file, store.work, options) as workshop:
            return _Analysis(Context(store, workshop, options, progress or Silent(), file), data, plan).run()


def load_study(folder: str | Path) -> Study:
    """The study that `analyze` left in a folder; nothing is run.

    Raises:
        StudyError: If there is none, it is broken, or of another schema.
    """
    return Store(Path(folder)).read_study()


@dataclass(slots=True)
class _Analysis:
    """One call of `analyze`, and the wall time of its phases."""

    context: Context
    data: str
    plan: Plan
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def run(self) -> Study:
        context, began = self.context, time.perf_counter()
        with self._timed("open the model"):
            model = open_model(context, meanwhile=self._warm_up_converters)
        with self._timed("read the samples"):
            samples, calibration = draw_samples(context, model, self.data)
            self.warnings = refuse_overlap(samples, calibration) if calibration else []
        scoring = choose_scoring(model.description, samples, context.options.metric, context.options.score_output)
        work = _Work(self, model, samples, calibration, self.plan)
        with context.store.unfinished():
            with self._timed("convert and run"):
                kept, probed, measured = work.run()
            with self._timed("compare"):
                study = self._study(work, scoring, kept, probed, measured)
            context.store.write_study(study)  # before looking inside, which must not cost the table
        if context.options.costs:
            with self._timed("measure costs"):
                feed = Feed(context, samples, probed.outputs, batch_size_for(context, model))
                context.store.write(context.store.root / "costs.json", measure_costs(feed, study.trials))
        if context.options.layers:
            with self._timed("look inside"):
                study = self._look_inside(work, study, probed)
        else:
            context.store.forget_inside()  # what an earlier call left is of other trials
        study = replace(study, seconds={**self.seconds, "all": time.perf_counter() - began})
        context.store.write_study(study)
        return context.store.read_study()  # whose paths stay true in another working folder

    def _warm_up_converters(self) -> None:
        """Let TensorFlow be imported for the converters while another process imports it to open the model."""
        made = [setting for members in self.plan.by_format.values() for setting in members]
        if any(self.context.file.kind in CONVERTERS[setting.format].takes for setting in made):
            warm_up(python_environment(onednn=False), preloaded(artifact_format(self.context.file)))

    def _look_inside(self, work: "_Work", study: Study, probed: Probe) -> Study:
        drawn = draw_layer_samples(self.context, work.samples, self.context.options.layer_samples)
        feed = Feed(self.context, drawn.samples, probed.outputs, batch_size_for(self.context, work.model))
        choice = TapChoice(self.context.options.taps, self.context.options.channels)
        layers = LayerStudy(feed, work.model, drawn.indices, study.scored_output, study.trials, choice)
        try:
            found = look_inside(layers, study)
        except UsageError:  # a name that there is not: asked for, so that its absence must be told
            raise
        except Exception as error:  # noqa: BLE001 (a graph that cannot be read inside has its table all the same)
            self.context.store.forget_inside()
            self.context.progress.warn(f"nothing could be read inside the variants: {describe(error)}")
            return study
        self.context.store.write_inside(found)
        return replace(study, warnings=with_straying_tensors(study, found))

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.add_seconds(phase, time.perf_counter() - began)

    def add_seconds(self, phase: str, seconds: float) -> None:
        self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds

    def _study(
        self, work: "_Work", scoring: Scoring, kept: KeptOutputs, probed: Probe, measured: Sequence[Measured]
    ) -> Study:
        comparison = Comparison.open(replace(scoring, output=_as_given(scoring, probed)), kept)
        trials = comparison.with_python([each.trial(comparison) for each in measured])
        scores = comparison.of_reference()
        parity = parity_by_format(trials, SETTINGS)
        return Study(
            model=work.model.description,
            samples=work.samples,
            calibration=work.calibration,
            task=scoring.task,
            scored_output=scoring.output.name,
            classes=comparison.classes,
            probabilities=comparison.probabilities,
            batch_size=batch_size_for(self.context, work.model),
            seed=self.context.options.seed,
            reference=Trial(
                setting="reference",
                runtime="python",
                ran_on="python",
                scores=scores,
                timing=kept.timing,
                environment=kept.environment,
                outputs=kept.files,
            ),
            trials=trials,
            parity=parity,
            warnings=(
                *unstable_reference(probed),
                *broken_parity(parity, trials, scoring.output.name).values(),
                *self.warnings,
                *near_chance(scoring, scores),
            ),
            versions=_versions(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def _as_given(scoring: Scoring, probed: Probe) -> TensorSpec:
    return next(spec for spec in probed.outputs if spec.name == scoring.output.name)


def _versions() -> dict[str, str]:
    names = (
        "quantlab",
        "tensorflow",
        "tensorflowjs",
        "ai-edge-litert",
        "keras",
        "tf_keras",
        "onnx",
        "onnxruntime",
        "tf2onnx",
        "numpy",
    )
    return {name: version(name) for name in names}


@dataclass(slots=True)
class _Work:
    """Everything that runs in children, in the order in which it can."""

    analysis: _Analysis
    model: OpenedModel
    samples: SampleSet
    calibration: SampleSet | None
    plan: Plan
    stopped: bool = False
    """Set when the study fails or is stopped: then nothing more is begun."""

    def run(self) -> tuple[KeptOutputs, Probe, list[Measured]]:
        """The reference's outputs, and each trial's, in the plan's order."""
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="quantlab")
        try:
            return self._run(pool)
        except BaseException:
            self.stopped = True
            pool.shutdown(wait=False, cancel_futures=True)
            # Threads that listen to children would keep us waiting, and take up what is still to do.
            self.analysis.context.workshop.close()
            raise
        finally:
            pool.shutdown(wait=True)

    def _run(self, pool: ThreadPoolExecutor) -> tuple[KeptOutputs, Probe, list[Measured]]:
        context = self.analysis.context
        reference = pool.submit(self._reference)
        making = [pool.submit(self._make, settings) for settings in self.plan.by_format.values()]
        probed, kept = reference.result()
        trials: list[Future[Measured]] = []
        given = [
            with_transfer(context, given_variant(name, path, self.model))
            for name, path in context.options.variants.items()
        ]
        self._start_trials(pool, given, probed, trials)
        waiting: set[Future[list[Made]]] = set(making)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                self._start_trials(pool, future.result(), probed, trials)
        measured = [future.result() for future in trials]
        order = {name: place for place, name in enumerate((*SETTINGS, *context.options.variants))}
        runtimes = list(RUNTIMES)
        return kept, probed, sorted(measured, key=lambda each: (order[each.made.setting], runtimes.index(each.runtime)))

    def _reference(self) -> tuple[Probe, KeptOutputs]:
        context = self.analysis.context
        probed = probe(context, self.model, self.samples)
        for text in unstable_reference(probed):
            context.progress.warn(text)
        runs = 1 + self.plan.trial_count
        context.progress.plan(runs * self.samples.n)
        context.store.refuse_too_large(
            runs * bytes_needed(probed.outputs, self.samples.n), f"the outputs of {runs - 1} trials"
        )
        began = time.perf_counter()
        kept = run_reference(context, self.model, self.samples, probed.outputs)
        self.analysis.add_seconds("run the reference", time.perf_counter() - began)
        return probed, kept

    def _make(self, settings: Sequence[Setting]) -> list[Made]:
        began = time.perf_counter()
        made = []
        for each in make_variants(
            self.analysis.context, self.model, settings, samples=self.samples, calibration=self.calibration
        ):
            made.append(with_transfer(self.analysis.context, each))
            if self.stopped:
                break
        self.analysis.add_seconds(f"convert {settings[0].format}", time.perf_counter() - began)
        return made

    def _start_trials(
        self, pool: ThreadPoolExecutor, made: Sequence[Made], probed: Probe, trials: list[Future[Measured]]
    ) -> None:
        batch_size = batch_size_for(self.analysis.context, self.model)
        for each in made:
            for place in self.plan.places(each):
                future = pool.submit(
                    run_trial,
                    self.analysis.context,
                    each,
                    place,
                    samples=self.samples,
                    outputs=probed.outputs,
                    batch_size=batch_size,
                )
                trials.append(future)
