"""One command from a model and samples to the table."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from quantlab.errors import UsageError
from quantlab.models import identify
from quantlab.names import study_folder
from quantlab.processes import describe
from quantlab.progress import Progress, Silent
from quantlab.registries import REAL, Registries
from quantlab.samples import SampleParts, kept_subset, refuse_missing, refuse_missing_slices
from quantlab.store import Store
from quantlab.study.as_given import beside_reference, with_artifact
from quantlab.study.calibration_telling import ToldCalibration
from quantlab.study.compare import Comparison
from quantlab.study.context import Context, open_model, pool_for, sharding_for
from quantlab.study.costs import measure_costs
from quantlab.study.devices.rows import with_device_costs, with_device_layers
from quantlab.study.import_ahead import begin_imports
from quantlab.study.importing import imported_rows, read_imports, with_imported
from quantlab.study.inside.half import warn_of_half_floats
from quantlab.study.inside.look import look_inside
from quantlab.study.inside.sessions import SessionInputs
from quantlab.study.inside.source import warn_of_collapses
from quantlab.study.keeping import remove_outputs, with_kept_scores, with_scores_only
from quantlab.study.naming import checked_names, class_names
from quantlab.study.non_finite_words import calibration_warning, output_warning
from quantlab.study.options import AnalyzeOptions
from quantlab.study.outputs import ComparedOutputs, compare_outputs
from quantlab.study.pipelines.fed_reference import fed_checks, fed_row, fed_warning
from quantlab.study.pipelines.feeding import fed_samples, the_pipeline
from quantlab.study.plan import Plan, make_plan
from quantlab.study.reference import batch_size_for
from quantlab.study.refused import locked_or_removed
from quantlab.study.remote import study_place
from quantlab.study.repeats import warn_of_state
from quantlab.study.samples import draw_samples
from quantlab.study.scores_only import refuse_few_with_outputs
from quantlab.study.served import explain_servers
from quantlab.study.suspicions import examine, odd_rows, repeatability, sane, unstable_reference, unusual_precision
from quantlab.study.task import NO_LOSS, choose_scoring, refuse_unknown_metric
from quantlab.study.transfer import complete_sizes
from quantlab.study.warnings import (
    CheckedOutputs,
    failed_float32_checks,
    float32_checks,
    with_straying_tensors,
)
from quantlab.study.work import Work, WorkResult
from quantlab.types import (
    PYTHON,
    REFERENCE,
    STRAY_LIMIT,
    Costs,
    KeptOutputs,
    OpenedModel,
    OutputComparison,
    ReferenceCheck,
    SampleSet,
    Study,
    Trial,
    Variant,
)

__all__ = ["Analysis", "Scored", "analyze", "load_study", "package_versions"]


def analyze(
    model: str | Path,
    *,
    data: str,
    options: AnalyzeOptions | None = None,
    progress: Progress | None = None,
    registries: Registries = REAL,
) -> Study:
    """Convert a model, run every variant in the chosen runtimes, and compare each with the model.

    Args:
        model: A `.keras`, `.h5` or `.hdf5` file, a SavedModel folder, or an artifact: an `.onnx` or `.tflite` file, or
            the folder or `model.json` of a TensorFlow.js model.
        data: The samples: a file, a glob or an address of several, a `data.toml`, a folder of images, or
            `module:function`.
        options: Everything else.
        progress: Receives events; nothing is printed.
        registries: The known formats, runtimes and converters.

    Returns:
        The study as stored in `study.json`. It includes the trials that could not be measured, with their failures.

    Raises:
        QuantlabError: If nothing can be measured because the model, the data or an option is invalid.
    """
    options, progress = options or AnalyzeOptions(), progress or Silent()
    registries = registries.at(options.serving)
    make_plan(options, None, registries)  # names first: they cost nothing
    refuse_unknown_metric(options.metric, registries.metrics)
    path = Path(model)
    options = beside_reference(path, options, registries)
    file = identify(options.reference or path, options.model)
    options = with_artifact(options, file, registries)
    plan = make_plan(options, file.kind, registries)
    for sentence in plan.idle_runtimes(options, file.kind):
        progress.warn(sentence)
    refuse_missing(data, options.calibration)
    refuse_missing_slices(options.slices)
    the_pipeline(options.pipeline, registries.pipelines, data)
    refuse_few_with_outputs(options)
    with study_place(Path(options.out or study_folder(path)), progress) as place:
        store = Store(place.folder)
        with locked_or_removed(store):
            place.fetch(progress)
            store.refuse_other_model(file.sha256, file.path)
            with (
                pool_for(file, store.work, options, registries) as pool,
                sharding_for(store, options, registries, place.depot) as cut,
            ):
                study = Analysis(Context(store, pool, options, progress, file, registries, cut), data, plan).run()
            place.store(progress)
            return study


def load_study(folder: str | Path) -> Study:
    """Read the study that `analyze` wrote to a folder; nothing is run.

    Raises:
        StudyError: If there is none, it cannot be read, or it has another schema.
    """
    return Store(Path(folder)).read_study()


@dataclass(slots=True)
class Analysis:
    """The table of one model on some samples, and the wall time of its phases."""

    context: Context
    data: str
    plan: Plan
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    calibration: ToldCalibration = field(default_factory=ToldCalibration)

    def run(self) -> Study:
        """Make the table, then compare layers and measure costs; everything is stored."""
        context, began = self.context, time.perf_counter()
        with self._timed("open the model"):
            model = open_model(context, meanwhile=lambda: begin_imports(context, self.plan))
        with self._timed("read the samples"):
            parts, declared = self._read(model)
        work = self.begin(model, parts.scored, parts.calibration, declared=declared)
        work = replace(work, context=with_scores_only(context, work.scoring, work.samples.labels_sha256))
        self._check_calibration(parts)
        with context.store.unfinished():
            scored = self.score(work)
            result, study = scored.result, replace(scored.study, search=parts.search)
            study = with_kept_scores(work.context, study, result.comparison)
            context.store.write_outputs(scored.outputs)
            context.store.write_shards(None if context.sharding is None else context.sharding.record())
            told = self.calibration.after_runs(_variants(study), context.registries.formats, parts, result.inner)
            study = replace(study, warnings=(*study.warnings, *told))
            context.store.write_calibration(self.calibration.check)
            if parts.duplicates is not None:
                context.store.write_duplicates(parts.duplicates)
            context.store.write_study(study)  # first, so that a failed layer comparison does not lose the table
        if context.options.layers and result.comparison.finite.any():
            with self._timed("look inside"):
                study = self._look_inside(work, study, result)
        else:
            # Rows of an earlier call belong to other trials, and a model that is never finite has nothing to compare.
            context.store.forget_inside()
        if context.options.costs:  # last, because nothing else may run at the same time
            with self._timed("measure costs"):
                inputs = SessionInputs(
                    context, kept_subset(parts.scored), result.probe.outputs, batch_size_for(context, model)
                )
                costs = measure_costs(inputs, _run_here(study), rounds=context.options.timing_rounds)
                record = context.store.root / "costs.json"
                before = context.store.read(record, Costs)
                context.store.write(record, with_device_costs(costs, before, study.trials))
        study = replace(study, seconds={**self.seconds, "all": time.perf_counter() - began})
        context.store.write_study(study)
        if study.store == "scores":
            remove_outputs(study)
        if context.options.download_sizes:
            complete_sizes(context.store, context.progress, context.registries)
        return context.store.read_study()  # with absolute paths, valid in any working folder

    def _read(self, model: OpenedModel) -> tuple[SampleParts, SampleSet | None]:
        """The samples, and those of the declared preprocessing if variants are fed by an app's pipeline."""
        context, tuned = self.context, self.context.options.tuned
        pipeline = the_pipeline(context.options.pipeline, context.registries.pipelines, self.data)
        parts = draw_samples(context, model, self.data, search=tuned is not None and tuned.data == self.data)
        self.warnings += parts.warnings
        if tuned is not None:
            # The view of candidates and the recipe of a tuned row read the decisions in the row's own study.
            context.store.write_tuning(tuned)
        if pipeline is None:
            return parts, None
        return replace(parts, scored=fed_samples(context, pipeline, parts.scored, model.description)), parts.scored

    def _check_calibration(self, parts: SampleParts) -> None:
        """Compare the calibration samples with the scored ones, if a setting is calibrated, and tell at once."""
        settings = [setting for members in self.plan.by_format.values() for setting in members]
        if any(setting.calibrated for setting in settings):
            progress, seed = self.context.progress, self.context.options.seed
            self.warnings += self.calibration.before(parts, progress, seed=seed)

    def begin(
        self,
        model: OpenedModel,
        samples: SampleSet,
        calibration: SampleSet | None,
        *,
        declared: SampleSet | None = None,
    ) -> Work:
        """Decide what is scored on these samples; nothing is run.

        Args:
            model: The model.
            samples: What variants are fed.
            calibration: The calibration samples.
            declared: The samples of the declared preprocessing, if `samples` are those of an app's pipeline.
        """
        scoring = choose_scoring(
            model.description,
            samples,
            self.context.options.metric,
            self.context.options.score_output,
            metrics=self.context.registries.metrics,
            calibration=calibration,
        )
        names = class_names(self.context.options, self.context.file.path, lambda _: None)
        samples = checked_names(samples, names, scoring.output, self.context.progress.warn)
        scoring = replace(scoring, class_names=samples.classes)
        return Work(self.context, model, samples, calibration, self.plan, scoring, self.add_seconds, declared)

    def score(self, work: Work) -> "Scored":
        """Convert and run the variants, and compare them; the study is not stored."""
        with self._timed("convert and run"):
            result = work.run()
        with self._timed("compare"):
            return self._scored(work, result)

    def _of_pipeline(self, fed: Trial | None) -> tuple[str, ...]:
        """What an app's pipeline costs alone, first of all warnings: quantization is blamed last."""
        if fed is None or fed.scores is None or self.context.options.pipeline is None:
            return ()
        sentence = fed_warning(self.context.options.pipeline, fed.scores)
        return () if sentence is None else (sentence,)

    def _look_inside(self, work: Work, study: Study, result: WorkResult) -> Study:
        layers = work.layers(result, study.trials)
        try:
            inside = look_inside(layers, study)
        except UsageError:  # an unknown tap name is an error of the user
            raise
        except Exception as error:  # noqa: BLE001 (the table must be written even if layers cannot be read)
            self.context.store.forget_inside()
            self.context.progress.warn(f"nothing could be read inside the variants: {describe(error)}")
            return study
        self.context.store.write_inside(with_device_layers(inside, self.context.store.inside_or_none(), study))
        calibrated = frozenset[str]() if self.calibration.suits_scored else self.plan.calibrated
        causes = warn_of_collapses(study, inside.sources, inside.layers, inside.weights, badly_calibrated=calibrated)
        halves = warn_of_half_floats(study.trials, inside, self.context.registries)
        recorded = self.calibration.after_layers(inside, _variants(study))
        self.context.store.write_calibration(self.calibration.check)
        causes = (*causes, *halves, *inside.quantized_before, *recorded)
        return replace(study, warnings=(*with_straying_tensors(study, inside), *causes))

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.add_seconds(phase, time.perf_counter() - began)

    def add_seconds(self, phase: str, seconds: float) -> None:
        """Add to the wall time of a phase."""
        self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds

    def _scored(self, work: Work, result: WorkResult) -> "Scored":
        comparison, kept, scoring = result.comparison, result.reference, work.scoring
        imported = imported_rows(read_imports(self.context.store), comparison, result.trials, work.samples)
        rows = comparison.with_python(with_imported(result.trials, imported.trials))
        compared = compare_outputs(kept.files, rows, scoring.output.name, comparison.finite)
        compared = replace(compared, warnings=(*compared.warnings, *imported.warnings))
        trials = compared.trials
        check = examine(repeatability(result.probe, work.model.training_layers), comparison)
        outputs = CheckedOutputs(
            scoring.output.name, compared.comparison.rows, result.probe.outputs, comparison.of_positions
        )
        if result.fed is None:
            checks = float32_checks(trials, self.context.registries.settings, outputs)
        else:
            checks = fed_checks(comparison, result.fed, trials, self.context.registries.settings, result.probe.outputs)
        fed = None if result.fed is None else fed_row(comparison, result.fed)
        study = Study(
            model=work.model.description,
            samples=work.samples,
            pipeline=self.context.options.pipeline or "",
            declared=work.declared,
            fed_reference=fed,
            calibration=work.calibration,
            task=scoring.task,
            scored_output=scoring.output.name,
            classes=comparison.classes,
            probabilities=comparison.probabilities,
            positions=comparison.positions,
            threshold=comparison.threshold,
            batch_size=batch_size_for(self.context, work.model),
            seed=self.context.options.seed,
            reference=_reference_row(comparison, kept),
            trials=trials,
            parity=checks,
            non_finite=result.non_finite,
            reference_check=check,
            warnings=(),
            versions=package_versions(self.context.registries),
            metric=None if self.context.options.metric in NO_LOSS else self.context.options.metric,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        warnings = self._warnings(work, result, study=study, compared=compared, check=check)
        return Scored(result, replace(study, warnings=tuple(warnings)), compared.comparison)

    def _warnings(
        self, work: Work, result: WorkResult, *, study: Study, compared: ComparedOutputs, check: ReferenceCheck
    ) -> Iterator[str]:
        """The warnings in the order in which causes are ruled out: the app, the model, the export, then the rest."""
        scored = study.scored_output
        yield from self._of_pipeline(study.fed_reference)
        yield from (output_warning(one, scored) for one in result.non_finite if one.among == "scored")
        yield from unstable_reference(check, self.context.registries.formats)
        yield from unusual_precision(work.model.description)
        yield from (calibration_warning(one) for one in result.non_finite if one.among == "calibration")
        yield from sane(check, work.samples, result.comparison.labels_of_samples)
        yield from odd_rows(result.comparison)
        yield from failed_float32_checks(study.parity, study.trials, check).values()
        yield from explain_servers(
            self.context,
            study.trials,
            samples=work.samples,
            outputs=result.probe.outputs,
            batch_size=study.batch_size,
        )
        yield from warn_of_state(study.reference, study.trials, repeatable=check.again <= STRAY_LIMIT)
        yield from compared.warnings
        yield from self.warnings
        if result.unsearched:
            yield result.unsearched


@dataclass(frozen=True, slots=True)
class Scored:
    """A table that was made."""

    result: WorkResult
    study: Study
    outputs: OutputComparison
    """The figures of every output."""


def _reference_row(comparison: Comparison, kept: KeptOutputs) -> Trial:
    """The row of the reference, whose outputs were kept."""
    return Trial(
        setting=REFERENCE,
        runtime=PYTHON,
        ran_on=PYTHON,
        scores=comparison.of_reference(),
        timing=kept.timing,
        environment=kept.environment,
        outputs=kept.files,
        repeated=kept.repeated,
    )


def _run_here(study: Study) -> tuple[Trial, ...]:
    """The rows of the runtimes of this machine: not those of imported outputs."""
    return tuple(trial for trial in study.trials if not trial.imported)


def _variants(study: Study) -> list[Variant]:
    """Each variant of a study once."""
    return list({trial.setting: trial.variant for trial in study.trials if trial.variant is not None}.values())


def package_versions(registries: Registries) -> dict[str, str]:
    """Versions of the packages that affect artifacts and outputs, quantlab first."""
    executors = (format_.python.packages for format_ in registries.formats.values())
    used = {name: version(name) for name in itertools.chain(_LIBRARIES, *executors)}
    for converter in registries.converters.values():
        used |= converter.versions(*converter.more_packages)
    return used


_LIBRARIES = ("quantlab", "numpy", "keras")
"""Packages that are used for every format."""
