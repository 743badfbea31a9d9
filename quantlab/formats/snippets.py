"""What code to copy is made from: an artifact's file, inputs and outputs, and parts that several formats share."""

import json
import keyword
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from quantlab.types import Port

__all__ = ["Wanted", "identifier", "javascript_array", "javascript_text", "python_arrays", "sizes"]

_OPEN_SIZE = 32
"""An example of an open size that is not the batch."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call to write down."""

    path: str
    """The file or folder, as the code opens it."""
    inputs: tuple[Port, ...]
    """In the artifact's order; `name` is the name under which its library takes it."""
    outputs: tuple[Port, ...]


def sizes(port: Port) -> tuple[int, ...]:
    """An example of its shape: one sample, or the batch at which it is fixed.

    >>> sizes(Port("x", "x", 0, (None, None, 3), "float32"))
    (1, 32, 3)
    """
    open_sizes = (1 if place == 0 else _OPEN_SIZE for place in range(len(port.shape)))
    return tuple(known if size is None else size for size, known in zip(port.shape, open_sizes, strict=True))


def identifier(name: str) -> str:
    """A name for a variable, in any of the languages.

    >>> identifier("serving_default_image:0"), identifier("class"), identifier("1st")
    ('serving_default_image_0', 'class_', 'v_1st')
    """
    text = re.sub(r"\W", "_", name, flags=re.ASCII) or "value"
    if text[0].isdigit():
        text = f"v_{text}"
    return f"{text}_" if keyword.iskeyword(text) or text in {"val", "var", "fun", "new", "const", "model"} else text


def python_arrays(ports: Sequence[Port]) -> list[str]:
    """Lines that make an array for each input; of codes, from values."""
    lines = []
    for port in ports:
        name = identifier(port.name)
        if port.codes is None:
            lines.append(f'{name} = np.zeros({sizes(port)}, "{port.dtype}")  # your values')
            continue
        codes = port.codes
        lines.append(f'{name} = np.zeros({sizes(port)}, "float32")  # your values')
        steps = f"np.round({name} / {codes.scale!r}) + {codes.zero_point}"
        lines.append(f'{name} = np.clip({steps}, {codes.lowest}, {codes.highest}).astype("{port.dtype}")')
    return lines


_ARRAYS = {
    "float32": "Float32Array",
    "float64": "Float64Array",
    "int32": "Int32Array",
    "uint8": "Uint8Array",
    "int8": "Int8Array",
    "int64": "BigInt64Array",
    "bool": "Uint8Array",
}


def javascript_array(port: Port) -> str:
    """An expression that makes an array for an input.

    >>> javascript_array(Port("x", "x", 0, (None, 2, 3), "float32"))
    'new Float32Array(6)'
    """
    return f"new {_ARRAYS.get(port.dtype, 'Float32Array')}({math.prod(sizes(port))})"


def javascript_text(text: str) -> str:
    """A string literal."""
    return json.dumps(text)
