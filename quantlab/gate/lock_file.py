"""The file of accepted figures (`quantlab.lock`): written and read."""

import math
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cattrs

from quantlab.errors import StudyError
from quantlab.names import excerpt
from quantlab.store import json_number, parse_json, read_json, write_json
from quantlab.types import AcceptedFigures, AcceptedOutput

__all__ = ["LOCK_SCHEMA", "parse_lock", "read_lock", "write_lock"]

LOCK_SCHEMA = 1
"""Version of `quantlab.lock`; a file of another version is refused."""


def write_lock(path: Path, lock: AcceptedFigures) -> None:
    """Write accepted figures atomically, as indented JSON that can be reviewed.

    Raises:
        OSError: If the folder cannot be written.
    """
    write_json(path, _plain(asdict(lock)))


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return json_number(value) if isinstance(value, float) else value


def read_lock(path: Path) -> AcceptedFigures:
    """Read accepted figures.

    Raises:
        StudyError: If the file is missing, damaged or of another version.
    """
    try:
        document = read_json(path)
    except FileNotFoundError:
        named = shlex.quote(str(path))
        raise StudyError(
            f"there is no file of accepted figures '{path}'; write it with 'quantlab accept --lock {named}'"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise StudyError(
            f"the accepted figures '{path}' cannot be read ({error}); write them again with 'quantlab accept'"
        ) from error
    return _read(document, str(path))


def parse_lock(text: bytes, name: str) -> AcceptedFigures:
    """Read accepted figures from the text of a file.

    Args:
        text: The content.
        name: Where it comes from, for messages.

    Raises:
        StudyError: If it is damaged or of another version.
    """
    try:
        document = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise StudyError(
            f"the accepted figures '{name}' cannot be read ({error}); write them again with 'quantlab accept'"
        ) from error
    return _read(document, name)


def _read(document: Any, path: str) -> AcceptedFigures:
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != LOCK_SCHEMA:
        raise StudyError(
            f"the accepted figures '{path}' have the schema {excerpt(str(schema))}, and this quantlab reads "
            f"{LOCK_SCHEMA}; write them again with 'quantlab accept'"
        )
    try:
        accepted = _FIGURES.structure(document, AcceptedFigures)
        _refuse_impossible(accepted)
    except (cattrs.BaseValidationError, ValueError, RecursionError) as error:
        raise StudyError(
            f"the accepted figures '{path}' are incomplete or damaged; write them again with 'quantlab accept'"
        ) from error
    if not accepted.studies or not all(study.settings for study in accepted.studies.values()):
        raise StudyError(f"the accepted figures '{path}' name no setting; write them again with 'quantlab accept'")
    return accepted


def _refuse_impossible(accepted: AcceptedFigures) -> None:
    """Check what no measurement gives: no loss compares as larger than a bound that is none.

    Raises:
        ValueError: If a figure cannot be.
    """
    settings = [setting for study in accepted.studies.values() for setting in study.settings.values()]
    for loss in (loss for setting in settings for loss in setting.losses.values()):
        largest = _MOST_POINTS if loss.unit == "pt" else math.inf
        if not -largest <= loss.lower <= loss.upper <= largest or loss.n < 1 or not 0 < loss.confidence < 1:
            raise ValueError(f"{loss} is no loss")
    figures = [one for setting in settings for of_runtime in setting.outputs.values() for one in of_runtime]
    for one in figures:
        # Without any error, the SQNR and its bounds are infinite.
        if not -math.inf < one.lower <= one.value <= one.upper or one.n < 1 or not 0 < one.confidence < 1:
            raise ValueError(f"{one} is no figure of an output")
    if any(setting.size_bytes < 1 for setting in settings):
        raise ValueError("an artifact has no bytes")


_MOST_POINTS = 100.0
"""Percentage points that a share can lose or gain."""


def _number(value: object) -> float:
    """Read a number. NaN and infinity are refused: no loss compares as larger than they."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or not math.isfinite(float(value)):
        raise ValueError(f"an accepted figure is {value!r} and must be a finite number")
    return float(value)


_OUTPUTS = cattrs.Converter(forbid_extra_keys=True)
"""Reads figures of outputs, which may be infinite: an SQNR without any error."""
_OUTPUTS.register_structure_hook(float, lambda value, _: math.inf if value == "Infinity" else _number(value))

_FIGURES = cattrs.Converter(forbid_extra_keys=True)
"""Reads accepted figures; made once, since it generates code for each dataclass."""
_FIGURES.register_structure_hook(float, lambda value, _: _number(value))
_FIGURES.register_structure_hook(AcceptedOutput, lambda value, _: _OUTPUTS.structure(value, AcceptedOutput))
