"""What a study works with: formats, runtimes, converters, metrics and loaders, or those that a caller hands in."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from quantlab.formats import FORMATS, Format
from quantlab.runtimes import RUNTIMES, Runtime
from quantlab.samples.opening import FILE_LOADERS
from quantlab.samples.source import FileLoader
from quantlab.statistics import PAIRED_METRICS, PairedMetric
from quantlab.types import PYTHON, Setting
from quantlab_converters import CONVERTERS, Converter

__all__ = ["REAL", "Registries"]


@dataclass(frozen=True, slots=True, repr=False)
class Registries:
    """Members by name, each family in the order of the table."""

    formats: Mapping[str, Format] = field(default_factory=lambda: FORMATS)
    runtimes: Mapping[str, Runtime] = field(default_factory=lambda: RUNTIMES)
    """The one that the reference runs in, `python`, must be among them."""
    converters: Mapping[str, Converter] = field(default_factory=lambda: CONVERTERS)
    """By the format that each makes; a format without one is run, but not made."""
    metrics: Mapping[str, PairedMetric] = field(default_factory=lambda: PAIRED_METRICS)
    """Those that have a name; a user's own function needs no entry."""
    loaders: Mapping[str, FileLoader] = field(default_factory=lambda: FILE_LOADERS)
    """What opens a file of samples, by its suffix."""

    def __repr__(self) -> str:
        """Names alone: signatures show it as a default."""
        if self == REAL:
            return "REAL"
        return f"Registries({', '.join([*self.formats, *self.runtimes, *self.converters])})"

    @property
    def settings(self) -> dict[str, Setting]:
        """Every setting of every format."""
        return {setting.name: setting for format_ in self.formats.values() for setting in format_.settings}

    @property
    def python(self) -> Runtime:
        """Where the reference runs, and every variant's Python baseline."""
        return self.runtimes[PYTHON]

    def format_of_model(self, kind: str) -> Format | None:
        """The format of a kind of model that is an artifact already; None for one that TensorFlow opens."""
        return next((format_ for format_ in self.formats.values() if format_.as_model == kind), None)

    def takes(self, setting: Setting, kind: str) -> bool:
        """Whether a setting can be made from a kind of model."""
        converter = self.converters.get(setting.format)
        return converter is not None and kind in converter.takes


REAL = Registries()
"""What quantlab has of each family."""
