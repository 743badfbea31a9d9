"""Reader for SavedModels: the ports of the signature that is served, and the variables."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from quantlab.errors import ArtifactError
from quantlab.formats.contract import Contents, files_below
from quantlab.formats.finite import note_float_limits
from quantlab.formats.savedmodel.variables import DTYPES, decoded, list_variables, read_variable
from quantlab.formats.wire import Fields
from quantlab.names import listed
from quantlab.types import Port, StoredWeight
from quantlab.types.executor_options import ExecutorOptions

__all__ = [
    "SERVED",
    "SIGNATURE",
    "inspect",
    "list_weights",
    "loaded_files",
    "options",
    "recognizes",
    "served",
    "signature_of",
]

SERVED = "saved_model"
"""Folder of the SavedModel in the folder of a converter."""
SIGNATURE = "quantlab-signature.txt"
"""File beside it with the name of its signature; no user writes one of this name."""
_GRAPH = "saved_model.pb"
_DEFAULT = "serving_default"
_NOT_LOADED = frozenset({"keras_metadata.pb", "fingerprint.pb"})
"""Files that no server reads: one is for Keras alone, and the other a hash that is made anew at each export."""


def recognizes(path: Path) -> bool:
    """Whether a folder holds a `saved_model.pb`."""
    return (path / _GRAPH).is_file()


def served(folder: Path) -> Path:
    """The SavedModel in the folder of a converter, or in the folder of a version that a server reads."""
    return folder / SERVED


def loaded_files(path: Path) -> list[Path]:
    """The files that are loaded, sorted by name."""
    return [file for file in files_below(path) if file.name not in _NOT_LOADED]


def options(path: Path) -> ExecutorOptions:
    """The SavedModel and its signature, by which executors call it and read its tensors.

    Raises:
        ArtifactError: As in `inspect`.
    """
    return ExecutorOptions(saved_model=str(path.absolute()), signature=_chosen(path)[0])


def inspect(path: Path) -> Contents:
    """The ports of the signature, and the bytes of the variables.

    Raises:
        ArtifactError: If it is not a SavedModel for serving, or its variables cannot be read.
    """
    _, inputs, outputs = signature_of(path)
    weights: dict[str, int] = {}
    notes: list[str] = []
    for variable in list_variables(path):
        weights[variable.dtype] = weights.get(variable.dtype, 0) + variable.size_bytes
        if variable.dtype in _FLOATS:
            values = read_variable(variable)
            notes += note_float_limits(variable.name, decoded(variable, values), variable.dtype)
    return Contents(inputs=inputs, outputs=outputs, weights=weights, notes=tuple(notes))


_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})


def signature_of(path: Path) -> tuple[str, tuple[Port, ...], tuple[Port, ...]]:
    """The name of the signature that is served, and its inputs and outputs, sorted by name, as in `inspect`.

    Raises:
        ArtifactError: If it is not a SavedModel for serving.
    """
    name, signature = _chosen(path)
    return name, _ports(signature.entries(1)), _ports(signature.entries(2))


def list_weights(path: Path) -> Iterator[StoredWeight]:
    """Every variable; constants inside the graph are not listed."""
    for variable in list_variables(path):
        stored = read_variable(variable)
        yield StoredWeight(
            name=variable.name,
            keys=(variable.name,),
            shape=variable.shape,
            dtype=variable.dtype,
            size_bytes=variable.size_bytes,
            stored=stored,
            values=decoded(variable, stored),
        )


def _chosen(path: Path) -> tuple[str, Fields]:
    """The name of the signature that is served, and its definition.

    It is the one that a converter noted beside the folder, else the only one, else `serving_default`.
    """
    signatures = _signatures(path)
    noted = path.parent / SIGNATURE
    if path.name == SERVED and noted.is_file():
        name = noted.read_text(encoding="utf-8").strip()
    else:
        name = next(iter(signatures)) if len(signatures) == 1 else _DEFAULT
    if name not in signatures:
        raise ArtifactError(
            f"the SavedModel '{path}' has no signature '{name}' (it has {listed([*signatures]) or 'none'}); export it "
            f"again with one"
        )
    return name, signatures[name]


def _signatures(path: Path) -> Mapping[str, Fields]:
    """The signatures of the graph for serving; not those that TensorFlow adds to initialize it."""
    for graph in Fields((path / _GRAPH).read_bytes()).messages(2):
        if "serve" in graph.message(1).texts(4):
            return {name: one for name, one in sorted(graph.entries(5).items()) if not name.startswith("__")}
    raise ArtifactError(
        f"'{path}' holds no graph with the tag 'serve', which servers load; export it with tf.saved_model.save"
    )


def _ports(entries: Mapping[str, Fields]) -> tuple[Port, ...]:
    return tuple(
        Port(
            name=name,
            tensor=(info.texts(1) or [""])[-1],
            position=place,
            shape=_shape(info.message(3)),
            dtype=DTYPES.get(info.number(2), f"type {info.number(2)}"),
        )
        for place, (name, info) in enumerate(sorted(entries.items()))
    )


def _shape(shape: Fields) -> tuple[int | None, ...]:
    """Sizes; None where the batch or another size is open, and nothing for an unknown rank."""
    sizes = [size.number(1) for size in shape.messages(2)]
    # -1 has all 64 bits set, as a negative integer in protobuf has.
    return tuple(None if size >= 1 << 63 else size for size in sizes)
