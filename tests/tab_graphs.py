"""Graph-models with random weights and unusual JSON, of which the page in a tab and the converter make settings.

They need not compute anything: the converter of artifacts reads names, ops, attributes and weights.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["write_random"]

Array = NDArray[Any]

_KERNELS: Mapping[str, tuple[int, ...]] = {
    "Conv2D": (3, 3, 16, 24),
    "_FusedConv2D": (1, 1, 40, 64),
    "DepthwiseConv2dNative": (3, 3, 130, 2),
    "Conv2DBackpropInput": (2, 2, 12, 150),
    "MatMul": (70, 33),
    "_FusedMatMul": (300, 40),
    "GatherV2": (90, 20),
}

_ODD_JSON = (
    '{"1": 1, "0": [1e-05, 1E5, 0.1, -0.0, 1e16, 12345678901234567890123, 5e-324, 1.0, 100000000000000000000.0, 1e22], '
    '"": "\\u00e9\\ud83d\\ude00 \\ud800 \\u007f \\/ \\b\\f\\n\\r\\t\\"\\\\ \u20ac", "twice": 1, '
    '"__proto__": {"polluted": true}, "constructor": null, "twice": [ ], "x": { }, "big": 9007199254740993, "n": -0}'
)
"""An object whose text another program would write otherwise."""


def _values(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Floats of a random kind; all are finite."""
    scale = 10.0 ** random.uniform(-3, 2, shape[-1] if shape else ())
    normal = random.normal(size=shape) * scale
    kinds = {
        "normal": normal,
        "alike": random.normal(size=shape),
        "positive": np.abs(normal) + 0.5,
        "negative": -np.abs(normal) - 0.5,
        "one-sided channels": np.abs(normal) * random.choice([-1, 1], shape[-1:]),
        "constant": np.full(shape, random.normal()),
        "zeros": np.zeros(shape),
        "sparse": normal * (random.random(shape) < 0.02),
        "tiny": normal * 1e-41,
        "small": normal * 1e-6,
        "huge": normal * 1e34,
        "integers": np.rint(random.normal(size=shape) * 3),
        "dead channels": normal * (random.random(shape[-1:]) < 0.5),
    }
    values = kinds[random.choice(list(kinds))].astype(np.float32)
    # Of zeros with both signs, the minimum is one or the other, depending on the processor.
    return values if values.any() else np.abs(values)


def _node(name: str, op: str, inputs: Sequence[str] = (), **attributes: Any) -> dict[str, Any]:
    return {"name": name, "op": op, **({"input": list(inputs)} if inputs else {}), "attr": attributes}


