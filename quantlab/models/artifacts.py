"""Recognizes artifacts that are given as the model, and how their weights are stored."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from quantlab.formats import FORMATS, Format
from quantlab.types import CODES, NARROW_DTYPES

__all__ = ["as_artifact", "narrow_dtypes", "quantized_weights"]


def as_artifact(path: Path) -> tuple[Path, Format] | None:
    """The artifact at a user's path and its format, if models may be given in it; None for other files.

    A folder with a SavedModel is one, whatever else is in it.
    """
    if (path / "saved_model.pb").is_file():
        return None
    for format_ in FORMATS.values():
        if format_.as_model is None:
            continue
        for artifact in (format_.served(path), path):
            if format_.recognizes(artifact):
                return artifact, format_
    return None


def narrow_dtypes(weights: Mapping[str, int]) -> tuple[str, ...]:
    """The data types narrower than float32 among those of an artifact's weights, those with most bytes first.

    >>> narrow_dtypes({"float32": 4000, "int8": 500, "float16": 900, "int64": 16})
    ('float16', 'int8')

    Args:
        weights: Stored data type → bytes.
    """
    return tuple(dtype for dtype in sorted(weights, key=lambda name: -weights[name]) if dtype in NARROW_DTYPES)


def quantized_weights(narrow: Sequence[str]) -> str | None:
    """The data type of the codes among narrow weights; None if there are only half floats, which are floats.

    >>> quantized_weights(["float16", "int8"]), quantized_weights(["float16"])
    ('int8', None)
    """
    return next((dtype for dtype in narrow if dtype in CODES), None)
