"""Opens variants for reading their tensors: lists the tensors, and starts the session that reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from quantlab.errors import TrialError
from quantlab.formats import Format, PythonExecutor, describe_runnable
from quantlab.runtimes import Job, Runtime, Taps, input_files
from quantlab.runtimes.exchange import TensorFile
from quantlab.runtimes.python import REFERENCE
from quantlab.runtimes.taps import Session, graph_taps, open_session
from quantlab.study.context import Context, artifact_options
from quantlab.study.copies import opened_artifact
from quantlab.types import OpenedModel, SampleSet, TapSpec, TensorSpec, Variant
from quantlab.types.executor_options import ExecutorOptions

__all__ = [
    "SessionInputs",
    "TappedVariant",
    "list_variant_taps",
    "open_isolated",
    "open_reference",
    "open_variant",
    "runs_ops_alone",
]


@dataclass(frozen=True, slots=True)
class SessionInputs:
    """The inputs and outputs that all sessions of a study share."""

    context: Context
    samples: SampleSet
    outputs: tuple[TensorSpec, ...]
    batch_size: int
    """The requested batch size, or 1 if the model was exported with 1."""

    def format(self, name: str) -> Format:
        """The descriptor of a format."""
        return self.context.registries.formats[name]

    def variant_job(self, variant: Variant, artifact: Path) -> Job:
        """A job over all samples of a variant or its tapped copy; the child waits for ranges."""
        format_ = self.format(variant.format)
        options = artifact_options(self.context, format_, artifact)
        job = self.job(str(artifact.absolute()), variant, options, format_.python)
        return replace(job, format=format_.name, javascript=format_.javascript)

    def job(self, artifact: str, variant: Variant | None, options: ExecutorOptions, executor: PythonExecutor) -> Job:
        """The same for an executor that only Python workers have."""
        return Job(
            format="",
            artifact=artifact,
            backend="",
            batch_size=self.batch_size,
            start=0,
            stop=self.samples.n,
            inputs=input_files(self.samples, variant),
            outputs=tuple(self._output(variant, spec, place) for place, spec in enumerate(self.outputs)),
            options=options,
            python=executor,
        )

    def _output(self, variant: Variant | None, spec: TensorSpec, place: int) -> TensorFile:
        port = next((output for output in variant.outputs if output.name == spec.name), None) if variant else None
        return TensorFile(
            name=spec.name,
            file="",
            offset=0,
            shape=tuple(int(size or 0) for size in spec.shape[1:]),
            dtype=spec.dtype,
            tensor=port.tensor if port else spec.name,
            position=port.position if port else place,
            codes=port.codes if port else None,
        )

    def file(self, name: str) -> Path:
        """The file to which a session's child writes a batch."""
        folder = self.context.store.work / "taps"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.bin"


@dataclass(frozen=True, slots=True)
class TappedVariant:
    """A graph in a runtime, its tensors in order of execution, and the session that reads them."""

    taps: tuple[TapSpec, ...]
    session: Session


def _readable(taps: Sequence[TapSpec]) -> tuple[str, ...]:
    return tuple(tap.name for tap in taps if tap.reason is None)


def open_reference(
    inputs: SessionInputs, model: OpenedModel, names: Sequence[str] | None, *, name: str = ""
) -> TappedVariant:
    """Open the reference's graph for reading all readable tensors, or only those in `names`.

    Args:
        inputs: What it is fed.
        model: The reference.
        names: Tensors to read; None is all.
        name: Of the session's file, which no session with other samples may have; empty for layer samples.
    """
    name = name or ("reference" if names is None else "reference-aligned")
    if model.format is not None:
        own = describe_runnable(name, inputs.format(model.format), model.source, model.description)
        taps = _among(list_variant_taps(inputs, own), names)
        artifact, tapped = _tapped(inputs, inputs.format(own.format), own.path, name, _readable(taps))
        job = inputs.variant_job(own, artifact)
    else:
        where = ExecutorOptions(saved_model=str(model.source.absolute()), signature=str(model.signature))
        job = inputs.job("", None, where, REFERENCE)
        taps = _among(graph_taps(job, inputs.context.pool), names)
        tapped = Taps(str(inputs.file(name)), _readable(taps))
    return TappedVariant(taps, _open(inputs, inputs.context.registries.python, replace(job, taps=tapped)))


def _open(inputs: SessionInputs, runtime: Runtime, job: Job) -> Session:
    return open_session(runtime, job, inputs.context.pool)


