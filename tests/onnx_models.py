"""ONNX files written with `onnx.helper`, with known nodes and weights, and conversions of them in this process."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from quantlab.errors import ModelError
from quantlab.models.onnx import open_onnx_session
from quantlab.settings import SETTINGS
from quantlab_converters import CONVERTERS, ConversionRequest

__all__ = [
    "CLASSES",
    "SCHEMES",
    "converted",
    "exported_by_torch",
    "node",
    "pictures",
    "port",
    "predicted",
    "samples",
    "write",
    "write_classifiers",
]

Array = npt.NDArray[Any]

SCHEMES = tuple(setting.scheme for setting in SETTINGS.values() if setting.format == "onnx" and not setting.tuned)
CLASSES = 5
_SIDE = 8


def port(name: str, shape: Sequence[int | str | None] | None, dtype: int = TensorProto.FLOAT) -> ValueInfoProto:
    """An input or output; a size that is None or a name is open."""
    return helper.make_tensor_value_info(name, dtype, shape)


def node(op: str, inputs: Iterable[str], output: str, **attributes: Any) -> NodeProto:
    """A node of one output, after which it is named."""
    return helper.make_node(op, list(inputs), [output], **{"name": output, **attributes})


def write(
    path: Path,
    nodes: Sequence[NodeProto],
    ports: tuple[Sequence[ValueInfoProto], Sequence[ValueInfoProto]],
    constants: Mapping[str, Array] | None = None,
    **saved: Any,
) -> Path:
    """A model, unchecked: some are to fail. `saved` may name `opsets`, by domain, and what `onnx.save_model` takes."""
    opsets = saved.pop("opsets", {"": 17})
    ir_version = saved.pop("ir_version", 8)
    tensors = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    model = helper.make_model(
        helper.make_graph(nodes, "graph", *ports, tensors),
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in opsets.items()],
        ir_version=ir_version,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, path, **saved)
    return path


def write_classifiers(folder: Path, *, n: int = 200) -> None:
    """`a.onnx` and `b.onnx`, linear, and `data.npz`: the largest of three values is the class, and b is less sure."""
    random = np.random.default_rng(0)
    x = random.normal(size=(n, 8)).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=x[:, :3].argmax(axis=1))
    for name, noise in (("a", 0.1), ("b", 2.0)):
        weight = (4 * np.eye(8, 3) + noise * random.normal(size=(8, 3))).astype(np.float32)
        nodes = [node("MatMul", ["x", "weight"], "logits"), node("Softmax", ["logits"], "y")]
        write(folder / f"{name}.onnx", nodes, ([port("x", ["n", 8])], [port("y", ["n", 3])]), {"weight": weight})


def weights_of_pictures() -> dict[str, Array]:
    """Of a kind for each way that ops hold them; one channel of each convolution is far smaller than the others."""
    random = np.random.default_rng(1)
    shapes = {
        "filter": (6, 2, 3, 3),
        "filter_bias": (6,),
        "spread": (6, 1, 3, 3),
        "matrix": (6, 8),
        "matrix_bias": (8,),
        "straight": (8, 7),
        "straight_bias": (7,),
        "turned": (CLASSES, 7),
        "turned_bias": (CLASSES,),
    }
    weights = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    weights["filter"][2] *= 0.01
    weights["spread"][4] *= 0.01
    return weights


def pictures(path: Path, batch: int | str = "batch", **saved: Any) -> Path:
    """Pictures of two channels to five classes: Conv, a depthwise one, MatMul, and Gemm with and without transB."""
    nodes = [
        node("Conv", ["picture", "filter", "filter_bias"], "slid", pads=[1, 1, 1, 1]),
        node("Relu", ["slid"], "bent"),
        node("Conv", ["bent", "spread"], "deep", pads=[1, 1, 1, 1], group=6),
        node("Relu", ["deep"], "deep_bent"),
        node("GlobalAveragePool", ["deep_bent"], "mean"),
        node("Flatten", ["mean"], "flat"),
        node("MatMul", ["flat", "matrix"], "product"),
        node("Add", ["product", "matrix_bias"], "hidden"),
        node("Gemm", ["hidden", "straight", "straight_bias"], "through"),
        node("Gemm", ["through", "turned", "turned_bias"], "logits", transB=1),
        node("Softmax", ["logits"], "scores", axis=-1),
    ]
    ports = [port("picture", [batch, 2, _SIDE, _SIDE])], [port("scores", [batch, CLASSES])]
    return write(path, nodes, ports, weights_of_pictures(), **saved)


def samples(n: int = 7, *, seed: int = 2) -> dict[str, Array]:
    """What `pictures` takes."""
    random = np.random.default_rng(seed)
    colours = 3 * random.normal(size=(n, 2, 1, 1))  # by which the classes differ
    return {"picture": (colours + random.normal(size=(n, 2, _SIDE, _SIDE))).astype(np.float32)}


def predicted(path: Path, fed: Mapping[str, Array], names: Sequence[str] | None = None) -> list[Array]:
    """What onnxruntime answers, a sample at a time, with sums of int8 that no processor saturates."""
    session = open_onnx_session(path, ModelError)
    n = len(next(iter(fed.values())))
    runs = [session.run(names, {name: array[i : i + 1] for name, array in fed.items()}) for i in range(n)]
    return [np.concatenate(list(map(np.atleast_1d, parts))) for parts in zip(*runs, strict=True)]


def converted(
    source: Path, folder: Path, fed: Mapping[str, Array] | None = None, schemes: Sequence[str] = SCHEMES
) -> dict[str, Path]:
    """Setting → file, made by the converter in this process; an ONNX source needs no TensorFlow."""
    calibration = {name: folder / f"{name}.npy" for name in fed or {}}
    (folder / "work").mkdir(parents=True)
    for name, array in (fed or {}).items():
        np.save(calibration[name], array)
    request = ConversionRequest(
        source=source,
        signature="serving_default",
        schemes={scheme: folder / f"onnx-{scheme}" for scheme in schemes},
        sample_shapes={},
        calibration=calibration,
        work=folder / "work",
        format="onnx",
    )
    assert list(resolve_name(CONVERTERS["onnx"].convert)(request)) == list(schemes)
    return {f"onnx-{scheme}": folder / f"onnx-{scheme}" / "model.onnx" for scheme in schemes}


_NETWORK = """
import sys

