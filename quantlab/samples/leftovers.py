"""Temporary folders beside the samples of a study, and what killed commands left of them."""

import shutil
from pathlib import Path

__all__ = ["DOWNLOADING", "ROUNDS", "WRITING", "remove_leftovers"]

DOWNLOADING = ".downloading-"
"""How the name of a folder begins that holds the copy of a file at an address."""
WRITING = ".writing-"
"""How the name of a folder begins in which samples are written until they are complete."""

ROUNDS = f"{WRITING}rounds-"
"""How the name of a folder begins with the shards that are on the disk while samples are read round after round."""


def remove_leftovers(folder: Path) -> None:
    """Remove temporary folders that a killed command left; what cannot be removed stays.

    Args:
        folder: Where samples are written. Only one command may use it at a time, as a study is locked, so that these
            folders are of no command that still runs.
    """
    for prefix in (DOWNLOADING, WRITING):
        for left in folder.glob(f"{prefix}*"):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
