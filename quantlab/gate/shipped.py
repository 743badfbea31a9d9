"""Verifies that an artifact to be shipped is one that the study measured."""

import fnmatch
from collections.abc import Sequence
from pathlib import Path

from quantlab.errors import ArtifactError, UsageError
from quantlab.formats import artifact_sha256, files_not_served
from quantlab.names import choose, excerpt, listed
from quantlab.registries import REAL, Registries
from quantlab.types import Study

__all__ = ["refuse_dropped_settings", "refuse_files_not_served", "settings_of_artifact", "unmatched"]


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


def refuse_files_not_served(path: Path, *, registries: Registries = REAL) -> None:
    """Check that a folder to be shipped holds the files of its artifact and no others, hidden ones included.

    Raises:
        ArtifactError: If there are other files, with their names, or the artifact is invalid.
    """
    others = [excerpt(name) for name in files_not_served(path, registries.formats)]
    if others:
        raise ArtifactError(
            f"'{path}' has files that do not belong to the artifact: {listed(others)}; remove them, or ship the "
            f"artifact from a folder of its own"
        )


def refuse_dropped_settings(path: Path, asked: Sequence[str], matching: Sequence[str]) -> None:
    """Check that each name or glob of a setting stands for one with the bytes of an artifact, so that none is dropped.

    Args:
        path: The artifact.
        asked: Names and globs of the settings that must fit.
        matching: The settings that have these bytes, see `settings_of_artifact`.

    Raises:
        UsageError: If another setting is named, too.
    """
    others = unmatched(asked, matching)
    if others:
        raise UsageError(
            f"'{path}' is the artifact of {listed(matching)}, and {listed(others)} must fit, too; leave that setting "
            f"out, or judge it without --artifact"
        )


def unmatched(asked: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return those of some names and globs that stand for none of the known names.

    >>> unmatched(["a*,b", "c"], ["a1", "c"])
    ['b']
    """
    patterns = [part.strip() for text in asked for part in text.split(",") if part.strip()]
    return [pattern for pattern in patterns if pattern != "all" and not fnmatch.filter(names, pattern)]
