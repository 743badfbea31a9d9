"""Reads `quantlab.toml`. Command-line options override its keys."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from quantlab.errors import UsageError
from quantlab.names import excerpt, nearest
from quantlab.types import FloatLayer, Preprocessing

__all__ = ["read_float_layers", "read_models", "read_preprocessing", "read_table"]

_DEFAULT = Path("quantlab.toml")
_MODELS = "model"
_TABLES = ("analyze", "preprocessing", "convert", "budget", _MODELS)
_FLOAT_LAYERS = "float_layers"
_PREPROCESSING = tuple(field.name for field in fields(Preprocessing))
_TEXT, _NUMBER = ((str,), "text in quotes"), ((int, float), "a number, for example 0.5")
_PIXELS = ((int,), "a whole number of pixels, for example 256")
_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "resize": _TEXT,
    "colour": _TEXT,
    "scale": _NUMBER,
    "offset": _NUMBER,
    "mode": _TEXT,
    "decoder": _TEXT,
    "resizer": _TEXT,
    "aspect": _TEXT,
    "shorter_side": _PIXELS,
    "pad_value": _NUMBER,
    "central_crop": _NUMBER,
    "layout": _TEXT,
    "dtype": _TEXT,
}
_OF_CHANNELS = ("scale", "offset")
"""Keys that take a list with a number for each channel, too."""


def read_preprocessing(config: Path | None, declared: Mapping[str, Any], *, data: str | None) -> Preprocessing:
    """Return the preprocessing from `[preprocessing]` of a quantlab.toml; options override its keys.

    The quantlab.toml of the current folder applies only to samples that may be images, because arrays are fed
    unchanged. A file named with --config always applies.

    Raises:
        UsageError: If the file is missing or broken, or a key or value is invalid.
    """
    given = {key: value for key, value in declared.items() if value is not None}
    table = {**read_table("preprocessing", config), **given}
    for key, value in table.items():
        if key not in _PREPROCESSING:
            raise UsageError(f"[preprocessing] has no key '{excerpt(key)}'; {nearest(key, _PREPROCESSING)}")
        if key in _KINDS:
            _check_kind(key, value)
    from quantlab.samples import may_hold_images

    applies = config is not None or (data is not None and may_hold_images(data))
    wanted = table if applies else given
    if "size" in wanted:
        wanted["size"] = _size(wanted["size"])
    if "classes" in wanted:
        wanted["classes"] = _classes(wanted["classes"])
    for key in _OF_CHANNELS:
        if isinstance(wanted.get(key), list):
            wanted[key] = tuple(wanted[key])
    return Preprocessing(**wanted)


def read_float_layers(config: Path | None, given: str | None) -> tuple[str, ...]:
    """Return the layers that stay in float: those of the option, otherwise `float_layers` of `[convert]`.

    Raises:
        UsageError: If the file is missing or broken, has another key, or an entry names no layer.
    """
    table = read_table("convert", config)
    for key in table:
        if key != _FLOAT_LAYERS:
            raise UsageError(f"[convert] has no key '{excerpt(key)}'; {nearest(key, [_FLOAT_LAYERS])}")
    value = table.get(_FLOAT_LAYERS, []) if given is None else given.split(",")
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise UsageError(f'{_FLOAT_LAYERS} is {_quoted(value)} and must be a list of names: {_FLOAT_LAYERS} = ["…"]')
    for name in value:
        try:
            FloatLayer.read(name)
        except ValueError as error:
            raise UsageError(f"--float-layers: {error}; write for example --float-layers stem,dense:float16") from error
    return tuple(dict.fromkeys(name.strip() for name in value))


def _check_kind(key: str, value: Any) -> None:
    if key in _OF_CHANNELS and isinstance(value, list) and value:
        for one in value:
            _check_kind(key, one)
        return
    kinds, words = _KINDS[key]
    if not isinstance(value, kinds) or isinstance(value, bool) or not _is_finite(value):
        raise UsageError(f"{key} is {_quoted(value)} and must be {words}; correct it in [preprocessing]")


def _is_finite(value: Any) -> bool:
    """Whether a number is one that a float can hold; True for text."""
    try:
        return isinstance(value, str) or math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def read_table(name: str, config: Path | None) -> dict[str, Any]:
    """Return one table of a quantlab.toml; empty if the default file does not exist, or the file lacks the table.

    Raises:
        UsageError: If a named file is missing, the file is not valid TOML, or it has an unknown table.
    """
    table = _document(name, config).get(name, {})
    if not isinstance(table, dict):
        raise UsageError(
            f"'{name}' in '{config or _DEFAULT}' is not a table; write [{name}] on a line and its keys below"
        )
    return table


def read_models(config: Path | None) -> list[dict[str, Any]]:
    """Return the `[[model]]` tables of a quantlab.toml, in their order.

    Raises:
        UsageError: If the file is missing or broken, or has no such table.
    """
    path = config or _DEFAULT
    tables = _document(f"[{_MODELS}]", path).get(_MODELS, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"'{_MODELS}' in '{path}' is no list of tables; write [[{_MODELS}]] above each model's keys")
    if not tables:
        keys = 'model = "FILE" and data = "SAMPLES"'
        raise UsageError(f"'{path}' has no [[{_MODELS}]] table; write one for each model, with {keys}")
    return tables


def _document(name: str, config: Path | None) -> dict[str, Any]:
    """The whole file, whose tables are all known; empty if the default file does not exist."""
    path = config or _DEFAULT
    if config is None and not path.is_file():
        return {}
    if not path.exists():
        raise UsageError(f"there is no file '{path}' to read [{name}] from; name an existing TOML file")
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"'{path}' is not a valid TOML file ({error}); correct it, or name another file") from error
    for key in document:
        if key in _PREPROCESSING:
            raise UsageError(f"'{key}' in '{path}' belongs to a table; write it below a line [preprocessing]")
        if key not in _TABLES:
            raise UsageError(f"'{path}' has the unknown table [{excerpt(key)}]; {nearest(key, _TABLES)}")
    return document


def _quoted(value: Any) -> str:
    return excerpt(repr(value))


def _classes(value: Any) -> tuple[str, ...]:
    """Read a list of names, or one text with commas."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) and name for name in names):
        raise UsageError(f'classes is {_quoted(value)} and must be a list of names: classes = ["…"]')
    return tuple(name.strip() for name in names)


def _size(value: Any) -> tuple[int, int]:
    """Read `"224x224"`, `224` or `[224, 224]` as height and width in pixels."""
    parts = value.lower().split("x") if isinstance(value, str) else value if isinstance(value, list) else [value, value]
    try:
        sizes = [int(part) for part in parts if not isinstance(part, bool | float)]
    except (TypeError, ValueError):
        sizes = []
    if len(sizes) != 2 or min(sizes) < 1:
        raise UsageError(f"the size is {_quoted(value)} and must be HEIGHTxWIDTH in pixels; write for example 224x224")
    return sizes[0], sizes[1]
