"""The registries that a study uses: formats, runtimes, converters, metrics and others; callers may replace them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from quantlab.engines import ENGINES, Engine
from quantlab.formats import FORMATS, Format
from quantlab.pipelines import PIPELINES, AppPipeline
from quantlab.runtimes import RUNTIMES, Runtime
from quantlab.samples.opening import FILE_LOADERS
from quantlab.samples.source import FileLoader
from quantlab.statistics import PAIRED_METRICS, PairedMetric
from quantlab.types import PYTHON, Setting
from quantlab_converters import CONVERTERS, Converter, plain_scheme

__all__ = ["REAL", "Registries"]


@dataclass(frozen=True, slots=True, repr=False)
class Registries:
    """Members by name, each family in table order."""

    formats: Mapping[str, Format] = field(default_factory=lambda: FORMATS)
    runtimes: Mapping[str, Runtime] = field(default_factory=lambda: RUNTIMES)
    """Must contain `python`, in which the reference runs."""
    converters: Mapping[str, Converter] = field(default_factory=lambda: CONVERTERS)
    """Format name → its converter; artifacts of a format without one can be run, but not made."""
    metrics: Mapping[str, PairedMetric] = field(default_factory=lambda: PAIRED_METRICS)
    """Named metrics; a user's own function needs no entry."""
    loaders: Mapping[str, FileLoader] = field(default_factory=lambda: FILE_LOADERS)
    """File suffix → function that opens samples."""
    pipelines: Mapping[str, AppPipeline] = field(default_factory=lambda: PIPELINES)
    """The pipelines of apps, by which image files become tensors."""
    engines: Mapping[str, Engine] = field(default_factory=lambda: ENGINES)
    """What carries the shards of a study to workers."""

    def __repr__(self) -> str:
        """Names only, because signatures show this value as a default."""
        if self == REAL:
            return "REAL"
        return f"Registries({', '.join([*self.formats, *self.runtimes, *self.converters])})"

    @property
    def settings(self) -> dict[str, Setting]:
        """Every setting of every format, by name; behind each quantized one, that which keeps layers in float."""
        known: dict[str, Setting] = {}
        for format_ in self.formats.values():
            for setting in format_.settings:
                known[setting.name] = setting
                if setting.quantized and not setting.tuned:
                    known[setting.keeping_float().name] = setting.keeping_float()
        return known

    @property
    def python(self) -> Runtime:
        """The runtime of the reference and of every variant's python baseline."""
        return self.runtimes[PYTHON]

    def at(self, address: str | None) -> "Registries":
        """The same registries, with the runtimes that need an address at this one; unchanged without an address.

        Raises:
            UsageError: If it is no address.
        """
        if address is None:
            return self
        runtimes = {name: runtime.at(address) if runtime.at else runtime for name, runtime in self.runtimes.items()}
        return replace(self, runtimes=runtimes)

    def format_of_model(self, kind: str) -> Format | None:
        """The format to which a kind of model already belongs; None if TensorFlow opens it."""
        return next((format_ for format_ in self.formats.values() if format_.as_model == kind), None)

    def takes(self, setting: Setting, kind: str) -> bool:
        """Whether this setting can be made from this kind of model."""
        converter = self.converters.get(setting.format)
        return converter is not None and converter.makes(setting.scheme, kind)

    def takes_unasked(self, setting: Setting, kind: str) -> bool:
        """Whether this setting is made from this kind of model if no settings are named and it is no default one."""
        converter = self.converters.get(setting.format)
        return converter is not None and converter.makes_unasked(plain_scheme(setting.scheme), kind)


REAL = Registries()
"""The registries of quantlab itself."""
