"""A study that is refused before anything was run: its folder is not left behind."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from quantlab.errors import QuantlabError
from quantlab.store import Store

__all__ = ["locked_or_removed"]

_WITHOUT_RESULTS = {".lock", "model", "samples", "work"}
"""Entries of a folder in which nothing was converted or run."""


@contextlib.contextmanager
def locked_or_removed(store: Store) -> Iterator[None]:
    """`Store.locked`; a folder that it makes is removed again if an error refuses the study before anything was run.

    What a program that was killed or interrupted has written stays, since the next call continues with it.

    Raises:
        StudyError: As `Store.locked`.
    """
    new = list(_missing(store.root))
    with store.locked():
        try:
            yield
        except QuantlabError:
            if new and {entry.name for entry in store.root.iterdir()} <= _WITHOUT_RESULTS:
                shutil.rmtree(store.root, ignore_errors=True)
                _remove_empty(new)
            raise


def _missing(folder: Path) -> Iterator[Path]:
    """Yield a folder and those above it that do not exist, innermost first."""
    while not folder.exists():
        yield folder
        folder = folder.parent


def _remove_empty(folders: list[Path]) -> None:
    with contextlib.suppress(OSError):  # another program has put something there
        for folder in folders:
            if folder.exists():
                folder.rmdir()
