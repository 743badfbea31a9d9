"""Plans the trials of a study: which settings run in which runtimes."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from quantlab.errors import QuantlabError, UsageError
from quantlab.formats import format_of
from quantlab.names import listed, nearest
from quantlab.registries import REAL, Registries
from quantlab.runtimes import Runtime
from quantlab.study.calibration_check import CALIBRATED, SCORED
from quantlab.study.chosen_settings import named_alone, select_runtimes, settings_for
from quantlab.study.codes import RAW
from quantlab.study.conversions import ConversionResult
from quantlab.study.options import AnalyzeOptions
from quantlab.study.trial import PlannedRun
from quantlab.types import REFERENCE, Setting, Trial, float32_of

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The planned trials."""

    asked: frozenset[str]
    """Names of the requested settings and given variants."""
    by_format: Mapping[str, tuple[Setting, ...]]
    """Format → settings to convert: the requested ones, and the float32 baseline of each for the float32 check."""
    runtimes: tuple[Runtime, ...]
    given: Mapping[str, tuple[Runtime, ...] | None]
    """Given variant → the runtimes that were named for it; None if none were, so that it runs in `runtimes`."""
    baselines: frozenset[str]
    """Float32 baselines that are made only because given variants are compared with them."""
    named_runtimes: bool
    """Whether `runtimes` are those that the user named, and not the default ones."""
    registries: Registries

    @property
    def of_reference(self) -> "Plan":
        """The plan to run the reference alone."""
        return replace(self, asked=frozenset(), by_format={}, given={}, baselines=frozenset())

    @property
    def calibrated(self) -> frozenset[str]:
        """Names of the settings that are converted with calibration samples."""
        return frozenset(
            setting.name for members in self.by_format.values() for setting in members if setting.calibrated
        )

    @property
    def trial_count(self) -> int:
        """Maximum number of trials; fewer run if a runtime does not support a given variant's format."""
        settings = [setting for members in self.by_format.values() for setting in members]
        converted = sum(len(self._runtimes(setting.name, setting.format)) for setting in settings)
        return converted + sum(len(own or self.runtimes) for own in self.given.values())

    def planned_runs(self, conversion: ConversionResult) -> list[PlannedRun]:
        """The runs of a variant; if its conversion failed, the format is taken from the setting."""
        setting = self.registries.settings.get(conversion.setting)
        known = conversion.variant.format if conversion.variant else setting.format if setting else None
        own = self.given.get(conversion.setting)
        if own is not None:
            return [PlannedRun(runtime, requested=True) for runtime in own]
        runtimes = self._runtimes(conversion.setting, known) if known else self.runtimes
        return [
            PlannedRun(runtime, requested=conversion.setting in self.asked and runtime in self.runtimes)
            for runtime in runtimes
        ]

    def with_excused(self, trials: Sequence[Trial]) -> tuple[Trial, ...]:
        """The same trials; failures that nobody asked for are marked as excused.

        These are failures of a given variant in a default runtime, if it was measured in another one, and of the
        float32 baseline that is made only for given variants.
        """
        tried = set() if self.named_runtimes else {name for name, own in self.given.items() if own is None}
        excused = self.baselines | (tried & {trial.setting for trial in trials if trial.failure is None})
        return tuple(
            replace(trial, excused=True) if trial.failure is not None and trial.setting in excused else trial
            for trial in trials
        )

    def _runtimes(self, name: str, format_name: str) -> tuple[Runtime, ...]:
        if name not in self.asked:
            return (self.registries.python,)
        asked = tuple(runtime for runtime in self.runtimes if runtime.runs(self.registries.formats[format_name]))
        setting = self.registries.settings.get(name)
        float32 = setting is not None and not setting.quantized
        if float32 and self.registries.python not in asked:
            return (self.registries.python, *asked)
        return asked

    def idle_runtimes(self, options: AnalyzeOptions, kind: str) -> list[str]:
        """Sentences about runtimes that the user named and in which none of the requested settings runs.

        Nothing is said if there are given variants, whose formats are not known yet.

        Args:
            options: The options of the study.
            kind: Kind of the model.

        Raises:
            UsageError: If such a runtime runs nothing but settings that must be named, so that it was named for them.
        """
        if self.given:
            return []
        names = named_alone(options.runtimes)
        formats = {setting.format for members in self.by_format.values() for setting in members}
        idle = [
            runtime
            for runtime in self.runtimes
            if (runtime.name in names or runtime.address is not None)
            and not any(runtime.runs(self.registries.formats[name]) for name in formats)
        ]
        for runtime in idle:
            self._refuse_idle(runtime, kind)
        return [
            f"the runtime '{runtime.name}' runs none of the settings {listed(sorted(self.asked))}, so it has no row; "
            f"add a setting that it runs, see 'quantlab settings', or leave it out"
            for runtime in idle
        ]

    def _refuse_idle(self, runtime: Runtime, kind: str) -> None:
        runs = [
            setting
            for setting in self.registries.settings.values()
            if runtime.runs(self.registries.formats[setting.format])
        ]
        if not runs or not all(setting.by_name for setting in runs):
            return
        only = f"the runtime '{runtime.name}' runs {listed([setting.name for setting in runs])} only"
        without = "leave --serving out" if runtime.address is not None else f"leave {runtime.name} out of --runtimes"
        makeable = [setting.name for setting in runs if self.registries.takes(setting, kind)]
        if not makeable:
            raise UsageError(
                f"{only}, which cannot be made from {kind}; {without}, or analyze the model from which the file was "
                f"made"
            )
        raise UsageError(
            f"{only}, and the settings are {listed(sorted(self.asked))}; add {makeable[0]} to --settings, or {without}"
        )


