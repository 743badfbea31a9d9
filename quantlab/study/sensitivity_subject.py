"""The variant whose ops are measured one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.errors import StudyError, UsageError
from quantlab.formats import Format
from quantlab.names import joined, nearest
from quantlab.registries import REAL, Registries
from quantlab.study.integrity import intact_variant
from quantlab.types import KEEPS_FLOAT, PYTHON, OpenedModel, Setting, Study, Variant
from quantlab_converters import ConversionRequest, Converter, Part

__all__ = ["Subject", "measurable_settings", "refuse_setting", "request_of", "subject_of"]


@dataclass(frozen=True, slots=True)
class Subject:
    """The variant whose ops are measured."""

    setting: Setting
    format: Format
    converter: Converter
    float32: Variant
    quantized: Variant
    parts: tuple[Part, ...]
    """All ops of the float32 artifact."""


def subject_of(study: Study, name: str | None, registries: Registries) -> Subject:
    """The variant of a setting of a study; None chooses the one whose outputs differ most from the model's.

    Raises:
        UsageError: If the study has no such setting, or the setting has no ops that can be kept in float.
        StudyError: If an artifact or the outputs of the float32 artifact are missing or damaged.
    """
    measured = {trial.setting: trial for trial in study.trials if trial.runtime == PYTHON and trial.failure is None}
    known = registries.settings
    offered = [name for name in measurable_settings(registries) if {name, known[name].float32} <= measured.keys()]
    if name is None:
        name = max(offered, key=lambda one: _rms(measured[one].scores), default=None)
    if name is None or name not in offered:
        raise UsageError(_why_not(study, name, offered, registries))
    setting, float32, quantized = known[name], measured[known[name].float32].variant, measured[name].variant
    converter = registries.converters[setting.format]
    if converter.parts is None or float32 is None or quantized is None:
        raise UsageError(f"the ops of {name} cannot be kept in float one by one; name another setting")
    for variant in (float32, quantized):
        state = intact_variant(variant, registries)
        if state in {"missing", "damaged"}:
            raise StudyError(
                f"the artifact of {variant.name} is {state}; run the same 'quantlab analyze' again, which makes it "
                f"again"
            )
    parts = converter.parts(float32.path)
    return Subject(setting, registries.formats[setting.format], converter, float32, quantized, parts)


def measurable_settings(registries: Registries = REAL) -> tuple[str, ...]:
    """The settings whose ops can be measured: quantized ones that keep no layers in float."""
    return tuple(
        name
        for name, setting in registries.settings.items()
        if setting.quantized and not setting.keeps_float and not setting.tuned
    )


def refuse_setting(name: str, registries: Registries = REAL) -> None:
    """Refuse a setting whose ops cannot be measured, before anything is run.

    Raises:
        UsageError: If there is no such setting, or it is not quantized, or keeps layers in float.
    """
    setting, measurable = registries.settings.get(name), measurable_settings(registries)
    if setting is None:
        raise UsageError(f"there is no setting '{name}'; {nearest(name, measurable)}")
    if not setting.quantized:
        raise UsageError(f"'{name}' is not quantized, so none of its ops causes an error; name a quantized setting")
    if name not in measurable:
        raise UsageError(f"'{name}' keeps layers in float already; name the setting without '{KEEPS_FLOAT}'")


def request_of(
    subject: Subject, study: Study, opened: OpenedModel, kept: Sequence[tuple[str, ...]], work: Path
) -> ConversionRequest:
    """What the converter is asked, to make the subject's setting again with ops that stay in float.

    Args:
        subject: The variant.
        study: Of the samples.
        opened: The model.
        kept: For each artifact, the entries of `--float-layers`; there is a scheme for each, in this order.
        work: A folder for the artifacts.
    """
    setting, calibration = subject.setting, study.calibration
    schemes = [f"{setting.scheme}{KEEPS_FLOAT} {place}" for place in range(len(kept))]
    return ConversionRequest(
        source=opened.source,
        format=opened.format,
        signature=opened.signature,
        schemes={scheme: work / str(place) for place, scheme in enumerate(schemes)},
        sample_shapes={spec.name: tuple(int(size or 0) for size in spec.shape[1:]) for spec in study.samples.inputs},
        calibration={spec.name: calibration.input_file(spec.name) for spec in calibration.inputs}
        if calibration is not None and setting.calibrated
        else {},
        work=work / "work",
        model=Path(study.model.path),
        float_layers=dict(zip(schemes, kept, strict=True)),
    )


def _why_not(study: Study, name: str | None, offered: Sequence[str], registries: Registries) -> str:
    """Why a study cannot measure a setting; raises UsageError like `refuse_setting`."""
    given = dict.fromkeys(trial.setting for trial in study.trials if trial.variant is not None and trial.variant.given)
    if name is None and given:
        return (
            f"{joined([*given])} {'is a file' if len(given) == 1 else 'are files'} of your own, and only a converter "
            f"can quantize its ops one by one; run 'quantlab analyze' with a quantized setting, or see 'quantlab show "
            f"layers'"
        )
    if name is None:
        return "the study has no quantized setting that was measured in Python; run 'quantlab analyze' with one"
    needed = {name, registries.settings[name].float32} if name in registries.settings else {name}
    for trial in study.trials:
        if trial.setting in needed and trial.runtime == PYTHON and trial.failure is not None:
            return f"'{trial.setting}' could not be measured in Python: {trial.failure.reason}"
    if any(trial.setting == name for trial in study.trials):
        refuse_setting(name, registries)
    return f"the study has no setting '{name}' that was measured in Python; {nearest(name, offered)}"


def _rms(scores: Any) -> float:
    return float(scores.rms_error) if scores is not None and scores.rms_error is not None else -1.0
