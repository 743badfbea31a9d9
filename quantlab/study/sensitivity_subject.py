"""The variant whose ops are measured one by one."""

from dataclasses import dataclass
from typing import Any

from quantlab.errors import UsageError
from quantlab.formats import Format
from quantlab.names import nearest
from quantlab.registries import Registries
from quantlab.types import PYTHON, Setting, Study, Variant
from quantlab_converters import Converter

__all__ = ["Subject", "subject_of"]


@dataclass(frozen=True, slots=True)
class Subject:
    """The variant whose ops are measured."""

    setting: Setting
    format: Format
    converter: Converter
    float32: Variant
    quantized: Variant


def subject_of(study: Study, name: str | None, registries: Registries) -> Subject:
    """The variant of a setting of a study; None chooses the one whose outputs differ most from the model's.

    Raises:
        UsageError: If the study has no such setting, or the setting has no ops that can be kept in float.
    """
    measured = {trial.setting: trial for trial in study.trials if trial.runtime == PYTHON and trial.failure is None}
    known = registries.settings
    offered = {
        name: known[name]
        for name, trial in measured.items()
        if name in known and known[name].quantized and not known[name].keeps_float and known[name].float32 in measured
    }
    if name is None:
        name = max(offered, key=lambda one: _rms(measured[one].scores), default=None)
    if name is None or name not in offered:
        asked = "no quantized setting" if name is None else f"no setting '{name}'"
        raise UsageError(f"the study has {asked} that was measured in Python; {nearest(name or '', offered)}")
    setting, (float32, quantized) = offered[name], (measured[known[name].float32].variant, measured[name].variant)
    converter = registries.converters[setting.format]
    if converter.parts is None or float32 is None or quantized is None:
        raise UsageError(f"the ops of {name} cannot be kept in float one by one; name another setting")
    return Subject(setting, registries.formats[setting.format], converter, float32, quantized)


def _rms(scores: Any) -> float:
    return float(scores.rms_error) if scores is not None and scores.rms_error is not None else -1.0
