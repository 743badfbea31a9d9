"""The options of a study, and of what is measured afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from quantlab.models import ModelOptions
from quantlab.study.shards import ShardOptions
from quantlab.types import Budget, FloatLayer, Preprocessing, StoreKind, Tuning

__all__ = ["AnalyzeOptions", "SensitivityOptions", "TuneOptions"]


@dataclass(frozen=True, slots=True)
class AnalyzeOptions:
    """All options of `analyze` except the model and the data."""

    calibration: str | None = None
    """Samples for static quantization; None sets a part of the data aside."""
    labels: str | None = None
    """A file of labels, for data that contain none."""
    ignore_label: int | None = None
    """Label of positions that are not scored, for example padding; labels below 0 are never scored."""
    class_names: str | None = None
    """Names of the classes in the order of the outputs: a file with a name per line or a JSON list, or names separated
    by commas. None takes those of image folders, or of a file `class_names.txt`, `labels.txt` or `class_names.json`
    beside the model."""
    slices: tuple[str, ...] = ()
    """Columns of tables by whose values scored samples are judged in slices, each as `meta.csv:COLUMN`."""
    group: str | None = None
    """Key of groups of samples that are not independent: an array of the `.npz` file, `FILE.csv:COLUMN`, a regular
    expression for file names, or `duplicates`; None counts every sample as independent."""
    settings: tuple[str, ...] | None = None
    """Names and globs; None means all default settings."""
    float_layers: tuple[str, ...] = ()
    """Names and globs of layers that stay in float, in a row of its own for each quantized setting; `NAME:float16`
    stores their weights as half floats."""
    tuned: Tuning | None = None
    """What `tune` decided: a row for each format that was tuned, and the samples of its search are not scored."""
    runtimes: tuple[str, ...] | None = None
    """Names and globs; None means all default runtimes."""
    variants: Mapping[str, Path] = field(default_factory=dict)
    """Row name → existing artifact."""
    variant_runtimes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Row name of a variant → names and globs of its runtimes; the other variants run in `runtimes`."""
    variant_inputs: Mapping[str, str] = field(default_factory=dict)
    """Row name of a variant with uint8 inputs → `raw`: it is fed pixels, not codes computed from the samples."""
    reference: Path | None = None
    """A model, or a float artifact, that the model is compared with; the model must be an artifact then, and is a row.
    None means that the model itself is the reference."""
    out: Path | None = None
    """The study's folder, or its address as `Path("s3://BUCKET/NAME")`; None means `<model>.study` in the current
    folder."""
    limit: int | None = None
    """Maximum number of samples that are scored; None means all."""
    seed: int = 0
    batch_size: int = 32
    """Samples per call, if the artifact does not fix the batch size."""
    metric: str = "auto"
    """`auto`, `similarity`, or a metric with a loss that can be judged: `top1`, `macro-f1`, `mae`, …"""
    score_output: str | None = None
    """Name of the scored output; required if the model has several outputs."""
    serving: str | None = None
    """Address of a model of a server, such as `http://localhost:8501/v1/models/NAME`; the runtime `serving-rest` asks
    it, also if no runtimes are named."""
    fallback: bool = False
    """Whether to use a slower backend if one lacks an op; the row names the backend that was used."""
    model: ModelOptions = field(default_factory=ModelOptions)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    pipeline: str | None = None
    """Name of the pipeline by which the app makes samples of photos: the variants are fed these, and the reference is
    run on them besides the declared ones; None if the app's samples are the declared ones."""
    layers: bool = True
    """Whether to compare layers, weights and ops, and to split the loss by conversion step."""
    layer_samples: int | None = 256
    """Number of scored samples on which layers are compared: a stratified random sample; None means all."""
    taps: tuple[str, ...] | None = None
    """Names and globs of the layers and tensors that are compared; None means all."""
    channels: tuple[str, ...] = ()
    """Names and globs of the layers and tensors that are also compared channel by channel."""
    costs: bool = True
    """Whether to measure load time, run time and memory of each variant; takes a few seconds per trial."""
    timing_rounds: int = 3
    """How often all variants are timed, each time in new processes. Intervals of the median come from the rounds; fewer
    than three cannot show that a variant is faster."""
    download_sizes: bool = True
    """Whether to compress large artifacts with Brotli, at 0.4 MB/s; `measure_sizes` does it later."""
    store: StoreKind = "outputs"
    """What is kept of each row: its outputs, or `scores` only, which need less space if samples have many outputs."""
    sharding: ShardOptions | None = None
    """How the samples are cut into shards, and the workers that run them; None runs them as a whole."""
    time_limit: float = 600.0
    """Seconds without a message after which a converter or runtime is ended."""

    def __post_init__(self) -> None:
        for name in ("settings", "float_layers", "runtimes", "taps", "channels"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, tuple(getattr(self, name).split(",")))
        if self.store not in get_args(StoreKind):
            raise ValueError(f"store is '{self.store}' and must be outputs or scores")
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size} and must be at least 1")
        if self.layer_samples is not None and self.layer_samples < 1:
            raise ValueError(f"layer_samples is {self.layer_samples} and must be at least 1, or None for all")
        if self.timing_rounds < 1:
            raise ValueError(f"timing_rounds is {self.timing_rounds} and must be at least 1")
        for text in self.float_layers:
            FloatLayer.read(text)
        if self.time_limit <= 0:
            raise ValueError(f"time_limit is {self.time_limit} and must be more than 0 seconds")


@dataclass(frozen=True, slots=True)
class SensitivityOptions:
    """Options of `measure_sensitivity`."""

    setting: str | None = None
    """A quantized setting of the study; None chooses the one whose outputs differ most from the model's."""
    limit: int = 500
    """Number of scored samples on which errors are measured: a stratified random sample."""
    seed: int = 0
    budget_minutes: float | None = None
    """Minutes after which no further op is measured; None means that all are."""
    keep: int = 3
    """Number of the most sensitive ops that `Sensitivity.float_layers` keeps in float."""
    time_limit: float = 600.0
    """Seconds without a message after which a converter or runtime is ended."""
    unsafe: bool = False
    """Allow a model that does more than compute, as `ModelOptions.unsafe` does; a study does not remember it."""

    def __post_init__(self) -> None:
        if self.limit < 2:
            raise ValueError(f"limit is {self.limit} and must be at least 2")
        if self.keep < 1:
            raise ValueError(f"keep is {self.keep} and must be at least 1")
        if self.budget_minutes is not None and not self.budget_minutes > 0:
            raise ValueError(f"budget_minutes is {self.budget_minutes} and must be more than 0")


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """Options of `tune`, besides those of the study."""

    budget: Budget
    """What may be lost; its target decides which formats are tuned and which size counts."""
    minutes: float = 10.0
    """Minutes after which the search ends with what it has; the table is made after that."""

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise ValueError(f"minutes is {self.minutes} and must be more than 0")