def make_plan(options: AnalyzeOptions, kind: str | None = None, registries: Registries = REAL) -> Plan:
    """Settings, runtimes and given variants, and the float32 baselines that the float32 check needs.

    Args:
        options: The options of the study.
        kind: Kind of the model; it decides the default settings. None if it is not known yet.
        registries: The known formats, runtimes and converters.

    Raises:
        UsageError: If a setting or runtime is unknown, or a given variant has a setting's or an invalid name.
    """
    settings = settings_for(options, kind, registries)
    _refuse_variants(options, registries)
    needed = {setting.float32 for setting in settings} | {setting.name for setting in settings}
    baselines = _baselines_of_given(options, kind, registries) - needed
    by_format: dict[str, tuple[Setting, ...]] = {}
    for setting in registries.settings.values():
        if setting.name in needed | baselines:
            by_format[setting.format] = (*by_format.get(setting.format, ()), setting)
    return Plan(
        asked=frozenset({setting.name for setting in settings} | set(options.variants)),
        by_format=by_format,
        runtimes=select_runtimes(options.runtimes, registries.runtimes),
        given={
            name: select_runtimes(options.variant_runtimes.get(name), registries.runtimes)
            if name in options.variant_runtimes
            else None
            for name in options.variants
        },
        baselines=frozenset(baselines),
        named_runtimes=options.runtimes is not None,
        registries=registries,
    )


def _baselines_of_given(options: AnalyzeOptions, kind: str | None, registries: Registries) -> set[str]:
    """The float32 baselines with which the layers and weights of given variants are compared, if they can be made."""
    names = set()
    if kind is not None and options.layers:
        for path in options.variants.values():
            with contextlib.suppress(QuantlabError):  # its row will say what is wrong with it
                if (format_ := format_of(path, registries.formats)) is not None:
                    names.add(float32_of(format_.name))
    return {name for name in names if kind is not None and registries.takes(registries.settings[name], kind)}


def _refuse_variants(options: AnalyzeOptions, registries: Registries) -> None:
    """Check the names of given variants, and what is said about them."""
    for name in options.variants:
        if name in registries.settings or name == REFERENCE:
            raise UsageError(f"--variant {name}=… has the name of a setting; give the row another name, as 'my-{name}'")
        if name in {CALIBRATED, SCORED}:
            raise UsageError(
                f"--variant {name}=… has a name that tables use for samples; give the row another name, as 'my-{name}'"
            )
        if not name or "/" in name or name.startswith("."):
            raise UsageError(f"--variant {name}=… cannot name a folder of the study; use letters, digits and dashes")
    for what, names in {"runtimes are": options.variant_runtimes, "an input is": options.variant_inputs}.items():
        for name in names:
            if name not in options.variants:
                raise UsageError(
                    f"{what} named for the variant '{name}', and there is no such variant; "
                    f"{nearest(name, options.variants)}"
                )
    for name, value in options.variant_inputs.items():
        if value != RAW:
            raise UsageError(f"--variant-input {name}={value} is unknown; write --variant-input {name}={RAW}")