def _among(taps: Sequence[TapSpec], names: Sequence[str] | None) -> tuple[TapSpec, ...]:
    wanted = None if names is None else set(names)
    return tuple(tap for tap in taps if wanted is None or tap.name in wanted)


def list_variant_taps(inputs: SessionInputs, variant: Variant) -> tuple[TapSpec, ...]:
    """Every tensor of a variant, in order of execution."""
    listed = inputs.format(variant.format).taps
    if listed is not None:
        return listed(variant.path)
    return graph_taps(inputs.variant_job(variant, variant.path), inputs.context.pool)


def open_variant(inputs: SessionInputs, variant: Variant, runtime: str, taps: Sequence[TapSpec]) -> Session:
    """Open a variant (or, if its format needs one, a tapped copy) for reading its readable tensors.

    Raises:
        TrialError: If its batch size is fixed at 1 and samples are read in batches.
    """
    format_ = inputs.format(variant.format)
    if format_.alone is None and variant.fixed_batch is not None and inputs.batch_size > 1:
        raise TrialError(
            f"its batch size is fixed at {variant.fixed_batch}, and layers are read in batches of {inputs.batch_size}; "
            f"--batch-size 1 reads them"
        )
    artifact, tapped = _tapped(inputs, format_, variant.path, f"{variant.name}-{runtime}", _readable(taps))
    where = inputs.context.registries.runtimes[runtime]
    if artifact != variant.path.absolute():
        artifact = opened_artifact(inputs.context, variant, where, artifact).path
    job = inputs.variant_job(variant, artifact)
    return _open(inputs, where, replace(job, taps=tapped))


def _tapped(inputs: SessionInputs, format_: Format, path: Path, name: str, taps: tuple[str, ...]) -> tuple[Path, Taps]:
    """The artifact to open for these taps, and the taps to read from it."""
    file = inputs.file(name)
    write = format_.write_tapped
    if write is None:
        return path.absolute(), Taps(str(file), taps)
    copy = file.with_suffix(path.suffix).absolute()
    return copy, Taps(str(file), taps, tuple(write(path, copy, taps)))


def runs_ops_alone(format_: Format) -> bool:
    """Whether single ops of the format's artifacts can run, in Python."""
    return format_.python.isolated is not None or format_.write_isolated is not None


def open_isolated(
    inputs: SessionInputs, variant: Variant, float32: Variant, taps: Sequence[TapSpec], names: Mapping[str, str]
) -> Session:
    """Open a variant so that each op runs alone, with its inputs taken from the float32 graph.

    Args:
        inputs: What every session is fed.
        variant: The variant whose ops run.
        float32: The float32 baseline of the same format.
        taps: Tensors of the variant to read.
        names: Tensor of the variant → tensor of the float32 baseline.

    Raises:
        ValueError: If the format does not support it (`runs_ops_alone`).
        QuantlabError: If the ops of this variant cannot run alone.
    """
    format_ = inputs.format(variant.format)
    if format_.write_isolated is not None:
        return _open_written(inputs, variant, float32, [tap for tap in taps if tap.name in names], names)
    executor = format_.python.isolated
    if executor is None:
        raise ValueError(f"single ops cannot be run in the format '{variant.format}'")
    options = artifact_options(inputs.context, format_, variant.path)
    options = replace(options, float32_artifact=str(float32.path.absolute()))
    job = inputs.job(str(variant.path.absolute()), variant, options, executor)
    weighted = {tap.name for tap in graph_taps(job, inputs.context.pool)}
    readable = tuple(name for name in _readable(taps) if name in weighted)
    tapped = Taps(str(inputs.file(f"{variant.name}-isolated")), readable)
    return _open(inputs, inputs.context.registries.python, replace(job, taps=tapped))


def _open_written(
    inputs: SessionInputs, variant: Variant, float32: Variant, taps: Sequence[TapSpec], names: Mapping[str, str]
) -> Session:
    """Open the file that the format writes for it, as an artifact whose outputs are those of the float32 baseline."""
    format_, readable = inputs.format(variant.format), _readable(taps)
    if format_.write_isolated is None:
        raise ValueError(f"the format '{variant.format}' writes no file of single ops")
    file = inputs.file(f"{variant.name}-isolated")
    copy = file.with_suffix(variant.path.suffix).absolute()
    positions = format_.write_isolated(float32.path, variant.path, copy, names, readable)
    job = inputs.variant_job(float32, copy)
    tapped = Taps(str(file), readable, tuple(positions))
    return _open(inputs, inputs.context.registries.python, replace(job, taps=tapped))
