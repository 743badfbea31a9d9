"""Who may write a study folder, and whether its record belongs to what was written last."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from quantlab.errors import StudyError

__all__ = ["locked", "refuse_running", "unfinished"]

_BEFORE_THE_MODEL = {".lock", "model", "work"}
"""Entries that a study folder may contain before its model is known, if the first run was stopped early."""

_UNFINISHED = "unfinished"
"""Marker file in the work folder, present while variants are made and run."""


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Lock the folder for a single writer.

    Raises:
        StudyError: If another process holds the lock, or the folder cannot be written or contains other files.
    """
    _refuse_strangers(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / ".lock").open("a")
    except OSError as error:
        raise StudyError(
            f"the study '{root}' cannot be written ({error.strerror}); choose another folder with --out"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StudyError(
                f"another quantlab is using the study '{root}'; wait for it, or choose another --out"
            ) from error
        yield


@contextlib.contextmanager
def unfinished(work: Path) -> Iterator[None]:
    """Mark the record as outdated until the block ends; the mark remains if the process is killed inside it."""
    mark = work / _UNFINISHED
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    yield
    mark.unlink(missing_ok=True)


def refuse_running(root: Path, work: Path) -> None:
    """Check that the record belongs to the study's last analysis.

    Raises:
        StudyError: If an analysis is in progress, or was stopped before its end.
    """
    try:
        with (root / ".lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StudyError(f"the study '{root}' is being analyzed right now; wait until that ends") from error
    except OSError:
        pass  # a study that was copied without its lock file
    if (work / _UNFINISHED).exists():
        raise StudyError(
            f"the last analysis of '{root}' was stopped before its end, so the record is outdated; "
            f"run the same 'quantlab analyze' command again to continue it"
        )


def _refuse_strangers(root: Path) -> None:
    """Refuse a folder with other files before anything is written to it."""
    if not root.is_dir() or (root / "model" / "sha256").is_file():
        return
    strangers = sorted(entry.name for entry in root.iterdir() if entry.name not in _BEFORE_THE_MODEL)
    if strangers:
        raise StudyError(
            f"'{root}' is not empty and not a study (it contains '{strangers[0]}'); choose another folder with --out"
        )