import torch

torch.manual_seed(0)


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.slide = torch.nn.Conv2d(2, 6, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(6)
        self.deep = torch.nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
        self.deep_norm = torch.nn.BatchNorm2d(6)
        self.dense = torch.nn.Linear(6, 5)

    def forward(self, picture):
        hidden = torch.relu(self.norm(self.slide(picture)))
        hidden = torch.nn.functional.relu6(self.deep_norm(self.deep(hidden)))
        return torch.softmax(4 * self.dense(hidden.mean((2, 3))), 1)


network = Network()
network(3 * torch.randn(64, 2, 1, 1) + torch.randn(64, 2, 8, 8))  # gives the norms something to know
network.eval()
path, dynamo = sys.argv[1], sys.argv[2] == "dynamo"
batch = torch.export.Dim("batch")
opened = {"dynamic_shapes": ({0: batch},)} if dynamo else {"dynamic_axes": {"picture": {0: "batch"}}}
names = {"input_names": ["picture"], "output_names": ["scores"]}
torch.onnx.export(network, (torch.randn(2, 2, 8, 8),), path, dynamo=dynamo, external_data=False, **names, **opened)
"""


def exported_by_torch(path: Path, exporter: str) -> Path:
    """A small network with batch norms and an open batch, of the same samples and classes as `pictures`.

    Args:
        path: Where it is written.
        exporter: `script`, or `dynamo`, which needs onnxscript.
    """
    for package in ("torch", *(("onnxscript",) if exporter == "dynamo" else ())):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}, to export a model: 'pip install torch onnxscript'")
    done = subprocess.run(
        [sys.executable, "-c", _NETWORK, str(path), exporter], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return path
