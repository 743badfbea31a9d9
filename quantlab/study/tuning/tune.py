"""One command from a model, samples and a budget to the smallest artifact that keeps it."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from pkgutil import resolve_name

import numpy as np

from quantlab.errors import QuantlabError, UsageError
from quantlab.gate import JudgedReference, Target, gather, target_of
from quantlab.models import identify
from quantlab.names import joined, study_folder
from quantlab.progress import Progress, Silent
from quantlab.registries import REAL, Registries
from quantlab.samples import SampleParts, refuse_missing, refuse_missing_slices
from quantlab.store import Store, key_of
from quantlab.study.analysis import Analysis
from quantlab.study.chosen_settings import settings_for
from quantlab.study.context import Context, model_identity, open_model, pool_for, sharding_for
from quantlab.study.costs import EXPECTED_SECONDS
from quantlab.study.inside.sessions import SessionInputs
from quantlab.study.options import AnalyzeOptions, TuneOptions
from quantlab.study.overlap import sample_hashes, seen_samples
from quantlab.study.pipelines.feeding import the_pipeline
from quantlab.study.plan import make_plan
from quantlab.study.refused import locked_or_removed
from quantlab.study.samples import draw_samples
from quantlab.study.scores_only import refuse_few_with_outputs
from quantlab.study.task import refuse_unknown_metric
from quantlab.study.tuning.acceptance import Goal, refuse_unguided
from quantlab.study.tuning.activations import sum_inputs
from quantlab.study.tuning.early import on_search_samples, refuse_early
from quantlab.study.tuning.fed import SearchSamples
from quantlab.study.tuning.float_ops import FloatOpsSearch
from quantlab.study.tuning.measuring import Bench
from quantlab.study.tuning.weights import WeightSearch
from quantlab.study.tuning.words import note_of
from quantlab.study.tuning.workbench import Workbench
from quantlab.types import (
    PYTHON,
    TUNED,
    Budget,
    OpenedModel,
    SampleSet,
    Study,
    TensorSpec,
    Trial,
    TunedFormat,
    Tuning,
    Variant,
)
from quantlab.user_modules import code_sha256
from quantlab_converters.hessians import HessianSums
from quantlab_converters.tunable import TunableWeights

__all__ = ["Tuned", "tune"]

_LOADING_SECONDS = 0.3
"""About how long a candidate takes to be written and loaded."""
_SUMS_TIME = 0.8
"""Share of the time in which the calibration samples must be read, so that some is left to search."""
_SEARCH = "search"
"""The phase that stands for those of the search until they are announced."""
_TABLE = "make the table"
"""The phase after the search, for its progress."""
_TRIAL_SECONDS = 1.6
"""About how long a trial takes besides its samples and its timing: to start, to be compared layer by layer."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What `tune` found."""

    study: Study
    """Scored on samples that neither calibration nor search saw: the settings, and a row for each tuned format."""
    tuning: Tuning

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found in each format, a sentence each."""
        return tuple(decided.note for decided in self.tuning.formats.values())

    @property
    def chosen(self) -> tuple[str, ...]:
        """The row of the study that was chosen in each format: what was tuned, or a setting."""
        return tuple(
            f"{name}-{TUNED}" if decided.own else decided.chosen for name, decided in self.tuning.formats.items()
        )


def tune(
    model: str | Path,
    *,
    data: str,
    search: TuneOptions,
    options: AnalyzeOptions | None = None,
    progress: Progress | None = None,
    registries: Registries = REAL,
) -> Tuned:
    """Search the smallest artifact that keeps a budget, and measure it beside the settings on other samples.

    Args:
        model: As for `analyze`.
        data: The samples. A third of them, at most 1,000, are for the search, and the others for the verdict.
        search: The budget, and the time of the search.
        options: All options of the study; `settings` are those that are measured beside what is tuned. In shards, if
            at all, is what is measured after the search.
        progress: Receives events; nothing is printed.
        registries: The known formats, runtimes and converters.

    Raises:
        UsageError: If the budget sets no limit of the loss that the search looks at, or none of the formats can be
            tuned.
        QuantlabError: If nothing can be measured because the model, the data or an option is invalid.
    """
    deadline = time.monotonic() + 60 * search.minutes
    options, progress = options or AnalyzeOptions(), progress or Silent()
    refuse_unguided(search.budget)
    make_plan(options, None, registries)  # names first: they cost nothing
    refuse_unknown_metric(options.metric, registries.metrics)
    target = target_of(search.budget, registries)
    path = Path(model)
    file = identify(path, options.model)
    options = replace(options, settings=_settings(options, file.kind, target, registries))
    _refuse_unsearchable(options.settings or (), registries)
    refuse_missing(data, options.calibration)
    refuse_missing_slices(options.slices)
    the_pipeline(options.pipeline, registries.pipelines, data)
    refuse_few_with_outputs(options)
    if (warning := _not_searched(options.settings or (), file.kind, target, registries)) is not None:
        progress.warn(warning)
    store = Store(options.out or study_folder(path))
    with locked_or_removed(store):
        store.refuse_other_model(file.sha256, path)
        with pool_for(file, store.work, options, registries) as pool:
            context = Context(store, pool, options, progress, file, registries)
            context.progress.plan(_SEARCH, 1)  # of which nothing is known yet, so that no time left is told
            begun = _Search.begin(context, data, search.budget, target, deadline)
            context.progress.plan(_TABLE, 1, begun.table_seconds)
            context.progress.skip(_SEARCH, 1)
            tuning = begun.run()
            context.progress.skip(_TABLE, 1)  # its own phases are announced instead
            context = replace(context, options=replace(options, tuned=tuning))
            with sharding_for(store, options, registries) as cut:
                context = replace(context, sharding=cut)
                study = Analysis(context, data, make_plan(context.options, file.kind, registries)).run()
    return Tuned(study, tuning)


def _settings(options: AnalyzeOptions, kind: str, target: Target, registries: Registries) -> tuple[str, ...]:
    """The settings that are measured beside what is tuned: those of the target's formats."""
    chosen = [
        setting
        for setting in settings_for(options, kind, registries)
        if (target.formats is None or setting.format in target.formats) and registries.takes(setting, kind)
    ]
    if not chosen:
        raise UsageError(
            f"no setting of the target '{target.name}' can be made from {kind}; choose another --target or --settings"
        )
    return tuple(setting.name for setting in chosen)


