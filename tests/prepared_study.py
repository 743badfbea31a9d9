"""Functions for tests with the prepared study: analyze it again, and check which results were reused."""

import os
from pathlib import Path
from typing import Any

from study_fixtures import Heard

from quantlab import AnalyzeOptions, analyze
from quantlab.types import Study, Trial

__all__ = ["SETTINGS", "again", "not_kept", "row"]

SETTINGS = ("tfjs-uint8", "tflite-dynamic")
"""Of the prepared study, in both default runtimes."""


def again(place: Path, **options: Any) -> tuple[Study, Heard]:
    """Analyze the prepared model once more, from its folder, and tell what was heard."""
    heard, before = Heard(), Path.cwd()
    os.chdir(place)  # the model's path is part of what is kept
    try:
        study = analyze(
            "digits.keras",
            data=options.pop("data", "digits.npz"),
            options=AnalyzeOptions(**{"settings": SETTINGS, "layers": False, "costs": False, **options}),
            progress=heard,
        )
    finally:
        os.chdir(before)
    return study, heard


def row(study: Study, setting: str, runtime: str = "python") -> Trial:
    return next(trial for trial in study.trials if (trial.setting, trial.runtime) == (setting, runtime))


def not_kept(heard: Heard) -> dict[str, str]:
    """Steps that were not found done."""
    return {
        step: outcome for step, outcome in heard.ended.items() if outcome != "kept" and not step.startswith("read ")
    }
