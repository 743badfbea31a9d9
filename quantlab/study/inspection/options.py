"""The options of `inspect`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from quantlab.models import ModelOptions
from quantlab.types import Preprocessing

__all__ = ["InspectOptions"]


@dataclass(frozen=True, slots=True)
class InspectOptions:
    """What is inspected besides the model, and on which samples."""

    data: str | None = None
    """The samples, as for `analyze`; None feeds random values."""
    settings: tuple[str, ...] | None = None
    """Names and globs of settings to convert; None means the float32 baseline of each default format."""
    runtimes: tuple[str, ...] | None = None
    """Names and globs; None means all default runtimes."""
    variants: Mapping[str, Path] = field(default_factory=dict)
    """Name → artifact that was made from the model."""
    seed: int = 0
    """Seed of random values."""
    model: ModelOptions = field(default_factory=ModelOptions)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    time_limit: float = 600.0
    """Seconds without a message after which a converter or runtime is ended."""

    def __post_init__(self) -> None:
        for name in ("settings", "runtimes"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, tuple(getattr(self, name).split(",")))
