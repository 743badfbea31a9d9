"""Writes a copy of a TFLite file that LiteRT.js can open, where it cannot open the file itself.

LiteRT.js takes neither int8 nor int16, and no open batch. In the copy the batch is 1, and such inputs and outputs are
float32: a QUANTIZE op before each input makes its codes again, and a DEQUANTIZE op behind each output decodes them.
RESHAPE ops that compute their sizes from the batch get them as constants, because LiteRT.js returns no output of a
computed size. Other ops and the weights stay unchanged.

The values that are fed must be those of codes (`codes` of the input), because the kernels of QUANTIZE round values
between two codes in different ways.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.formats.tflite.flatbuffer import codes_of, has_data, operator_name, read_flatbuffer, tensor_dtype
from quantlab.formats.tflite.tapped import add_tensor, append_conversion, conversion, write_flatbuffer

__all__ = ["write_for_javascript"]

_REFUSED = ("int8", "int16")


def write_for_javascript(path: Path, target: Path) -> str | None:
    """Write the copy, and return a note for the row; None, and no copy, if LiteRT.js can open the file itself.

    Raises:
        ArtifactError: If the file cannot be read.
    """
    model = read_flatbuffer(path)
    graph = model.subgraphs[0]
    ends = [graph.tensors[index] for index in (*graph.inputs, *graph.outputs)]
    refused = [dtype for dtype in _REFUSED if any(tensor_dtype(tensor) == dtype for tensor in ends)]
    causes = [f"takes no {' or '.join(refused)} inputs and outputs"] if refused else []
    causes += ["runs no open batch"] if any(_is_open(tensor) for tensor in ends) else []
    if not causes:
        return None
    _close(model, ends)
    # The outputs first: a file may pass an input on to an output.
    graph.outputs = [
        append_conversion(model, int(index)) if _is_refused(graph.tensors[index]) else int(index)
        for index in graph.outputs
    ]
    graph.inputs = [
        _float_input(model, int(index)) if _is_refused(graph.tensors[index]) else int(index) for index in graph.inputs
    ]
    write_flatbuffer(model, target)
    return f"LiteRT.js {' and '.join(causes)}, so a copy of the file ran"


def _is_open(tensor: Any) -> bool:
    """Whether only the batch is open; the copy could not have the right size for others."""
    if tensor.shapeSignature is None or not len(tensor.shapeSignature):
        return False
    batch, *sizes = tensor.shapeSignature
    return bool(batch < 0 and all(size >= 0 for size in sizes))


def _close(model: Any, ends: Sequence[Any]) -> None:
    """Set the batch to 1: without a signature, the shape of a tensor counts, which converters write for this batch."""
    graph = model.subgraphs[0]
    for operator in graph.operators:
        if operator_name(model, operator) == "RESHAPE" and len(operator.inputs) > 1:
            made, wanted = graph.tensors[operator.outputs[0]], graph.tensors[operator.inputs[1]]
            sizes = made.shape if made.shapeSignature is None else made.shapeSignature
            if not has_data(model, wanted) and sum(size < 0 for size in sizes) <= 1:
                operator.inputs = [int(operator.inputs[0]), _constant(model, sizes)]
    for tensor in ends:
        tensor.shapeSignature = None


def _constant(model: Any, values: Iterable[int]) -> int:
    """Add a vector of int32 to the main subgraph, and return its index."""
    from ai_edge_litert import schema_py_generated as schema

    data = np.asarray(list(values), "<i4")
    model.buffers.append(schema.BufferT(data=np.frombuffer(data.tobytes(), np.uint8)))
    tensor = schema.TensorT(
        name="quantlab/sizes", shape=[len(data)], type=schema.TensorType.INT32, buffer=len(model.buffers) - 1
    )
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def _is_refused(tensor: Any) -> bool:
    """Whether the tensor needs a conversion; codes without a single scale have none."""
    return tensor_dtype(tensor) in _REFUSED and codes_of(tensor) is not None


def _float_input(model: Any, index: int) -> int:
    """Add a float32 input that becomes the codes of an input, and return its index."""
    added = add_tensor(model, index, "input")
    model.subgraphs[0].operators.insert(0, conversion(model, added, index))
    return added
