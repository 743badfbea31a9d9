"""Joins values of single samples that were computed block by block."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from quantlab.npy import room

__all__ = ["joined"]

_Vectors = TypeVar("_Vectors")
"""A dataclass of arrays, of other such dataclasses, and of None."""


def joined(parts: Iterable[_Vectors], n: int) -> _Vectors:
    """Concatenate dataclasses of arrays with n rows together, field by field, including nested dataclasses."""
    whole: _Vectors | None = None
    start = 0
    for part in parts:
        if whole is None:
            whole = _room(part, n)
        start = _put(part, whole, start)
    assert whole is not None  # noqa: S101 (there is at least one block)
    return whole


def _room(part: Any, n: int) -> Any:
    """The same dataclass with room for n rows."""
    held: dict[str, Any] = {}
    for name in (attribute.name for attribute in fields(part)):
        value = getattr(part, name)
        if isinstance(value, np.ndarray):
            held[name] = room((n, *value.shape[1:]), value.dtype)
        else:
            held[name] = None if value is None else _room(value, n)
    return type(part)(**held)


def _put(part: Any, whole: Any, start: int) -> int:
    """Copy the rows of a part to their place; the place after them."""
    stop = start
    for name in (attribute.name for attribute in fields(part)):
        value, target = getattr(part, name), getattr(whole, name)
        if isinstance(value, np.ndarray):
            stop = start + len(value)
            target[start:stop] = value
        elif value is not None:
            stop = _put(value, target, start)
    return stop
