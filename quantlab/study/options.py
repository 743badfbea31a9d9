"""What is asked of a study."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from quantlab.models import ModelOptions
from quantlab.types import Preprocessing

__all__ = ["AnalyzeOptions"]


@dataclass(frozen=True, slots=True)
class AnalyzeOptions:
    """Everything `analyze` can be told beyond the model and the data."""

    calibration: str | None = None
    """Samples for static quantization; without it a part of the data is set aside."""
    labels: str | None = None
    """A file of labels, for data without labels of their own."""
    settings: tuple[str, ...] | None = None
    """Names and globs; None is every setting that runs by default."""
    runtimes: tuple[str, ...] | None = None
    """Names and globs; None is `python` and `node-wasm`."""
    variants: Mapping[str, Path] = field(default_factory=dict)
    """Artifacts that are there already, by the name of their row."""
    out: Path | None = None
    """The study's folder; None is `<model>.study` in the current one."""
    limit: int | None = None
    """How many samples are scored at most."""
    seed: int = 0
    batch_size: int = 32
    """Samples a call, where the artifact leaves it open."""
    metric: str = "auto"
    """`auto`, `similarity`, or one that a loss is judged by: `top1`, `macro-f1`, `mae`, …"""
    score_output: str | None = None
    """Which output is scored; needed where the model has several."""
    fallback: bool = False
    """Whether a backend that lacks an op is replaced by a slower one, which the row then says."""
    model: ModelOptions = field(default_factory=ModelOptions)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    layers: bool = True
    """Whether to look inside the variants: layers, weights, ops, and the split of the loss."""
    layer_samples: int | None = 256
    """On how many of the scored samples layers are compared, drawn as all subsets are; None is all."""
    taps: tuple[str, ...] | None = None
    """Layers and tensors that are compared, names and globs; None is all."""
    channels: tuple[str, ...] = ()
    """Layers and tensors that are compared channel by channel too, names and globs."""
    costs: bool = True
    """Whether to measure what each variant costs: load time, milliseconds, memory; a few seconds a trial."""
    time_limit: float = 600.0
    """Seconds that a converter or runtime may say nothing before it is ended."""

    def __post_init__(self) -> None:
        for name in ("settings", "runtimes", "taps", "channels"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, tuple(getattr(self, name).split(",")))
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size} and must be at least 1")
        if self.layer_samples is not None and self.layer_samples < 1:
            raise ValueError(f"layer_samples is {self.layer_samples} and must be at least 1, or None for all")
        if self.time_limit <= 0:
            raise ValueError(f"time_limit is {self.time_limit} and must be more than 0 seconds")
