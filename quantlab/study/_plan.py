"""Which trials there will be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantlab.errors import UsageError
from quantlab.runtimes import RUNTIMES, Runtime
from quantlab.settings import SETTINGS, choose
from quantlab.study._convert import Made, settings_for
from quantlab.study._trial import Place
from quantlab.study.options import AnalyzeOptions
from quantlab.types import Setting

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The rows to come."""

    asked: frozenset[str]
    """Names of settings and given variants that were asked for."""
    by_format: Mapping[str, tuple[Setting, ...]]
    """Settings to convert, by format: those asked for and, for parity, the float32 of each format."""
    runtimes: tuple[Runtime, ...]
    given: tuple[str, ...]

    @property
    def trial_count(self) -> int:
        """How many trials there are at most; a given variant's format is not known yet."""
        settings = [setting for members in self.by_format.values() for setting in members]
        converted = sum(len(self._runtimes(setting.name, setting.format)) for setting in settings)
        return converted + len(self.given) * len(self.runtimes)

    def places(self, made: Made) -> list[Place]:
        """Where a variant runs; of a failed one only its setting tells the format."""
        setting = SETTINGS.get(made.setting)
        known = made.variant.format if made.variant else setting.format if setting else None
        runtimes = self._runtimes(made.setting, known) if known else self.runtimes
        return [
            Place(runtime, requested=made.setting in self.asked and runtime in self.runtimes) for runtime in runtimes
        ]

    def _runtimes(self, name: str, format_name: str) -> tuple[Runtime, ...]:
        if name not in self.asked:
            return (RUNTIMES["python"],)
        asked = tuple(runtime for runtime in self.runtimes if format_name in runtime.formats)
        float32 = name in SETTINGS and not SETTINGS[name].quantized
        if float32 and RUNTIMES["python"] not in asked:
            return (RUNTIMES["python"], *asked)
        return asked


def _select_runtimes(asked: Sequence[str] | None) -> tuple[Runtime, ...]:
    """The runtimes that names and globs choose; without any, those that are used by default."""
    if asked is None:
        return tuple(runtime for runtime in RUNTIMES.values() if runtime.default)
    return tuple(RUNTIMES[name] for name in choose("runtime", asked, list(RUNTIMES)))


def make_plan(options: AnalyzeOptions, kind: str | None = None) -> Plan:
    """Settings, runtimes and given variants, and the float32 variants that parity needs.

    Args:
        options: What was asked for.
        kind: Of the model, which chooses the settings where none are asked for; None while it is not known.

    Raises:
        UsageError: If a setting or runtime is unknown, or a given variant has a setting's name or one no folder has.
    """
    settings = settings_for(options.settings, kind)
    for name in options.variants:
        if name in SETTINGS or name == "reference":
            raise UsageError(f"--variant {name}=… has the name of a setting; give the row another name, as 'my-{name}'")
        if not name or "/" in name or name.startswith("."):
            raise UsageError(f"--variant {name}=… cannot name a folder of the study; use letters, digits and dashes")
    needed = {setting.float32 for setting in settings} | {setting.name for setting in settings}
    by_format: dict[str, tuple[Setting, ...]] = {}
    for setting in SETTINGS.values():
        if setting.name in needed:
            by_format[setting.format] = (*by_format.get(setting.format, ()), setting)
    return Plan(
        asked=frozenset({setting.name for setting in settings} | set(options.variants)),
        by_format=by_format,
        runtimes=_select_runtimes(options.runtimes),
        given=tuple(options.variants),
    )
