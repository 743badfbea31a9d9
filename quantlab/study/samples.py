"""The samples of a study: scored samples and calibration samples."""

from dataclasses import replace

from quantlab.errors import UsageError
from quantlab.processes import onednn, python_environment, warm_up
from quantlab.samples import Cut, SampleOptions, SampleParts, open_parts, open_samples
from quantlab.study.context import Context
from quantlab.study.naming import class_names, folders_in_order, with_class_names
from quantlab.study.overlap import seen_hashes
from quantlab.types import OpenedModel, SampleSet

__all__ = ["CALIBRATION_SAMPLES", "calibration_alone", "draw_samples"]

CALIBRATION_SAMPLES = 256
"""Number of calibration samples set aside if none are given; the official guides suggest 100–500."""


def _options(context: Context, *, search: bool = False) -> SampleOptions:
    asked = context.options
    return SampleOptions(
        preprocessing=asked.preprocessing,
        limit=asked.limit,
        seed=asked.seed,
        search=search,
        labels=asked.labels,
        ignore_label=asked.ignore_label,
        slices=asked.slices,
        group=asked.group,
        never_scored=seen_hashes(None if asked.tuned is None else asked.tuned.seen),
        stall_seconds=asked.time_limit,
        loaders=context.registries.loaders,
        warn=context.progress.warn,
        reading=lambda: _begin_imports_of_workers(context),
        cut=_cut(context),
    )


def _begin_imports_of_workers(context: Context) -> None:
    """Start importing what the children of workers need, if the workers are forks: reading leaves one core.

    Of a new study, the command has started it already; this is for one that gets more samples.
    """
    if context.sharding is not None and context.sharding.options.forks_workers:
        warm_up(python_environment(onednn=onednn()), context.pool.preload)


def _cut(context: Context) -> Cut | None:
    """How the scored samples are cut, if few of them are kept."""
    sharding = context.sharding
    if sharding is None or sharding.options.keep_samples == "all":
        return None
    return Cut(sharding.shards_of, sharding.present)


def draw_samples(context: Context, model: OpenedModel, data: str, *, search: bool = False) -> SampleParts:
    """The scored samples, the calibration samples, and if asked for those of a search.

    Calibration samples are always set aside, even if no setting needs them, so that a setting added later does not
    change the scored samples.

    Raises:
        SamplesError: If samples are missing, broken, or do not fit the model.
        UsageError: If an option names something that does not exist.
    """
    step = f"read {data}"
    context.progress.begin(step)
    names = class_names(context.options, context.file.path, context.progress.warn)
    asked = _options(context, search=search)
    asked = replace(asked, preprocessing=folders_in_order(names, data, asked.preprocessing))
    drawn = open_parts(
        data,
        context.options.calibration,
        model_inputs=model.description.inputs,
        folder=context.store.root / "samples",
        options=asked,
        calibrate=CALIBRATION_SAMPLES,
    )
    context.progress.end(step, "done")
    if drawn.cut_samples is not None and context.sharding is not None:
        context.sharding.read_in_rounds(drawn.cut_samples, context.store.root / "samples")
    return with_class_names(drawn, names)


def calibration_alone(context: Context, model: OpenedModel) -> SampleSet:
    """Calibration samples if nothing is scored: at most `limit`, by default `CALIBRATION_SAMPLES`."""
    data = context.options.calibration
    if data is None:
        raise UsageError("static quantization needs samples; give them with --calibration")
    asked = _options(context)
    options = replace(
        asked,
        ignore_label=None,
        slices=(),
        group=None,
        limit=context.options.limit or CALIBRATION_SAMPLES,
        preprocessing=replace(asked.preprocessing, classes=None),  # not needed: nothing is scored
    )
    samples, _ = open_samples(
        data,
        None,
        model_inputs=model.description.inputs,
        folder=context.store.root / "samples",
        options=options,
        calibrate=0,
    )
    return samples
