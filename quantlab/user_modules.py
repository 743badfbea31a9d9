"""Where modules of the user lie: loaders, metrics and layers of their own."""

import sys
from pathlib import Path

__all__ = ["folders_of_users", "look_in_current_folder"]

_added: set[str] = set()


def look_in_current_folder(*, first: bool) -> str:
    """Look for modules in the current folder too, before all others or after them, and return it.

    It stays on the path, since a function may import more when it is called.
    """
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0 if first else len(sys.path), folder)
        _added.add(folder)
    return folder


def folders_of_users() -> frozenset[str]:
    """The folders that are looked in for the user's sake alone; a child looks there only where it is told to."""
    return frozenset(_added)
