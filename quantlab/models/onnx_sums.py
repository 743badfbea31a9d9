"""Exact sums of int8 products in onnxruntime, on processors whose fast kernels saturate."""

from functools import cache
from pathlib import Path

import numpy as np

from quantlab.errors import ArtifactError
from quantlab.formats.onnx.file import TWO_GIGABYTES, graphs_of, read_onnx

__all__ = ["PRECISE", "saturates", "with_own_weights"]

PRECISE = "session.x64quantprecision"
"""Option of a session, see `onnxruntime_session_options_config_keys.h`: int8 weights are multiplied as uint8."""


@cache
def saturates() -> bool:
    """Whether a sum of uint8 × int8 products saturates by default: on x86-64 without VNNI, two products share int16.

    It is tried once in each process, with one op, in about a millisecond.
    """
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    weight = np.full((64, 16), 127, np.int8)
    node = helper.make_node("MatMulInteger", ["x", "weight"], ["y"])
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 64])
    y = helper.make_tensor_value_info("y", TensorProto.INT32, [1, 16])
    graph = helper.make_graph([node], "sums", [x], [y], [numpy_helper.from_array(weight, "weight")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (sums,) = session.run(None, {"x": np.full((1, 64), 255, np.uint8)})
    return bool((sums != 64 * 255 * 127).any())


def with_own_weights(path: Path) -> bytes | None:
    """The file with a copy of each int8 constant for each node that reads it.

    With `PRECISE`, onnxruntime writes a constant anew for each reader, under one name, and then refuses the graph.

    Returns:
        None if there is nothing to copy, or the file cannot be read or has 2 GB.
    """
    from onnx import TensorProto

    try:
        model = read_onnx(path)
    except ArtifactError:
        return None
    graphs = list(graphs_of(model.graph))
    owners = {
        constant.name: (graph, constant)
        for graph in graphs
        for constant in graph.initializer
        if constant.data_type == TensorProto.INT8
    }
    taken, copies = set(), 0
    for node in (node for graph in graphs for node in graph.node):
        for place, name in enumerate(node.input):
            if name in taken:
                graph, constant = owners[name]
                own = graph.initializer.add()
                own.CopyFrom(constant)
                copies += 1
                own.name = node.input[place] = f"{name}/reader {copies}"
            elif name in owners:
                taken.add(name)
    return model.SerializeToString() if copies and model.ByteSize() <= TWO_GIGABYTES else None
