"""Opens ONNX files: a protobuf of onnx.proto3, and external files with its weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.errors import ArtifactError, QuantlabError

__all__ = [
    "FLOATS",
    "TWO_GIGABYTES",
    "attribute",
    "dtype_name",
    "external_files",
    "graph_inputs",
    "graphs_of",
    "inner_graphs",
    "read_onnx",
    "readers_of",
    "save_onnx",
    "shape_of",
]

FLOATS = frozenset({"bfloat16", "float16", "float32", "float64"})
"""Data types of weights that are not codes, as named by `dtype_name`."""

TWO_GIGABYTES = 2**31 - 1
"""Largest size of a protobuf; models above it must store weights in a separate file."""


def read_onnx(path: Path, *, weights: bool = True, error: type[QuantlabError] = ArtifactError) -> Any:
    """Read an `.onnx` file as an `onnx.ModelProto`.

    Args:
        path: The file; external data is read only from its folder.
        weights: Whether to load the external data too.
        error: Exception class for invalid files.

    Raises:
        error: If the file or its external data is missing, truncated, invalid, or outside the folder.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except OSError as refused:
        raise error(f"'{path}' could not be read ({refused.strerror}); give an .onnx file") from refused
    except (DecodeError, ValueError) as refused:
        raise error(f"'{path}' is not a complete ONNX file ({refused}); export or copy it again") from refused
    if not model.graph.node and not model.graph.output:
        raise error(f"'{path}' contains no graph, so it is not an ONNX model; export or copy it again")
    for part in _external(path, model, error):
        if not part.file.is_file():
            raise error(
                f"'{path}' stores weights in '{part.file.name}', which is missing in its folder; copy that file there "
                f"too"
            )
        if part.file.stat().st_size < part.end:
            raise error(
                f"'{part.file.name}', which holds weights of '{path}', has {part.file.stat().st_size:,} bytes, but "
                f"'{part.tensor}' ends at byte {part.end:,}; copy it again"
            )
    if weights:
        try:
            onnx.load_external_data_for_model(model, str(path.parent))
        except (OSError, ValueError, onnx.checker.ValidationError) as refused:
            raise error(
                f"the external data of '{path}' could not be read ({' '.join(str(refused).split())[:200]}); "
                f"copy it again"
            ) from refused
    return model


def external_files(path: Path, error: type[QuantlabError] = ArtifactError) -> list[Path]:
    """The file and all files with its external data, sorted by name; raises like `read_onnx`."""
    model = read_onnx(path, weights=False, error=error)
    return sorted({path, *(part.file for part in _external(path, model, error))})


@dataclass(frozen=True, slots=True)
class _External:
    """Location of a tensor's values in an external file."""

    tensor: str
    file: Path
    end: int
    """Offset of the end of the values, if the model states their length."""


def _external(path: Path, model: Any, error: type[QuantlabError]) -> Iterator[_External]:
    folder = path.parent.resolve()
    for graph in graphs_of(model.graph):
        for tensor in _tensors(graph):
            said = {entry.key: entry.value for entry in tensor.external_data}
            if "location" not in said:
                continue
            location = said["location"]
            if Path(location).is_absolute() or folder not in (folder / location).resolve().parents:
                raise error(
                    f"'{path}' refers to weights in '{location}', which is outside its folder; save it again with "
                    f"onnx.save(model, 'model.onnx', save_as_external_data=True)"
                )
            sizes = [said.get(key, "") for key in ("offset", "length")]
            end = sum(int(size) for size in sizes if size.isdecimal())
            yield _External(tensor.name, path.parent / location, end)


def save_onnx(model: Any, path: Path) -> None:
    """Write a model; weights go to a separate file if they exceed the size limit of a protobuf."""
    import onnx

    onnx.save(model, path, save_as_external_data=model.ByteSize() > TWO_GIGABYTES)


def graphs_of(graph: Any) -> Iterator[Any]:
    """A graph and, recursively, the subgraphs of its loops and conditions."""
    yield graph
    for node in graph.node:
        for inner in inner_graphs(node):
            yield from graphs_of(inner)


def inner_graphs(node: Any) -> Iterator[Any]:
    """The subgraphs that a node contains directly."""
    for held in node.attribute:
        if held.HasField("g"):
            yield held.g
        yield from held.graphs


def readers_of(graph: Any) -> dict[str, list[Any]]:
    """Tensor → the nodes of one graph that read it, in file order; a node appears once per input that reads it."""
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    return readers


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for held in node.attribute:
            if held.HasField("t"):
                yield held.t


def graph_inputs(model: Any) -> list[Any]:
    """The model's inputs without weights, which files before IR version 4 list as inputs too."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def shape_of(value: Any) -> tuple[int | None, ...]:
    """Shape of a ValueInfoProto, with None for open sizes; empty if it has no shape."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return ()
    return tuple(int(size.dim_value) if size.HasField("dim_value") else None for size in tensor.shape.dim)


def dtype_name(number: int) -> str:
    """NumPy's name of a TensorProto.DataType, or ONNX's name in lower case if NumPy has none."""
    import onnx

    name: str = onnx.TensorProto.DataType.Name(number).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def attribute(node: Any, name: str, default: Any) -> Any:
    """The value of a node's attribute, decoded by `onnx.helper`; `default` if it is not set."""
    import onnx

    return next((onnx.helper.get_attribute_value(held) for held in node.attribute if held.name == name), default)
