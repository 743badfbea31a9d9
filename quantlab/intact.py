"""Compares kept files with their hashes: for a study that uses them again, and for the gate that judges by them."""

from collections.abc import Mapping
from pathlib import Path

from quantlab.models import files_sha256
from quantlab.types import FileState, KeptOutputs

__all__ = ["intact_files", "intact_outputs"]


def intact_files(files: Mapping[str, Path], sha256: Mapping[str, str]) -> FileState:
    """Compare files with the hashes in their record.

    Args:
        files: By name.
        sha256: Hashes by the same names; empty in records of an older quantlab.
    """
    if not all(path.is_file() for path in files.values()):
        return "missing"
    if not sha256:
        return "no hash"
    return "intact" if all(files_sha256(path) == sha256.get(name) for name, path in files.items()) else "damaged"


def intact_outputs(kept: KeptOutputs) -> FileState:
    """Compare the output files of a run with the hashes in its record."""
    return intact_files(kept.files, kept.sha256)
