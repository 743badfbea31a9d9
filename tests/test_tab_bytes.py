"""The page in a tab makes the same bytes from a dropped tfjs model as the converter makes from that artifact."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from contracts import convert
from tab_drops import Dropping, dropped, run_tab
from tab_graphs import write_random

from quantlab.formats import FORMATS
from quantlab.models import ModelOptions, narrow_dtypes
from quantlab.models.float_copy import float_artifact
from quantlab.settings import SETTINGS
from quantlab_converters import ConversionRequest

pytestmark = pytest.mark.starts_children

SCHEMES = {
    "tfjs": ("float32", "float16", "uint8", "uint16", "uint8-per-channel"),
    "tfjs-layers": ("float32", "float16", "uint8", "uint16"),
}
SMALL = ("conv", "sharded", "half", *(f"random {seed}" for seed in range(10)), "layers", "half layers")
HALVES = ("antispoof", "blazeface", "emotion", "gear-e1")
REAL = ("fashion", "flowers", "keywords", *HALVES)


@dataclass(frozen=True)
class Pair:
    """What both made of one artifact."""

    format: str
    python: Mapping[str, Path]
    """Setting → its folder."""
    tab: Mapping[str, Path]
    answer: Mapping[str, Any]


def made_by_python(artifact: Path, format_name: str, folder: Path) -> dict[str, Path]:
    """Each setting of an artifact, as a study makes it: from the float copy of narrow weights."""
    format_ = FORMATS[format_name]
    narrow = narrow_dtypes(format_.inspect(artifact).weights)
    source = float_artifact(artifact, format_, narrow, folder / "float")
    schemes = {scheme: folder / f"{format_name}-{scheme}" for scheme in SCHEMES[format_name]}
    request = ConversionRequest(
        source, "serving_default", schemes, {}, {}, folder / "work", model=artifact, format=format_name
    )
    assert [one.reason for one in convert(format_name, request)] == [None] * len(schemes)
    return {path.name: path for path in schemes.values()}


def compared(artifacts: Mapping[str, tuple[str, Path]], root: Path) -> dict[str, Pair]:
    drops = [Dropping(dropped(path), str(root / name / "tab")) for name, (_, path) in artifacts.items()]
    return {
        name: Pair(
            format_name,
            made_by_python(path, format_name, root / name / "python"),
            {folder.name: folder for folder in (root / name / "tab").iterdir()},
            answer,
        )
        for (name, (format_name, path)), answer in zip(artifacts.items(), run_tab(drops, root), strict=True)
    }


@pytest.fixture(scope="module")
def pairs(workbench, tmp_path_factory):
    """Name of a small artifact → what was made of it."""
    random = tmp_path_factory.mktemp("random")
    graphs = {name: ("tfjs", workbench.float32(name, "tfjs").path) for name in ("conv", "sharded")}
    graphs["half"] = "tfjs", workbench.variants("conv", "tfjs")["float16"].path
    for name in (name for name in SMALL if name.startswith("random")):
        graphs[name] = "tfjs", write_random(random / name, int(name.split()[1]))
    layers = {
        "layers": ("tfjs-layers", workbench.float32("keras2_conv", "tfjs-layers").path),
        "half layers": ("tfjs-layers", workbench.variants("keras2_conv", "tfjs-layers")["float16"].path),
    }
    return compared(graphs | layers, tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def real_pairs(workbench, data_folder, tmp_path_factory):
    """Name of a published artifact, or of one that was made from a published model → what was made of it."""
    root = tmp_path_factory.mktemp("real")
    models = {
        "fashion": data_folder / "fashion-mnist" / "fashion_dscnn.keras",
        "flowers": data_folder / "flowers" / "mobilenet_v1_0.25_224_tl.h5",
        "keywords": data_folder / "mlperf-tiny" / "kws_ref_model",
    }
    artifacts = {name: ("tfjs", of_model(workbench, path, root / "made" / name)) for name, path in models.items()}
    halves = {name: ("tfjs", data_folder / "tfjs-graph-float16" / f"{name}.json") for name in HALVES}
    return compared(artifacts | halves, root)


def of_model(workbench, model: Path, folder: Path) -> Path:
    """The float32 graph-model of a model."""
    opened, schemes = workbench.open(model, ModelOptions()), {"float32": folder}
    request = ConversionRequest(opened.source, opened.signature, schemes, {}, {}, folder / "work", model=model)
    assert [one.reason for one in convert("tfjs", request)] == [None]
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def check_bytes(pair: Pair) -> None:
    assert pair.answer["refused"] == []
    assert list(pair.python) == [f"{pair.format}-{scheme}" for scheme in SCHEMES[pair.format]]
    assert sorted(pair.tab) == sorted(pair.python)
    for setting, folder in pair.python.items():
        ours, theirs = contents(pair.tab[setting]), contents(folder)
        assert sorted(ours) == sorted(theirs), setting
        assert [file for file in theirs if ours[file] != theirs[file]] == [], setting
        stored = FORMATS[pair.format].inspect(FORMATS[pair.format].served(folder)).weights
        assert pair.answer["settings"][setting]["stored"] == dict(stored), setting
        sizes = {"bytes": sum(map(len, theirs.values())), "gzip": sum(map(gzip_bytes, theirs.values()))}
        assert pair.answer["settings"][setting]["download"] == sizes, setting


def gzip_bytes(data: bytes) -> int:
    """As `quantlab.formats.describe` counts it, in parts of 1 MiB."""
    compressor = zlib.compressobj(level=9, wbits=31)
    parts = [compressor.compress(data[start : start + 2**20]) for start in range(0, len(data), 2**20)]
    return sum(map(len, parts)) + len(compressor.flush())


@pytest.mark.parametrize("name", SMALL)
def test_every_byte_of_every_setting_is_the_converters(pairs, name):
    check_bytes(pairs[name])


@pytest.mark.parametrize("name", REAL)
def test_every_byte_of_a_real_model_is_the_converters(real_pairs, name):
    check_bytes(real_pairs[name])


def test_the_random_models_have_what_could_differ(pairs):
    """Kernels with one scale, with scales on the kernel and on an output, with zeros of their own, and half floats."""
    ops, zeros, stored = set(), set(), set()
    for name in SMALL:
        if not name.startswith("random"):
            continue
        document = json.loads((pairs[name].python["tfjs-uint8-per-channel"] / "model.json").read_text())
        ops |= {node["op"] for node in document["modelTopology"]["node"]}
        for entry in document["weightsManifest"][0]["weights"]:
            quantization = entry.get("quantization", {})
            stored.add((entry["dtype"], quantization.get("dtype")))
            zeros.add(type(quantization.get("min")))
    assert {"Mul", "Sub", "BiasAdd", "Conv2D", "_FusedConv2D"} <= ops
    assert {("float32", "uint8"), ("float32", "float16"), ("float32", None), ("string", None), ("bool", None)} <= stored
    assert {int, float} <= zeros


def test_a_layers_model_of_an_older_keras_keeps_its_layers(data_folder, tmp_path):
    """`tf_keras` writes the configuration anew; the page keeps it, and stores the same bytes of weights."""
    artifact = data_folder / "tfjs-layers-translator"
    pair = compared({"translator": ("tfjs-layers", artifact)}, tmp_path)["translator"]
    given = json.loads((artifact / "model.json").read_text())
    for scheme in SCHEMES["tfjs-layers"][1:]:
        ours, theirs = contents(pair.tab[f"tfjs-layers-{scheme}"]), contents(pair.python[f"tfjs-layers-{scheme}"])
        shards = [name for name in theirs if name.endswith(".bin")]
        assert [ours[name] for name in shards] == [theirs[name] for name in shards]
        ours, theirs = (json.loads(files["model.json"]) for files in (ours, theirs))
        assert ours["modelTopology"] == given["modelTopology"]
        (ours,), (theirs,) = (document["weightsManifest"] for document in (ours, theirs))
        assert ours["paths"] == theirs["paths"]
        assert [named_alike(entry) for entry in ours["weights"]] == [named_alike(entry) for entry in theirs["weights"]]


def named_alike(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of the manifest without the name that newer versions of Keras give to a cell."""
    return {**entry, "name": entry["name"].replace("/lstm_cell/", "/")}


def test_the_settings_have_their_names_and_words(pairs):
    for pair in (pairs["conv"], pairs["layers"]):
        said = {name: setting["words"] for name, setting in pair.answer["settings"].items()}
        known = {name: SETTINGS[name].description for name in pair.python}
        assert said == known
