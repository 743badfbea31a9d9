"""`quantlab.toml`, and options that go before it."""

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from quantlab.errors import UsageError
from quantlab.settings import nearest
from quantlab.types import Preprocessing

__all__ = ["read_preprocessing"]

_DEFAULT = Path("quantlab.toml")
_KINDS: Mapping[str, tuple[type, ...]] = {
    "resize": (str,),
    "colour": (str,),
    "scale": (int, float),
    "offset": (int, float),
}


def read_preprocessing(config: Path | None, declared: Mapping[str, Any]) -> Preprocessing:
    """The preprocessing of `[preprocessing]` in a quantlab.toml, each key replaced by the option that was given.

    Raises:
        UsageError: If the file is missing or broken, or a key or value is not as it must be.
    """
    given = {key: value for key, value in declared.items() if value is not None}
    table = {**_table(config), **given}
    known = [field.name for field in fields(Preprocessing)]
    for key, value in table.items():
        if key not in known:
            raise UsageError(f"'{key}' is no key of [preprocessing]; {nearest(key, known)}")
        if key in _KINDS and (not isinstance(value, _KINDS[key]) or isinstance(value, bool)):
            raise UsageError(f"{key} = {value!r} is not {' or '.join(kind.__name__ for kind in _KINDS[key])}")
    if "size" in table:
        table["size"] = _size(table["size"])
    return Preprocessing(**table)


def _table(config: Path | None) -> dict[str, Any]:
    path = config or _DEFAULT
    if config is None and not path.is_file():
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"'{path}' cannot be read as TOML ({error}); mend it, or name another with --config"
        ) from error
    table = document.get("preprocessing", {})
    if not isinstance(table, dict):
        raise UsageError(f"preprocessing in '{path}' is no table; write [preprocessing] and its keys below")
    return table


def _size(value: Any) -> tuple[int, int]:
    """`"224x224"`, `224` or `[224, 224]`: height and width in pixels."""
    parts = value.lower().split("x") if isinstance(value, str) else value if isinstance(value, list) else [value, value]
    try:
        sizes = [int(part) for part in parts]
    except (TypeError, ValueError):
        sizes = []
    if len(sizes) != 2 or min(sizes) < 1:
        raise UsageError(f"the size {value!r} is not HEIGHTxWIDTH in pixels, as 224x224")
    return sizes[0], sizes[1]
