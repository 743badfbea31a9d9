"""What the runtimes of each format know: ops, kernels, and versions of ops.

The ops of tfjs-converter are read from the installed converter. The other tables are of tfjs 4.22 and of TensorFlow's
`runtime_version.cc`; tests compare them with the installed libraries.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

__all__ = [
    "LAYERS_ACTIVATIONS",
    "NEEDED_BY_GRAPHS",
    "NOT_IN_WASM",
    "NOT_IN_WEBGPU",
    "RECENT_TFLITE",
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


NEEDED_BY_GRAPHS = frozenset(
    """
    Assert CheckNumerics Const Identity NoOp PartitionedCall Placeholder Print ReadVariableOp StatefulPartitionedCall
    VarHandleOp StopGradient DisableCopyOnRead HashTable HashTableV2
    """.split()  # noqa: SIM905 (a list of names that is read, not indexed)
)
"""Ops of a SavedModel that no graph-model has: the converter replaces or removes them."""

NOT_IN_WASM = frozenset(
    """
    Complex ComplexAbs Einsum FFT IFFT IRFFT Imag RFFT RaggedGather RaggedRange RaggedTensorToTensor Real
    StaticRegexReplace UnsortedSegmentSum
    """.split()  # noqa: SIM905
)
"""Ops that tfjs runs on its CPU and WebGL backends and not in WebAssembly (`register_all_kernels` of each)."""

NOT_IN_WEBGPU = frozenset(
    """
    BitwiseAnd NonMaxSuppressionV4 RaggedGather RaggedRange RaggedTensorToTensor SparseFillEmptyRows SparseReshape
    StaticRegexReplace StringSplit StringToHashBucketFast Unique UniqueV2
    """.split()  # noqa: SIM905
)

LAYERS_ACTIVATIONS = frozenset(
    """
    elu gelu gelu_new hard_sigmoid linear log_softmax mish relu relu6 selu sigmoid softmax softplus softsign swish tanh
    """.split()  # noqa: SIM905
)
"""Activations by name that tfjs-layers 4.22 knows (`activations.ts`)."""

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
