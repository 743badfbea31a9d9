"""Verifies that an artifact to be shipped is one that the study measured."""

from collections.abc import Sequence
from pathlib import Path

from quantlab.errors import ArtifactError
from quantlab.formats import artifact_sha256
from quantlab.names import choose
from quantlab.registries import REAL, Registries
from quantlab.types import Study

__all__ = ["settings_of_artifact"]


def settings_of_artifact(
    path: Path, study: Study, settings: Sequence[str] | None, *, registries: Registries = REAL
) -> tuple[str, ...]:
    """Return the settings of a study whose variant has exactly the bytes of an artifact.

    Args:
        path: A file, or a folder that holds only files to be served.
        study: The judged study.
        settings: Names and globs of the settings to compare with; None means all.
        registries: All formats; a format says which files of a folder are served.

    Raises:
        ArtifactError: If the artifact does not exist, or has other bytes; the message has all hashes.
    """
    names = list(dict.fromkeys(trial.setting for trial in study.trials))
    meant = names if settings is None else choose("setting of this study", settings, names)
    known = {
        trial.setting: trial.variant.sha256
        for trial in study.trials
        if trial.variant is not None and trial.setting in meant
    }
    actual = artifact_sha256(path, registries.formats)
    matching = tuple(name for name, sha256 in known.items() if sha256 == actual)
    if not matching:
        judged = ", ".join(f"{name} {sha256}" for name, sha256 in known.items()) or "nothing"
        raise ArtifactError(
            f"'{path}' is not an artifact of the study: its SHA-256 is {actual}, and the study has {judged}; "
            f"ship an artifact of the study, or analyze this one with --variant NAME={path}"
        )
    return matching
