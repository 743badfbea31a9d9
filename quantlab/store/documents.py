"""JSON as quantlab writes it: strict, written completely or not at all, and hashed to keys.

JSON has no NaN or infinity: such floats are written as the strings `"NaN"`, `"Infinity"` and `"-Infinity"`, as in
protobuf's JSON mapping.
"""

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["json_number", "key_of", "number_of_json", "parse_json", "read_json", "write_json"]

_STRINGS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def json_number(value: float) -> float | str:
    """Convert a float to a value that JSON can represent.

    >>> json_number(0.5), json_number(-math.inf)
    (0.5, '-Infinity')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(value)


def number_of_json(value: Any) -> float:
    """The inverse of `json_number`.

    Raises:
        KeyError: For another string.
        TypeError: For what is no number.
        ValueError: Likewise.
    """
    return _STRINGS[value] if isinstance(value, str) else float(value)


def key_of(parts: Mapping[str, Any]) -> str:
    """Hash of everything that a result depends on, as sixteen hexadecimal digits.

    >>> key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    True
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_json(path: Path) -> Any:
    """Read a JSON document that we wrote: no key twice, as after a merge by hand, and no NaN, which is a string here.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no such document.
        RecursionError: If it is nested too deeply.
    """
    return parse_json(path.read_bytes())


def parse_json(text: bytes) -> Any:
    """Read a JSON document from its bytes; see `read_json`.

    Raises:
        ValueError: If it is no such document.
        RecursionError: If it is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("it holds a key twice")
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, which is no JSON")


def write_json(path: Path, document: Any) -> None:
    """Write JSON to a temporary file and rename it, so that readers never see an incomplete file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1, allow_nan=False, ensure_ascii=False)
            file.write("\n")
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
