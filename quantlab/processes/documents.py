"""Converts dataclasses to JSON objects for other processes, and back.

An object has a `type` (or another key given by the caller) that names its class; the other keys are its fields. Tuples
become lists, and paths become absolute paths as strings. An object with a missing or an unknown key is refused.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import cattrs

__all__ = ["Document", "tagged", "untagged"]

Document = dict[str, Any]
"""A JSON object."""

_Kind = TypeVar("_Kind")


@cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_unstructure_hook(Path, lambda path: str(path.absolute()))
    converter.register_structure_hook(Path, lambda text, _: Path(text))
    return converter


def tagged(value: Any, key: str = "type") -> Document:
    """Convert a dataclass to a JSON object; its class has the tag in a class variable named `key`.

    >>> from quantlab.types.messages import Done
    >>> tagged(Done())
    {'type': 'done', 'ending': False}
    """
    return {key: getattr(value, key), **_converter().unstructure(value)}


def untagged(document: Mapping[str, Any], kinds: Mapping[str, type[_Kind]], key: str = "type") -> _Kind:
    """Convert a JSON object to a dataclass.

    Args:
        document: The object.
        kinds: Tag → class.
        key: The key that holds the tag.

    Raises:
        ValueError: If the object does not match any of these classes.

    >>> from quantlab.types.messages import MESSAGES
    >>> untagged({"type": "failed", "reason": "no room"}, MESSAGES)
    Failed(reason='no room', missing_op=None, expected=None)
    """
    fields = {name: value for name, value in document.items() if name != key}
    kind = kinds.get(str(document.get(key)))
    if kind is None:
        raise ValueError(f"an object with the {key} '{document.get(key)}', where {', '.join(kinds)} are known")
    try:
        return _converter().structure(fields, kind)
    except cattrs.BaseValidationError as error:
        reasons = "; ".join(cattrs.transform_error(error))
        raise ValueError(f"an invalid '{document[key]}' ({reasons})") from error
