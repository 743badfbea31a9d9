"""Compares kept outputs with their hashes: for a study that uses them again, and for the gate that judges by them."""

from quantlab.models import files_sha256
from quantlab.types import FileState, KeptOutputs

__all__ = ["intact_outputs"]


def intact_outputs(kept: KeptOutputs) -> FileState:
    """Compare the output files of a run with the hashes in its record."""
    if not all(path.is_file() for path in kept.files.values()):
        return "missing"
    if not kept.sha256:
        return "no hash"
    same = all(files_sha256(path) == kept.sha256.get(name) for name, path in kept.files.items())
    return "intact" if same else "damaged"
