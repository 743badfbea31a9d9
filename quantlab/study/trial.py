"""Runs one trial; a failure affects only its row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from quantlab.errors import MissingOp, QuantlabError
from quantlab.names import counted
from quantlab.runtimes import Runtime
from quantlab.study.compare import Comparison
from quantlab.study.context import Context, artifact_options
from quantlab.study.conversions import ConversionResult
from quantlab.study.copies import opened_artifact
from quantlab.study.non_finite_words import left_out_note
from quantlab.study.reference import batch_size_of
from quantlab.study.repeats import repeat_notes
from quantlab.study.run import Run, run_kept
from quantlab.study.stand_in import check_stand_in
from quantlab.types import PYTHON, Failure, KeptOutputs, SampleSet, TensorSpec, Trial, Variant

__all__ = ["PlannedRun", "RunResult", "run_of", "run_trial", "scored_row"]


_ALONE = "its batch size is fixed at 1, so it runs sample by sample"


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A runtime in which a variant will run, and whether the user requested it."""

    runtime: Runtime
    requested: bool


@dataclass(frozen=True, slots=True)
class RunResult:
    """Result of a run, before it is scored."""

    conversion: ConversionResult
    runtime: str
    requested: bool
    kept: KeptOutputs | None = None
    ran_on: Runtime | None = None
    """The runtime that was used, which differs after a fallback; None if it did not run."""
    failure: Failure | None = None
    note: str | None = None
    """A remark about this run, for its row."""

    def trial(self, comparison: Comparison) -> Trial:
        """The row, with its scores."""
        row = Trial(
            setting=self.conversion.setting,
            runtime=self.runtime,
            variant=self.conversion.variant,
            requested=self.requested,
            failure=self.failure,
            notes=self._notes(),
        )
        if self.kept is None:
            return row
        timing = self.kept.timing if self.untimed is None else None
        ran = replace(
            row,
            ran_on=self.kept.ran_on,
            timing=timing,
            environment=self.kept.environment,
            outputs=self.kept.files,
            repeated=self.kept.repeated,
        )
        return _refused_if_spoiled(scored_row(ran, comparison), self.ran_on)

    def _notes(self) -> tuple[str, ...]:
        notes = list(self.conversion.variant.notes) if self.conversion.variant else []
        if not self.requested:
            notes.append("added automatically as the float32 baseline")
        return (*notes, *self.remarks)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes about the run itself."""
        if self.kept is None:
            return ()
        notes = [f"ran on {self.kept.ran_on}"] if self.kept.ran_on != self.runtime else []
        if self.ran_on is not None:
            notes += [*self.ran_on.notes(self.kept.environment), *filter(None, [self.untimed, self.note])]
        return (*notes, *repeat_notes(self.kept.repeated))

    @property
    def untimed(self) -> str | None:
        """Why the row shows no times, or None if it does."""
        return self.ran_on.untimed(self.kept.environment) if self.kept and self.ran_on else None


def _refused_if_spoiled(row: Trial, ran_on: Runtime | None) -> Trial:
    """A row of a server; a failure if it answers NaN or infinity where the model does not.

    On this machine such outputs are those of the artifact, which loses by them. Of a server they say that it could not
    compute, or serves something else.
    """
    spoiled = row.scores.non_finite if row.scores is not None else None
    if ran_on is None or ran_on.address is None or not spoiled or row.scores is None:
        return row
    reason = (
        f"the server at {ran_on.address} answers NaN or infinity, where the model does not "
        f"({counted(spoiled, 'value')} of {counted(row.scores.n, 'sample')}); see the log of the server, and whether "
        f"it serves this model"
    )
    return replace(row, scores=None, failure=Failure(reason, "run"))


def scored_row(row: Trial, comparison: Comparison) -> Trial:
    """A row with outputs, and its scores; outputs that cannot be scored are a failure of the row."""
    try:
        candidate = row.outputs[comparison.scoring.output.name]
        scored = replace(row, scores=comparison.of(candidate))
        return replace(scored, notes=(*row.notes, *comparison.notes(candidate), *left_out_note(scored)))
    except (QuantlabError, ValueError) as error:
        return replace(row, failure=Failure(f"its outputs cannot be scored: {error}", "scoring"))


def run_trial(
    context: Context,
    conversion: ConversionResult,
    planned: PlannedRun,
    *,
    samples: SampleSet,
    outputs: Sequence[TensorSpec],
    batch_size: int,
) -> RunResult:
    """Run a variant in a runtime; failures of conversion and run are part of the result and not raised."""
    if conversion.variant is None:
        return RunResult(conversion, planned.runtime.name, planned.requested, failure=conversion.failure)
    if not planned.runtime.runs(context.registries.formats[conversion.variant.format]):
        why = f"{planned.runtime.name} does not run the format {conversion.variant.format}"
        refused = Failure(f"{why}; name another runtime after @", "run")
        return RunResult(conversion, planned.runtime.name, planned.requested, failure=refused)
    try:
        kept, note = _run(
            context, conversion.variant, planned.runtime, samples=samples, outputs=outputs, batch_size=batch_size
        )
    except QuantlabError as error:
        return RunResult(conversion, planned.runtime.name, planned.requested, failure=Failure(str(error), "run"))
    ran_on = context.registries.runtimes[kept.ran_on]
    format_, reason = context.registries.formats[conversion.variant.format], None
    notes = [note, _ALONE if batch_size_of(format_, conversion.variant, batch_size) < batch_size else None]
    if planned.runtime.name == PYTHON and format_.python.stands_in:
        run = run_of(context, conversion.variant, planned.runtime, outputs=outputs, batch_size=batch_size)
        reason, checked = check_stand_in(context, run, kept, samples)
        notes.append(checked)
    if reason is not None:
        return RunResult(conversion, planned.runtime.name, planned.requested, failure=Failure(reason, "run"))
    note = "; ".join(filter(None, notes)) or None
    return RunResult(conversion, planned.runtime.name, planned.requested, kept, ran_on, note=note)


def run_of(
    context: Context, variant: Variant, runtime: Runtime, *, outputs: Sequence[TensorSpec], batch_size: int
) -> Run:
    """A variant in a runtime.

    Raises:
        RuntimeUnavailable: If the runtime is not installed.
        ArtifactError: If the variant takes only batches of some size above 1.
    """
    format_, opened = context.registries.formats[variant.format], opened_artifact(context, variant, runtime)
    return Run(
        name=variant.name,
        runtime=runtime,
        variant=variant,
        format=format_,
        artifact=str(opened.path.absolute()),
        sha256=variant.sha256,
        environment={**runtime.environment(format_), **opened.environment},
        outputs=outputs,
        batch_size=batch_size_of(format_, variant, batch_size),
        options=artifact_options(context, format_, opened.path),
        note=opened.note,
    )


def _run(
    context: Context,
    variant: Variant,
    runtime: Runtime,
    *,
    samples: SampleSet,
    outputs: Sequence[TensorSpec],
    batch_size: int,
) -> tuple[KeptOutputs, str | None]:
    """The outputs, and a note about what was opened."""
    try:
        run = run_of(context, variant, runtime, outputs=outputs, batch_size=batch_size)
        return run_kept(context, run, samples), run.note
    except MissingOp as error:
        other = context.registries.runtimes.get(runtime.fallback or "")
        if other is None or not other.runs(context.registries.formats[variant.format]):
            raise
        if not context.options.fallback:
            raise MissingOp(f"{error}; --fallback tries it on {other.name}") from error
        return _run(context, variant, other, samples=samples, outputs=outputs, batch_size=batch_size)
