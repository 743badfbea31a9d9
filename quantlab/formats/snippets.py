"""What code to copy is made from: an artifact's file, inputs and outputs, and parts that several formats share."""

import json
import keyword
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from quantlab.types import Codes, Port

__all__ = [
    "URL",
    "Wanted",
    "formula_of",
    "identifier",
    "javascript_array",
    "javascript_text",
    "plus",
    "python_arrays",
    "sizes",
    "value_of",
]

URL = "// write the URL that serves this file"
"""Comment on the file of an artifact, which JavaScript fetches."""
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

    >>> identifier("serving_default_image:0"), identifier("class"), identifier("1st"), identifier("inputs")
    ('serving_default_image_0', 'class_', 'v_1st', 'inputs_')
    """
    text = re.sub(r"\W", "_", name, flags=re.ASCII) or "value"
    if text[0].isdigit():
        text = f"v_{text}"
    return f"{text}_" if keyword.iskeyword(text) or text in _TAKEN else text


_OTHER_WORDS = (
    "case catch const default delete do enum export extends false fun function instanceof interface let new null "
    "object package super switch this throw true typealias typeof val var void when"
)
"""Words of JavaScript and Kotlin that are none of Python."""
_WRITTEN_NAMES = (
    "code environment inputs interpreter keras loaded model np onnxruntime ort outputs result session tf tf_keras "
    "Interpreter OnnxTensor OrtEnvironment Tensor"
)
"""Names in the code that is written around those of an artifact."""
_TAKEN = frozenset(f"{_OTHER_WORDS} {_WRITTEN_NAMES}".split())


def plus(text: str, number: int) -> str:
    """An expression and a whole number that is added to it.

    >>> plus("x", 3), plus("x", -3)
    ('x + 3', 'x - 3')
    """
    return f"{text} {'-' if number < 0 else '+'} {abs(number)}"


def formula_of(codes: Codes, *, is_input: bool) -> str:
    """How codes are computed, to copy.

    >>> formula_of(Codes(0.5, 3, 0, 255), is_input=True)
    'code = clip(round(value / 0.5) + 3, 0, 255)'
    >>> formula_of(Codes(0.5, -3, -128, 127), is_input=False)
    'value = (code + 3) * 0.5'
    """
    if is_input:
        steps = plus(f"round(value / {codes.scale!r})", codes.zero_point)
        return f"code = clip({steps}, {codes.lowest}, {codes.highest})"
    return f"value = {value_of('code', codes)}"


def value_of(code: str, codes: Codes) -> str:
    """An expression for the value of a code, in any of the languages.

    >>> value_of("code", Codes(0.5, 0, 0, 255))
    '(code - 0) * 0.5'
    """
    shifted = plus(code, -codes.zero_point) if codes.zero_point else f"{code} - 0"
    return f"({shifted}) * {codes.scale!r}"


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
        steps = plus(f"np.round({name} / {codes.scale!r})", codes.zero_point)
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
