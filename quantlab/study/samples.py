"""The study's samples: what is scored, and what static quantization is calibrated on."""

from dataclasses import replace

from quantlab.errors import UsageError
from quantlab.samples import SampleOptions, open_samples
from quantlab.study.context import Context
from quantlab.types import OpenedModel, SampleSet

__all__ = ["CALIBRATION_SAMPLES", "calibration_alone", "draw_samples"]

CALIBRATION_SAMPLES = 256
"""Set aside for static quantization where it is given none of its own; what the official guides suggest is 100–500."""


def _options(context: Context) -> SampleOptions:
    asked = context.options
    return SampleOptions(
        preprocessing=asked.preprocessing,
        limit=asked.limit,
        seed=asked.seed,
        labels=asked.labels,
        loaders=context.registries.loaders,
    )


def draw_samples(context: Context, model: OpenedModel, data: str) -> tuple[SampleSet, SampleSet | None]:
    """The scored samples and the calibration samples.

    The part for calibration is set aside whether or not a setting asks for it now: a setting added later must not
    change what the others were scored on.

    Raises:
        SamplesError: If samples are missing, broken, or do not fit the model.
        UsageError: If options name what there is not.
    """
    step = f"read {data}"
    context.progress.begin(step)
    drawn = open_samples(
        data,
        context.options.calibration,
        model_inputs=model.description.inputs,
        folder=context.store.root / "samples",
        options=_options(context),
        calibrate=CALIBRATION_SAMPLES,
    )
    context.progress.end(step, "done")
    return drawn


def calibration_alone(context: Context, model: OpenedModel) -> SampleSet:
    """Calibration samples where nothing is scored: `limit` of the set given, or `CALIBRATION_SAMPLES`."""
    data = context.options.calibration
    if data is None:
        raise UsageError("static quantization needs samples; name them with --calibration")
    options = replace(_options(context), limit=context.options.limit or CALIBRATION_SAMPLES)
    samples, _ = open_samples(
        data,
        None,
        model_inputs=model.description.inputs,
        folder=context.store.root / "samples",
        options=options,
        calibrate=0,
    )
    return samples
