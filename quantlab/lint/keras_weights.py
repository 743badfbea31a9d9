"""The process that summarizes the weights of a Keras file: `python -m quantlab.lint.keras_weights FILE`.

Reads from standard input a JSON object, layer → class. Prints one JSON object: `weights`, a list of `WeightFacts`, or
`error`. The layout is that of Keras 2 (`model_weights/<layer>/…`, with the attribute `weight_names`) or of a `.keras`
archive (`…/vars/<number>`, in which the attribute `name` of `vars` is that of the layer).
"""

import json
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from quantlab.lint.subject import KERAS_ROLES, Role, WeightFacts
from quantlab.lint.weights import facts_of

__all__: list[str] = []

_ORDERS: Mapping[str, tuple[str, ...]] = {
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "LayerNormalization": ("gamma", "beta"),
    "DepthwiseConv1D": ("depthwise_kernel", "bias"),
    "DepthwiseConv2D": ("depthwise_kernel", "bias"),
    "SeparableConv1D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "Embedding": ("embeddings",),
    **dict.fromkeys(("GRUCell", "LSTMCell", "SimpleRNNCell"), ("kernel", "recurrent_kernel", "bias")),
    **dict.fromkeys(
        ("Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "Dense"),
        ("kernel", "bias"),
    ),
}
"""Class → its weights in the order in which Keras 3 numbers them."""


def _summaries(path: Path, kinds: Mapping[str, str]) -> Iterator[WeightFacts]:
    import h5py

    if path.suffix == ".keras" or (zipfile.is_zipfile(path) and not h5py.is_hdf5(path)):
        with tempfile.TemporaryFile() as copy:
            with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as packed:
                while block := packed.read(1 << 20):
                    copy.write(block)
            with h5py.File(copy, "r") as file:
                _refuse_growth(file, path)
                yield from _of_archive(file, kinds)
    else:
        with h5py.File(path, "r") as file:
            _refuse_growth(file, path)
            yield from _of_h5(_weights_group(file), kinds)


def _weights_group(file: Any) -> Any:
    """The group of a model's weights in its file; a link to another file is not followed."""
    import h5py

    link = file.get("model_weights", getlink=True)
    return file["model_weights"] if isinstance(link, h5py.HardLink) else file


_MOST_GROWTH = 100
"""How many times its size a file may unpack to; Keras stores weights without packing them."""


def _refuse_growth(file: Any, path: Path) -> None:
    """Check the sizes that datasets declare, before any is read."""
    whole = sum(dataset.nbytes for _, dataset in _datasets(file))
    if whole > _MOST_GROWTH * path.stat().st_size:
        raise ValueError(f"its weights would take {whole / 1e6:,.0f} MB, which no Keras writes into such a file")


def _of_h5(group: Any, kinds: Mapping[str, str]) -> Iterator[WeightFacts]:
    for place, dataset in _datasets(group):
        parts = place.removesuffix(":0").split("/")
        owner = next((part for part in reversed(parts[:-1]) if part in kinds), parts[0])
        yield _facts(owner, parts[-1], dataset, kinds)


def _of_archive(group: Any, kinds: Mapping[str, str]) -> Iterator[WeightFacts]:
    for place, dataset in _datasets(group):
        *scopes, parent, number = place.split("/")
        if "optimizer" in scopes[:1] or parent != "vars" or "seed_generator" in scopes:
            continue
        owner = str(dataset.parent.attrs.get("name") or scopes[-1])
        kind = kinds.get(owner, "")
        order = list(_ORDERS.get(kind, ()))
        if kind.endswith("Normalization") and len(dataset.parent) < len(order):
            order = order[-len(dataset.parent) :] if len(dataset.parent) == 2 else []
        name = order[int(number)] if number.isdigit() and int(number) < len(order) else number
        yield _facts(owner, name, dataset, kinds)


def _datasets(group: Any) -> Iterator[tuple[str, Any]]:
    """Datasets below a group that lie in the file itself, with their paths; links elsewhere are not followed."""
    import h5py

    found: list[tuple[str, Any]] = []
    group.visititems(
        lambda name, entry: found.append((name, entry)) if isinstance(entry, h5py.Dataset) else None
    )  # visits hard links alone
    for name, dataset in found:
        if not dataset.external and not dataset.is_virtual:
            yield name, dataset


def _facts(owner: str, name: str, dataset: Any, kinds: Mapping[str, str]) -> WeightFacts:
    role = KERAS_ROLES.get(name, "constant")
    values = dataset[()]
    return facts_of(f"{owner}/{name}", values, _axes(role, values.ndim, kinds.get(owner, "")), role=role, owner=owner)


def _axes(role: Role, rank: int, kind: str) -> tuple[int, ...]:
    if role == "depthwise":
        return tuple(range(rank))[-2:]
    if role != "kernel" or rank < 2:
        return ()
    return (rank - 2,) if kind.endswith("Transpose") else (rank - 1,)


def _answer(path: Path, kinds: Mapping[str, str]) -> dict[str, Any]:
    try:
        return {"weights": [asdict(facts) for facts in _summaries(path, kinds)]}
    except Exception as error:  # noqa: BLE001 (the libraries raise anything on a damaged file)
        return {"error": " ".join(str(error).split())[:200] or type(error).__name__}


if __name__ == "__main__":
    print(json.dumps(_answer(Path(sys.argv[1]), json.load(sys.stdin))))
