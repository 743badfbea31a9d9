"""Graph-models of tfjs that are made by hand, and what the Python executor gives for their nodes."""

import base64
import json

import numpy as np
from contracts import executors

from quantlab.runtimes import Job
from quantlab.runtimes.exchange import TensorFile
from quantlab.types.executor_options import ExecutorOptions
from quantlab.worker.tfjs_graph import load

RANDOM = np.random.default_rng(11)
IMAGE = RANDOM.normal(size=(3, 6, 6, 4)).astype(np.float32)
ROWS = RANDOM.normal(size=(3, 8)).astype(np.float32)
WEIGHTS = {
    "depthwise": RANDOM.normal(size=(3, 3, 4, 1)).astype(np.float32),
    "filter": RANDOM.normal(size=(3, 3, 4, 4)).astype(np.float32),
    "matrix": RANDOM.normal(size=(8, 4)).astype(np.float32),
    "bias": RANDOM.normal(size=4).astype(np.float32),
    "slope": np.float32([0.5, -0.25, 0.1, 2.0]),
}


def text(*words):
    return [base64.b64encode(word.encode()).decode() for word in words]


def node(name, op, *inputs, **attributes):
    return {"name": name, "op": op, "input": list(inputs), "attr": attributes}


def fused(op, fused_ops, arguments, **attributes):
    """A node as the converter writes it; convolutions slide over the image, products over the rows."""
    source = "rows" if op == "_FusedMatMul" else "image"
    kernel = {"_FusedMatMul": "matrix", "_FusedConv2D": "filter"}.get(op, "depthwise")
    sliding = (
        {}
        if op == "_FusedMatMul"
        else {
            "strides": {"list": {"i": ["1", "1", "1", "1"]}},
            "dilations": {"list": {"i": ["1", "1", "1", "1"]}},
            "padding": {"s": text("SAME")[0]},
            "data_format": {"s": text("NHWC")[0]},
            "explicit_paddings": {"list": {}},
        }
    )
    product = {"transpose_a": {"b": False}, "transpose_b": {"b": False}} if op == "_FusedMatMul" else {}
    common = {
        "T": {"type": "DT_FLOAT"},
        "fused_ops": {"list": {"s": text(*fused_ops)}},
        "num_args": {"i": str(len(arguments))},
        "epsilon": {"f": 0.0},
    }
    return node("result", op, source, kernel, *arguments, **{**common, **sliding, **product, **attributes})


_TYPES = {"int64": "DT_INT64", "int32": "DT_INT32"}


def write(folder, nodes, weights=WEIGHTS, inputs=("image",)):
    """A graph-model of constants, placeholders and the nodes given."""
    folder.mkdir(parents=True, exist_ok=True)
    typed = {name: {"dtype": {"type": _TYPES.get(values.dtype.name, "DT_FLOAT")}} for name, values in weights.items()}
    constants = [node(name, "Const", **typed[name]) for name in weights]
    placeholders = [
        node(name, "Placeholder", dtype={"type": "DT_FLOAT"}, shape={"shape": {"unknownRank": True}}) for name in inputs
    ]
    stored = {name: values.astype(np.int32) if values.dtype == np.int64 else values for name, values in weights.items()}
    document = {
        "format": "graph-model",
        "modelTopology": {"node": [*constants, *placeholders, *nodes], "versions": {"producer": 1882}},
        "weightsManifest": [
            {
                "paths": ["weights.bin"],
                "weights": [
                    {"name": name, "shape": list(values.shape), "dtype": values.dtype.name}
                    for name, values in stored.items()
                ],
            }
        ],
    }
    (folder / "weights.bin").write_bytes(b"".join(values.tobytes() for values in stored.values()))
    (folder / "model.json").write_text(json.dumps(document))
    return folder


def run(folder, fed, *fetched):
    """What the executor gives for some nodes, fed with arrays by the placeholders' names."""

    def file(name, position):
        return TensorFile(name, "", 0, (), "float32", f"{name}:0", position)

    inputs = tuple(file(name, place) for place, name in enumerate(fed))
    outputs = tuple(file(name, place) for place, name in enumerate(fetched))
    return load(Job("tfjs", str(folder), "", 1, 0, 1, inputs, outputs, ExecutorOptions(), **executors("tfjs"))).call(
        list(fed.values())
    )
