"""The reference: checked for repeatable outputs, then run on all samples."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.errors import ArtifactError, ModelError
from quantlab.formats import Format
from quantlab.runtimes import Job, input_files, python
from quantlab.runtimes.protocol import answer
from quantlab.runtimes.requests import Probe as ProbeRequest
from quantlab.samples import kept_subset
from quantlab.store import key_of
from quantlab.study.context import Context, model_identity, model_options, naming
from quantlab.study.run import Run, run_kept
from quantlab.types import REFERENCE, KeptOutputs, ModelDescription, OpenedModel, SampleSet, TensorSpec, Trial, Variant
from quantlab.types.messages import Probed

__all__ = [
    "Probe",
    "batch_size_for",
    "batch_size_of",
    "layer_batch",
    "possible_probe",
    "probe",
    "reference_run",
    "run_reference",
]

_PROBE_SAMPLES = 64


@dataclass(frozen=True, slots=True)
class Probe:
    """Results of running the reference on a few samples."""

    outputs: tuple[TensorSpec, ...]
    """With the shapes and dtypes that were observed."""
    again: float
    """Largest difference between two equal calls, as a share of the largest value."""
    single: float
    """The same between a batch and single samples."""
    call: float | None = None
    """The same between `model(x)` in Keras and the export; None if they were not compared."""
    predict: float | None = None
    """The same for `model.predict(x)`."""


def possible_probe(kept: Probe, model: ModelDescription) -> bool:
    """Whether a stored probe can be one of the model; records of an older quantlab have no hash."""
    names = [spec.name for spec in kept.outputs]
    return (
        names == [spec.name for spec in model.outputs]
        and all(_possible(spec) for spec in kept.outputs)
        and all(value >= 0 for value in (kept.again, kept.single, kept.call or 0.0, kept.predict or 0.0))
    )


def _possible(spec: TensorSpec) -> bool:
    """Whether outputs can have this shape, batch first, and this data type."""
    try:
        numbers = np.dtype(spec.dtype).kind in "biuf"
    except (TypeError, ValueError, SyntaxError):
        return False
    batch, *sizes = spec.shape or (0,)
    return numbers and batch is None and all(size is not None and size >= 0 for size in sizes)


def batch_size_for(context: Context, model: OpenedModel) -> int:
    """The requested batch size, or 1 if the model was exported with batches of 1.

    Raises:
        ModelError: If the model was exported with another fixed batch size.
    """
    fixed = {spec.shape[0] for spec in model.description.inputs if spec.shape and spec.shape[0] is not None}
    if not fixed:
        return context.options.batch_size
    if fixed != {1}:
        raise ModelError(
            f"'{model.description.path}' takes batches of {min(size or 0 for size in fixed)} only, and samples are "
            f"compared one by one; export it with an open batch (None) or with 1"
        )
    return 1


def batch_size_of(format_: Format, variant: Variant, usual: int) -> int:
    """The batch size for a variant: the usual one, or 1 if its file has a fixed batch of 1.

    Formats that run single samples read them from batches of any size.

    Raises:
        ArtifactError: If its file has another fixed batch size.
    """
    if format_.alone is not None or variant.fixed_batch is None:
        return usual
    if variant.fixed_batch != 1:
        raise ArtifactError(
            f"'{variant.path.name}' takes batches of {variant.fixed_batch} only, and samples are compared one by one; "
            f"convert it with an open batch size, or with 1"
        )
    return 1


def layer_batch(formats: Mapping[str, Format], trials: Iterable[Trial], usual: int) -> int:
    """The batch size in which layers are read: all read the same batches, so one that takes single samples decides."""
    measured = [trial.variant for trial in trials if trial.variant is not None and trial.failure is None]
    return min((batch_size_of(formats[variant.format], variant, usual) for variant in measured), default=usual)


def probe(context: Context, model: OpenedModel, samples: SampleSet) -> Probe:
    """Call the reference twice on a few samples, and once per sample; the result is stored.

    Raises:
        ModelError: If it fails, or the first dimension of its outputs is not the batch.
    """
    batch = batch_size_for(context, model)
    key = key_of({"samples": samples.sha256, **_answers(context), "batch": batch, **_environment(context, model)})
    record = context.store.model_folder(key) / "probe.json"
    kept = context.store.read(record, Probe)
    if kept is not None and possible_probe(kept, model.description):
        return kept
    if record.exists():
        context.progress.warn(f"'{record}' is damaged, so the model is called again on a few samples")
    count = min(_PROBE_SAMPLES if batch > 1 else 1, samples.n)
    inputs = input_files(kept_subset(samples), None)
    job = Job("", "", "", count, 0, count, inputs, (), model_options(context), python.REFERENCE)
    with naming("run the reference"):
        said = answer(python.HOST, ProbeRequest(job), Probed, context.pool, error=ModelError)
    specs = tuple(
        TensorSpec(spec.name, (None, *output.shape), output.dtype)
        for spec, output in zip(model.description.outputs, said.outputs, strict=True)
    )
    probed = Probe(specs, said.again, said.single, said.call, said.predict)
    context.store.write(record, probed)
    return probed


def _answers(context: Context) -> dict[str, Any]:
    """What the reference's answers depend on; records of a quantlab that called the Keras model itself are others."""
    return {**model_identity(context), "calls": "export"}


def _environment(context: Context, model: OpenedModel) -> dict[str, str]:
    if (format_ := context.registries.format_of_model(model.description.kind)) is not None:
        return python.environment(format_)
    return python.reference_environment(model.description.kind)


def run_reference(
    context: Context, model: OpenedModel, samples: SampleSet, outputs: Sequence[TensorSpec]
) -> KeptOutputs:
    """The reference's outputs on every sample."""
    with naming("run the reference"):
        return run_kept(context, reference_run(context, model, outputs), samples)


def reference_run(context: Context, model: OpenedModel, outputs: Sequence[TensorSpec]) -> Run:
    """How the reference is run; `outputs` have the shapes that were observed."""
    return Run(
        name=REFERENCE,
        runtime=context.registries.python,
        variant=None,
        format=None,
        artifact="",
        sha256=key_of(_answers(context)),
        environment=_environment(context, model),
        outputs=outputs,
        batch_size=batch_size_for(context, model),
        options=model_options(context),
        kind=model.description.kind,
    )
