"""What the runtimes of each format know: ops, kernels, and versions of ops.

| what | source |
|---|---|
| ops of tfjs-converter | the installed converter |
| which tfjs backend runs an op, and since when | `tfjs_kernels.json`, from the tags of TensorFlow.js (`tests/tfjs_kernels.py`) |
| ops of onnxruntime-web in WebGL and WebGPU | `onnx_web_ops.json`, from the npm package (`tests/onnx_web_ops.py`) |
| opset, IR version and kernels of each ONNX Runtime | onnxruntime.ai/docs/reference/compatibility.html up to 1.20, later ones tried |
| versions of TFLite ops | TensorFlow's `runtime_version.cc` |
| activations of layers-models | tfjs-layers 4.22, `activations.ts` |

Tests compare all of it with the installed packages, as far as these tell.
"""  # noqa: E501 (a table)

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = [
    "LAYERS_ACTIVATIONS",
    "NEEDED_BY_GRAPHS",
    "NOT_IN_ONNX_RUNTIME",
    "RECENT_IN_ONNX_RUNTIME",
    "RECENT_IR_VERSIONS",
    "RECENT_OPSETS",
    "RECENT_TFLITE",
    "OnnxWebOps",
    "TfjsKernels",
    "onnx_web_ops",
    "tfjs_kernels",
    "tfjs_ops",
]


@cache
def tfjs_ops() -> frozenset[str]:
    """Ops of TensorFlow that tfjs-converter runs, as the installed converter lists them; empty if there is none."""
    spec = find_spec("tensorflowjs")  # does not import it
    if spec is None or not spec.submodule_search_locations:
        return frozenset()
    folder = Path(spec.submodule_search_locations[0]) / "op_list"
    return frozenset(entry["tfOpName"] for file in folder.glob("*.json") for entry in json.loads(file.read_text()))


@dataclass(frozen=True, slots=True)
class TfjsKernels:
    """Which backends of TensorFlow.js run the ops of graph-models: `cpu`, `wasm`, `webgl`, `webgpu` and `node`."""

    version: str
    """The version that `missing` is about."""
    missing: Mapping[str, tuple[str, ...]]
    """Op → the backends that do not run it; ops that all backends run are left out."""
    since: Mapping[str, Mapping[str, str]]
    """Op → backend → the first version that runs it, if that is later than 3.0 (2021), or 4.0 on webgpu."""

    backends = ("cpu", "wasm", "webgl", "webgpu", "node")


@cache
def tfjs_kernels() -> TfjsKernels:
    """The table of TensorFlow.js."""
    table = _table("tfjs_kernels.json")
    return TfjsKernels(
        version=table["version"],
        missing={op: tuple(backends) for op, backends in table["missing"].items()},
        since={
            op: {backend: version for version, backends in versions.items() for backend in backends}
            for op, versions in table["since"].items()
        },
    )


@dataclass(frozen=True, slots=True)
class OnnxWebOps:
    """Which ops of ONNX onnxruntime-web computes on a GPU."""

    version: str
    webgl: Mapping[str, str]
    """Op → opsets, `7+` or `1-12`."""
    webgpu: Mapping[str, str]


@cache
def onnx_web_ops() -> OnnxWebOps:
    """The table of onnxruntime-web."""
    return OnnxWebOps(**_table("onnx_web_ops.json"))


def _table(name: str) -> dict[str, Any]:
    table: dict[str, Any] = json.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    return table


NEEDED_BY_GRAPHS = frozenset(
    """
    Assert CheckNumerics Const Identity NoOp PartitionedCall Placeholder Print ReadVariableOp StatefulPartitionedCall
    VarHandleOp StopGradient DisableCopyOnRead HashTable HashTableV2
    """.split()  # noqa: SIM905 (a list of names that is read, not indexed)
)
"""Ops of a SavedModel that no graph-model has: the converter replaces or removes them."""

LAYERS_ACTIVATIONS = frozenset(
    """
    elu gelu gelu_new hard_sigmoid linear log_softmax mish relu relu6 selu sigmoid softmax softplus softsign swish tanh
    """.split()  # noqa: SIM905
)
"""Activations by name that tfjs-layers 4.22 knows."""

NOT_IN_ONNX_RUNTIME = frozenset({"ImageDecoder"})
"""Ops of ONNX that are no function of others, and for which ONNX Runtime has no kernel on the CPU."""

RECENT_IN_ONNX_RUNTIME: Mapping[str, str] = {"DeformConv": "1.25", "TensorScatter": "1.25"}
"""Op of ONNX → the first ONNX Runtime with a kernel for it, if others had its opset before."""

RECENT_OPSETS: Mapping[int, str] = {
    20: "1.17",
    21: "1.18",
    22: "1.21",
    23: "1.23",
    24: "1.24",
    25: "1.24",
    26: "1.25",
    27: "1.32",
    28: "1.32",
}
"""Opset of ONNX → the first ONNX Runtime that loads it, from 1.17 (January 2024) on; earlier ones refuse the file."""

RECENT_IR_VERSIONS: Mapping[int, str] = {10: "1.18", 11: "1.23", 12: "1.24", 13: "1.24", 14: "1.32"}
"""IR version of an ONNX file → the first ONNX Runtime that loads it, from 1.17 on."""

RECENT_TFLITE: Mapping[tuple[str, int], str] = {
    ("CAST", 6): "2.15",
    ("CAST", 7): "2.17",
    ("CAST", 8): "2.21",
    ("CONCATENATION", 5): "2.21",
    ("CONV_2D", 8): "2.15",
    ("DEQUANTIZE", 6): "2.18",
    ("DEQUANTIZE", 7): "2.21",
    ("DILATE", 1): "2.15",
    ("DYNAMIC_UPDATE_SLICE", 2): "2.17",
    ("DYNAMIC_UPDATE_SLICE", 3): "2.19",
    ("EMBEDDING_LOOKUP", 4): "2.18",
    ("EMBEDDING_LOOKUP", 5): "2.21",
    ("EQUAL", 5): "2.21",
    ("FULLY_CONNECTED", 11): "2.15",
    ("FULLY_CONNECTED", 12): "2.17",
    ("FULLY_CONNECTED", 13): "2.18",
    ("FULLY_CONNECTED", 14): "2.21",
    ("GATHER", 7): "2.15",
    ("GATHER_ND", 5): "2.16",
    ("LOG", 2): "2.15",
    ("NOT_EQUAL", 4): "2.21",
    ("PAD", 5): "2.20",
    ("PADV2", 5): "2.20",
    ("QUANTIZE", 4): "2.21",
    ("REDUCE_WINDOW", 1): "2.15",
    ("RSQRT", 3): "2.15",
    ("SLICE", 7): "2.21",
    ("SQRT", 2): "2.21",
    ("STABLEHLO_COMPOSITE", 1): "2.17",
    ("STABLEHLO_GATHER", 1): "2.16",
    ("STABLEHLO_SCATTER", 1): "2.15",
    ("TRANSPOSE", 8): "2.22",
    ("TRANSPOSE_CONV", 5): "2.15",
    ("UNPACK", 5): "2.22",
}
"""TFLite op and version → the first TensorFlow Lite that has it, from 2.15 (November 2023) on."""