def _text(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _op(random: np.random.Generator, place: int, source: str) -> tuple[list[dict[str, Any]], dict[str, Array]]:
    """An op with its weights: constants, and the op that reads them."""
    op = str(random.choice(list(_KERNELS)))
    name, kernel, bias = f"op{place}", f"op{place}/kernel", f"op{place}/bias"
    shape = _KERNELS[op]
    channels = shape[2] if op == "Conv2DBackpropInput" else shape[-1]
    weights = {kernel: _values(random, shape), bias: _values(random, (channels,))}
    attributes: dict[str, Any] = {"T": {"type": "DT_FLOAT"}}
    if "Conv" in op:
        stride = str(random.integers(1, 3))
        attributes["strides"] = {"list": {"i": ["1", stride, stride, "1"]}}
    if op.startswith("_Fused"):
        activation = str(random.choice(["", "Relu6", "Relu", "Elu", "LeakyRelu"]))
        words = ["BiasAdd", activation] if activation else ["BiasAdd"]
        attributes["fused_ops"] = {"list": {"s": [_text(word) for word in words]}}
        attributes |= {"num_args": {"i": "1"}, "epsilon": {"f": 0.0}}
    if op == "MatMul" and random.random() < 0.4:
        attributes["transpose_b"] = {"b": True}
    nodes = [_constant(kernel), _constant(bias)]
    read = [kernel] if random.random() < 0.7 else [f"{kernel}/read"]
    nodes += [_node(read[0], "Identity", [kernel])] if read[0] != kernel else []
    if op == "GatherV2":
        weights[f"{name}/axis"] = np.array(random.integers(0, 2), np.int32)
        nodes.append(_constant(f"{name}/axis", "DT_INT32"))
        inputs = [*read, source, f"{name}/axis"]
    else:
        inputs = [source, *read, *([bias] if op.startswith("_Fused") else [])]
    return [*nodes, _node(name, op, inputs, **attributes)], weights


def _constant(name: str, dtype: str = "DT_FLOAT") -> dict[str, Any]:
    return _node(name, "Const", dtype={"type": dtype}, value={"tensor": {"dtype": dtype, "tensorShape": {}}})


def _others(random: np.random.Generator) -> dict[str, Array]:
    """Weights that no kernel is, of every data type."""
    return {
        "scalar": np.float32(random.normal()),
        "q0": random.normal(size=5).astype(np.float32),  # a name that the converter would choose
        "ints": random.integers(-(2**31), 2**31, (3, 4)).astype(np.int32),
        "flags": random.random(7) < 0.5,
        "no ints": np.zeros((0, 3), np.int32),
        "texts": np.array([b"", b"one", "zw\u00f6lf".encode()], object),
    }


def write_random(folder: Path, seed: int) -> Path:
    """Write a graph-model of up to eight ops in one or two groups, cut into shards anywhere, and return its folder."""
    random = np.random.default_rng(seed)
    dims = [{"size": str(size)} for size in (-1, int(random.integers(8, 60)), int(random.integers(8, 60)), 16)]
    nodes = [_node("input", "Placeholder", dtype={"type": "DT_FLOAT"}, shape={"shape": {"dim": dims}})]
    weights: dict[str, Array] = {}
    for place in range(int(random.integers(2, 9))):
        made, values = _op(random, place, nodes[-1]["name"])
        nodes, weights = [*nodes, *made], weights | values
    others = _others(random)
    types = {"i": "DT_INT32", "b": "DT_BOOL", "O": "DT_STRING"}
    nodes += [_constant(name, types.get(values.dtype.kind, "DT_FLOAT")) for name, values in others.items()]
    names = [str(name) for name in random.permutation([*weights, *others])]
    cut = int(random.integers(1, len(names))) if random.random() < 0.5 else len(names)
    groups = [group for group in (names[:cut], names[cut:]) if group]
    manifest = [_write_group(folder, random, place, group, weights | others) for place, group in enumerate(groups)]
    document = {"format": "graph-model", "generatedBy": "2.19.0", "userDefinedMetadata": None}
    topology = {"node": nodes, "versions": {"producer": 1882}, "library": {}}
    text = json.dumps({**document, "weightsManifest": manifest, "modelTopology": topology}, indent=1)
    (folder / "model.json").write_text(
        text.replace('"userDefinedMetadata": null', f'"userDefinedMetadata": {_ODD_JSON}'), encoding="utf-8"
    )
    return folder


def _write_group(
    folder: Path, random: np.random.Generator, place: int, names: Sequence[str], weights: Mapping[str, Array]
) -> dict[str, Any]:
    data = b"".join(_bytes(weights[name]) for name in names)
    cuts = sorted(int(at) for at in random.integers(0, len(data) + 1, random.integers(0, 4)))
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
        paths.append(f"part{place}-{start}-{len(paths)}.bin")
        (folder / paths[-1]).write_bytes(data[start:stop])
    entries = [
        {"name": name, "shape": list(weights[name].shape), "dtype": _dtype(weights[name]), "more": 1.50}
        for name in names
    ]
    return {"paths": paths, "weights": entries}


def _dtype(values: Array) -> str:
    return "string" if values.dtype == object else values.dtype.name


def _bytes(values: Array) -> bytes:
    if values.dtype != object:
        return values.tobytes()
    return b"".join(len(text).to_bytes(4, "little") + text for text in values.flat)