def _refuse_unsearchable(names: Sequence[str], registries: Registries) -> None:
    """Refuse settings of which no format can be searched; beside one that can, the others are only compared."""
    formats, searched = _formats_of(names, registries), _searchable(registries)
    if not set(formats) & set(searched):
        raise UsageError(
            f"nothing can be chosen in artifacts of {' and '.join(formats)} but their setting; choose settings of "
            f"{' or '.join(searched)}, or compare settings with 'quantlab recommend'"
        )


def _not_searched(names: Sequence[str], kind: str, target: Target, registries: Registries) -> str | None:
    """A warning if the settings leave out formats of the target that could be searched, too; else None."""
    known, chosen = _searchable(registries), _formats_of(names, registries)
    of_target = [
        name
        for name in known
        if (target.formats is None or name in target.formats) and kind in registries.converters[name].takes
    ]
    others = [name for name in of_target if name not in chosen]
    if not others:
        return None
    return (
        f"artifacts of {joined([name for name in known if name in chosen])} are searched, and not those of "
        f"{joined(others)}, which the target '{target.name}' takes, too; to search them, name settings of theirs in "
        f"--settings"
    )


def _formats_of(names: Sequence[str], registries: Registries) -> list[str]:
    return list(dict.fromkeys(registries.settings[name].format for name in names))


