"""Reads a file of decisions, wherever it was copied, and writes artifacts of a study elsewhere."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from quantlab.errors import StudyError
from quantlab.names import choose
from quantlab.registries import REAL, Registries
from quantlab.store import Store
from quantlab.study.integrity import intact_variant
from quantlab.types import Failure, Tuning, Variant

__all__ = ["copy_artifacts", "read_tuning"]


def read_tuning(file: str | Path) -> Tuning:
    """Read `tune.json`, which `tune` writes into a study.

    Raises:
        StudyError: If it is missing or damaged, or another version of quantlab wrote it.
    """
    path = Path(file)
    tuning = Store(path.parent).read(path, Tuning) if path.is_file() else None
    if tuning is not None:
        return tuning
    if path.is_file():
        raise StudyError(
            f"'{path}' is no file that 'quantlab tune' wrote, or it was changed, or another version wrote it; give the "
            f"tune.json of a study"
        )
    raise StudyError(f"there is no file '{path}'; give the tune.json of a study that 'quantlab tune' made")


def copy_artifacts(
    study: str | Path, settings: Sequence[str] | None, *, out: str | Path, registries: Registries = REAL
) -> dict[str, Path | Failure]:
    """Write artifacts of a study to `out/<setting>/…`, after comparing them with their hashes; nothing is converted.

    Args:
        study: The folder of the study.
        settings: Names and globs of its settings; None means all.
        out: The folder to write to; it must not contain folders of the settings yet.
        registries: All formats.

    Returns:
        For each setting, its folder, or the reason why there is none.

    Raises:
        UsageError: If a name matches nothing in the study.
        StudyError: If there is no study, or a folder exists already.
    """
    trials = Store(Path(study)).read_study().trials
    variants = {trial.setting: trial.variant for trial in trials}
    names = list(variants) if settings is None else choose("setting of this study", settings, list(variants))
    folders = {name: Path(out) / name for name in names}
    for folder in folders.values():
        if folder.exists():
            raise StudyError(f"'{folder}' already exists; choose another --out, or remove it")
    return {name: _copied(variants[name], folder, study, registries) for name, folder in folders.items()}


def _copied(variant: Variant | None, folder: Path, study: str | Path, registries: Registries) -> Path | Failure:
    if variant is None:
        return Failure("it was not converted in this study", "conversion")
    state = intact_variant(variant, registries)
    if state != "intact":
        return Failure(
            f"its artifact in '{study}' is {state}; run the same command that made the study again", "conversion"
        )
    source = variant.path if variant.path.is_dir() else variant.path.parent
    if variant.given or source.name != "artifact":
        return Failure("it is a file of your own, which lies where you gave it", "conversion")
    shutil.copytree(source, folder)
    return folder
