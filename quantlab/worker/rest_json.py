"""Samples and outputs in the JSON of TensorFlow Serving: rows (`instances`) and columns (`inputs`).

Numbers are written with all digits of a float64, which a server reads back exactly; of outputs, TensorFlow Serving
writes as many digits as a float32 needs. NaN and infinity are the bare words NaN, Infinity and -Infinity.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.names import without_controls

__all__ = ["BYTES_PER_VALUE", "columns_of", "in_columns", "in_rows", "read_answer", "rows_of"]

Array = npt.NDArray[Any]

BYTES_PER_VALUE = 64
"""Most bytes that a number, its separators and spaces may take in an answer."""


def in_rows(inputs: Mapping[str, Array], signature: str | None = None) -> bytes:
    r"""A request with one instance per sample; a single input goes without its name.

    >>> in_rows({"x": np.float32([[1, 0.5], [2, np.nan]])})
    b'{"instances": [[1.0, 0.5], [2.0, NaN]]}'
    >>> in_rows({"image": np.array([b"\xff"])})
    b'{"instances": [{"b64": "/w=="}]}'

    Args:
        inputs: Name → samples, (samples, …); bytes are encoded in base64.
        signature: Name of the signature; None is the server's default.
    """
    values = {name: _plain(array) for name, array in inputs.items()}
    if len(values) == 1:
        (instances,) = values.values()
    else:
        instances = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return _request({"instances": instances}, signature)


def in_columns(inputs: Mapping[str, Array], signature: str | None = None) -> bytes:
    """A request with each input as a whole, by its name; the arguments are those of `in_rows`.

    >>> in_columns({"x": np.int64([1, 2]), "y": np.array([True, False])})
    b'{"inputs": {"x": [1, 2], "y": [true, false]}}'
    """
    return _request({"inputs": {name: _plain(array) for name, array in inputs.items()}}, signature)


def _request(body: dict[str, Any], signature: str | None) -> bytes:
    named = {} if signature is None else {"signature_name": signature}
    return json.dumps({**named, **body}).encode()


def _plain(array: Array) -> Any:
    values = array.tolist()
    return _with_bytes(values) if array.dtype.kind in "SO" else values


def _with_bytes(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_bytes(one) for one in value]
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


_OTHER = "; correct --serving if this is not TensorFlow Serving"


def read_answer(body: bytes) -> dict[str, Any]:
    """The JSON object of an answer.

    Raises:
        TrialError: If it is none.
    """
    begins = without_controls(body[:100].decode(errors="replace").strip())
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise TrialError(f"the server's answer is not JSON ({reason}); it begins with '{begins}'{_OTHER}") from error
    if not isinstance(said, dict):
        raise TrialError(f"the server's answer is not a JSON object; it begins with '{begins}'{_OTHER}")
    return said


def rows_of(answer: Mapping[str, Any], names: Sequence[str], dtypes: Sequence[str]) -> list[Array]:
    """The outputs in an answer to a request in rows.

    >>> rows_of({"predictions": [{"y": [1.5], "z": 1}, {"y": [2.5], "z": 2}]}, ["y", "z"], ["float32", "int64"])
    [array([[1.5],
           [2.5]], dtype=float32), array([1, 2])]

    Args:
        answer: The JSON object.
        names: Outputs in the signature's own names.
        dtypes: Of each output.

    Raises:
        TrialError: If an output is missing, or a value is not one of its data type.
    """
    rows = _value(answer, "predictions")
    if not isinstance(rows, list):
        raise TrialError(f"the server's 'predictions' are {_kind(rows)}, and not a list with one for each sample")
    if not rows or not isinstance(rows[0], dict):
        return [_array(rows, _only(names), dtypes[0])]
    outputs = []
    for name, dtype in zip(names, dtypes, strict=True):
        if not all(isinstance(row, dict) and name in row for row in rows):
            raise TrialError(f"the server's answer lacks the output '{name}'; it has {_listed(rows[0])}")
        outputs.append(_array([row[name] for row in rows], name, dtype))
    return outputs


def columns_of(answer: Mapping[str, Any], names: Sequence[str], dtypes: Sequence[str]) -> list[Array]:
    """The outputs in an answer to a request in columns; the arguments are those of `rows_of`.

    >>> columns_of({"outputs": [[1.5], [2.5]]}, ["y"], ["float32"])
    [array([[1.5],
           [2.5]], dtype=float32)]
    """
    columns = _value(answer, "outputs")
    if not isinstance(columns, dict):
        return [_array(columns, _only(names), dtypes[0])]
    missing = [name for name in names if name not in columns]
    if missing:
        raise TrialError(f"the server's answer lacks the output '{missing[0]}'; it has {_listed(columns)}")
    return [_array(columns[name], name, dtype) for name, dtype in zip(names, dtypes, strict=True)]


def _value(answer: Mapping[str, Any], key: str) -> Any:
    if key not in answer:
        raise TrialError(f"the server's answer has no '{key}'; it has {_listed(answer)}")
    return answer[key]


def _only(names: Sequence[str]) -> str:
    if len(names) != 1:
        raise TrialError(
            f"the server's answer has one output without a name, and the model has {_listed(names)}; give the address "
            f"of this model"
        )
    return names[0]


def _array(values: Any, name: str, dtype: str) -> Array:
    """Nested lists as an array of a data type, without a change of any value."""
    try:
        array = np.array(values)
    except ValueError as error:  # lists of different lengths
        raise TrialError(
            f"the output '{name}' of the server's answer is no tensor: its lists differ in length"
        ) from error
    wanted = np.dtype(dtype)
    if array.dtype.kind not in _KINDS[wanted.kind] and array.size:
        raise _of_another_kind(_first(values), name, dtype)
    if wanted.kind != "b" and _holds_booleans(values):  # NumPy makes [true, 1.5] numbers
        raise _of_another_kind(True, name, dtype)
    with np.errstate(over="ignore"):
        kept = array.astype(wanted)
    lost = ~np.isfinite(kept) & np.isfinite(array) if wanted.kind == "f" else kept != array
    if lost.any():
        raise TrialError(
            f"the output '{name}' of the server's answer holds {array[lost].flat[0]}, which {dtype} cannot hold"
        )
    return kept


_KINDS: Mapping[str, str] = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}
"""Kind of an output's dtype → kinds of what NumPy reads from JSON."""


def _of_another_kind(value: object, name: str, dtype: str) -> TrialError:
    return TrialError(f"the output '{name}' of the server's answer holds {_kind(value)}, and the model's is {dtype}")


def _holds_booleans(values: Any) -> bool:
    """Whether a value or nested lists of values hold a boolean."""
    kinds = set(map(type, values)) if isinstance(values, list) else {type(values)}
    return bool in kinds or (list in kinds and any(map(_holds_booleans, values)))


def _first(value: Any) -> Any:
    while isinstance(value, list) and value:
        value = value[0]
    return value


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), f"the number {value}")


def _listed(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in [*names][:10])[:300] or "nothing"