def _searchable(registries: Registries) -> list[str]:
    """The formats whose artifacts can be searched."""
    return [name for name, one in registries.converters.items() if one.tunable is not None or one.parts is not None]


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """The search, with the settings measured on its samples."""

    context: Context
    data: str
    budget: Budget
    target: Target
    deadline: float
    model: OpenedModel
    parts: SampleParts
    samples: SampleSet
    """What is fed in the search."""
    study: Study
    """Of the settings on these samples; it is not stored."""
    outputs: tuple[TensorSpec, ...]

    @classmethod
    def begin(cls, context: Context, data: str, budget: Budget, target: Target, deadline: float) -> "_Search":
        """Draw the samples, and measure the settings on those of the search."""
        model = open_model(context)
        parts = draw_samples(context, model, data, search=True)
        quick = replace(context.options, runtimes=(PYTHON,), layers=False, costs=False)
        in_python = replace(context, options=quick)
        aside_seconds = refuse_early(in_python, data, model, parts, budget)
        searched = SearchSamples.of(context, data, model.description, parts)
        analysis = Analysis(in_python, data, make_plan(in_python.options, context.file.kind, context.registries))
        scored = analysis.score(analysis.begin(model, searched.fed, parts.calibration, declared=searched.declared))
        # What the budget says about variants and cannot be judged is refused now, and not after the search.
        gather(scored.study, on_search_samples(budget), registries=context.registries)
        if (warning := refuse_unguided(budget, scored.study.scored_output)) is not None:
            context.progress.warn(warning)
        outputs = scored.result.probe.outputs
        deadline += aside_seconds + searched.seconds
        return cls(context, data, budget, target, deadline, model, parts, searched.fed, scored.study, outputs)

    def run(self) -> Tuning:
        """Search in each format; one whose float32 artifact is missing is left out, if there are others."""
        formats: dict[str, TunedFormat] = {}
        absent = {name: reason for name in self._formats() if (reason := self._absent(name)) is not None}
        if len(absent) == len(self._formats()):
            raise QuantlabError(next(iter(absent.values())))
        for reason in absent.values():
            self.context.progress.warn(reason)
        searched = [name for name in self._formats() if name not in absent]
        for place, name in enumerate(searched):
            now = time.monotonic()
            formats[name] = self._tuned(name, now + (self.deadline - now) / (len(searched) - place))
        return Tuning(
            data=self.data,
            seed=self.context.options.seed,
            formats=formats,
            search_sha256=self.samples.sha256,
            calibration_sha256=self.parts.calibration.sha256 if self.parts.calibration else "",
            seen=seen_samples(self.parts.search, self.parts.calibration),
        )

    @property
    def table_seconds(self) -> float:
        """About how long the table takes after the search, with both cores."""
        options = self.context.options
        timed = EXPECTED_SECONDS * options.timing_rounds if options.costs else 0.0
        runs = [self.parts.scored.n * _sample_seconds(trial) + _TRIAL_SECONDS + timed for trial in self.study.trials]
        plan = make_plan(options, self.context.file.kind, self.context.registries)
        return len(plan.runtimes) * sum(runs) / 2

    def _formats(self) -> list[str]:
        """The formats of the chosen settings."""
        return _formats_of(self.context.options.settings or (), self.context.registries)

    def _tuned(self, format_name: str, deadline: float) -> TunedFormat:
        converter = self.context.registries.converters[format_name]
        bench = self._bench(format_name)
        official = [
            measured
            for trial in self.study.trials
            if trial.variant is not None and trial.variant.format == format_name
            if (measured := bench.official(trial)) is not None
        ]
        goal = Goal(self.budget, self.parts.scored.n, self.study.scored_output)
        if converter.tunable is not None:
            weights: TunableWeights = resolve_name(converter.tunable)(bench.float32.path)
            now = time.monotonic()
            sums = self._sums(bench, weights, now + _SUMS_TIME * (deadline - now))
            found = WeightSearch(Workbench(bench, weights, sums, deadline), goal, official).run()
        elif converter.parts is not None:
            found = FloatOpsSearch(bench, self.study, self.model, goal, official, deadline).run()
        else:
            found = goal.among(official, "only its settings are compared, because nothing else can be chosen in it")
        return replace(found, note=note_of(format_name, found, self.target.size_word, self.parts.scored.n))

    def _bench(self, format_name: str) -> Bench:
        trial = self._float32(format_name)
        float32 = trial.variant
        if float32 is None:
            raise ValueError(f"{format_name} has no float32 artifact")
        return Bench(
            context=self.context,
            model=self.model.description,
            samples=self.samples,
            reference=JudgedReference.of(self.study, self.budget, self.context.registries),
            target=self.target,
            float32=float32,
            outputs=self.outputs,
            folder=self.context.store.root / "tune" / format_name / self._figures_key(float32),
            run_seconds=_LOADING_SECONDS + self.samples.n * _sample_seconds(trial),
        )

    def _figures_key(self, float32: Variant) -> str:
        """The hash of everything that the figures of a candidate depend on, besides its own files."""
        budget, metric = self.budget, self.budget.metric or self.study.metric or ""
        return key_of(
            {
                **model_identity(self.context),
                "samples": self.samples.sha256,
                **({"declared": self.study.declared.sha256} if self.study.declared else {}),
                "baseline": float32.sha256,
                "output": self.study.scored_output,
                "metric": metric,
                "code": code_sha256(metric.partition(":")[0]) if ":" in metric else "",
                "judged": [budget.confidence, self.study.seed, budget.leave_out_non_finite],
                "batch_size": self.context.options.batch_size,
                "target": self.target.name,
                "versions": dict(self.study.versions),
            }
        )

    def _absent(self, format_name: str) -> str | None:
        """Why a format cannot be tuned; None if its float32 artifact was measured."""
        trial = self._float32(format_name)
        if trial.variant is not None and trial.failure is None:
            return None
        reason = trial.failure.reason if trial.failure else "it was not made"
        return f"{format_name} cannot be tuned, because of its float32 artifact: {reason}"

    def _float32(self, format_name: str) -> Trial:
        name = next(
            setting.float32 for setting in self.context.registries.settings.values() if setting.format == format_name
        )
        return next(trial for trial in self.study.trials if trial.setting == name and trial.runtime == PYTHON)

    def _sums(self, bench: Bench, weights: TunableWeights, deadline: float) -> dict[str, HessianSums]:
        calibration = self.parts.calibration
        if calibration is None:
            return {}
        indices = _apart(calibration, self.parts.scored, self.parts.search or self.samples)
        if len(indices) < calibration.n:
            self.context.progress.warn(_left_out(calibration.n - len(indices), calibration.n))
        if not indices:
            return {}
        inputs = SessionInputs(self.context, calibration, self.outputs, 1)
        key = key_of(
            {
                "calibration": calibration.sha256,
                "indices": hashlib.sha256(np.array(indices).tobytes()).hexdigest(),
                "baseline": bench.float32.sha256,
                "versions": dict(self.study.versions),
            }
        )
        folder = self.context.store.root / "tune" / bench.float32.format / key
        return sum_inputs(inputs, bench.float32, weights, indices, folder, deadline=deadline)


def _sample_seconds(trial: Trial) -> float:
    """Seconds for each sample in Python; 0 if they were not measured."""
    timing = trial.timing
    return timing.seconds / timing.samples if timing is not None and timing.samples else 0.0


def _apart(samples: SampleSet, *others: SampleSet) -> list[int]:
    """The indices of samples that are in none of the others, byte for byte."""
    elsewhere = {digest for other in others for digest in sample_hashes(other)}
    return [index for index, digest in enumerate(sample_hashes(samples)) if digest not in elsewhere]


def _left_out(count: int, n: int) -> str:
    """What follows from calibration samples that are also searched on or scored."""
    if count == n:
        return (
            f"all {n:,} calibration samples are also searched on or scored, byte for byte, so weights are rounded to "
            f"the nearest codes and no bias is corrected; give other samples as --calibration"
        )
    return (
        f"{count:,} of {n:,} calibration samples {'is' if count == 1 else 'are'} also searched on or scored, byte for "
        f"byte; weights are rounded by the other {n - count:,}"
    )
