"""The float32 artifact that stands for an artifact as the reference, and from which converters start."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from quantlab.errors import ModelError
from quantlab.formats import Format
from quantlab.models.artifacts import narrow_dtypes
from quantlab.names import joined

__all__ = ["float_artifact"]


def float_artifact(path: Path, format_: Format, narrow: Sequence[str], folder: Path) -> Path:
    """The artifact itself if its weights are float32, otherwise a copy with their values in float32.

    Args:
        path: The artifact.
        format_: Its format.
        narrow: Data types narrower than float32 in which it stores weights.
        folder: Folder for the copy; kept if it exists, because converters may be reading it.

    Raises:
        ModelError: If no copy of this format can be made, or none of its weights has a value.
        ArtifactError: If it cannot be read.
    """
    if not narrow:
        return path
    if format_.write_float is None:
        raise ModelError(
            f"'{path}' stores weights in {joined(narrow)}, and only one with float32 weights can be the "
            f"reference; give the float artifact as the model, and this one with --variant NAME={path}"
        )
    partial = folder.with_name(f"{folder.name}.partial")
    if not folder.is_dir():
        shutil.rmtree(partial, ignore_errors=True)
        partial.parent.mkdir(parents=True, exist_ok=True)
        format_.write_float(path, partial)
        _refuse_codes(path, format_, format_.served(partial))
        partial.rename(folder)
    return format_.served(folder)


def _refuse_codes(path: Path, format_: Format, copy: Path) -> None:
    """Refuse an artifact of whose codes none could be decoded."""
    weights = format_.inspect(copy).weights
    left = narrow_dtypes(weights)
    if left and "float32" not in weights:
        raise ModelError(
            f"'{path}' stores weights in {joined(left)} without scales, so nothing tells which values they stand for; "
            f"give the float artifact or the model that it was made from"
        )
