"""Writes the artifact that a check lets pass, in place of the one that an earlier check wrote."""

import json
import tempfile
from pathlib import Path

from quantlab.errors import StudyError
from quantlab.models import files_sha256
from quantlab.registries import REAL, Registries
from quantlab.study.tuning.files import copy_artifacts
from quantlab.types import Failure

__all__ = ["CHECKED", "replace_artifact"]

CHECKED = "checked.json"
"""Beside the artifact: its setting and the hash of its files, by which a later check knows that it may replace it."""


def replace_artifact(
    study: str | Path, setting: str, *, out: str | Path, registries: Registries = REAL
) -> Path | Failure:
    """Write the artifact of a setting to `out/<setting>`, so that `out` holds no other artifact of a check.

    Args:
        study: The folder of the study.
        setting: One of its settings.
        out: The folder to write to. What an earlier check wrote there is removed if nobody changed it.
        registries: All formats.

    Returns:
        Its folder, or the reason why there is none.

    Raises:
        UsageError: If the study has no such setting.
        StudyError: If there is no study, or something else is in the place of the artifact.
    """
    folder, record = Path(out), Path(out) / CHECKED
    earlier = _written_by_a_check(folder, record)
    target = folder / setting
    if target.exists() and target != earlier:
        raise StudyError(
            f"'{target}' exists and is not what an earlier check wrote; remove it, or choose another --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    # The earlier artifact stays where it is until the new one is complete.
    with tempfile.TemporaryDirectory(prefix=".checked-", dir=folder) as beside:
        made = copy_artifacts(study, [setting], out=Path(beside) / "new", registries=registries)[setting]
        if isinstance(made, Failure):
            return made
        digest = files_sha256(made)
        if earlier is not None:
            earlier.rename(Path(beside) / "earlier")
        made.rename(target)
        record.write_text(json.dumps({"setting": setting, "sha256": digest}) + "\n", encoding="utf-8")
    return target


def _written_by_a_check(folder: Path, record: Path) -> Path | None:
    """The artifact that an earlier check wrote, if nobody changed it since."""
    recorded = _recorded(record)
    if recorded is None:
        return None
    name, digest = recorded
    earlier = folder / name
    return earlier if earlier.is_dir() and files_sha256(earlier) == digest else None


def _recorded(record: Path) -> tuple[str, str] | None:
    """The setting and hash of an earlier check; None if there is none or the record is not one."""
    if not record.is_file():
        return None
    try:
        document = json.loads(record.read_text(encoding="utf-8"))
        setting, digest = document["setting"], document["sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    named = isinstance(setting, str) and isinstance(digest, str) and Path(setting).name == setting
    return (setting, digest) if named else None
