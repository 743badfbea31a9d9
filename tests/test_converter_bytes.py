"""Every byte of the weight files of tfjs variants equals the official converter's output for the same SavedModels."""

import json

import pytest
from contracts import convert
from official import converted_officially

from quantlab_converters import ConversionRequest

FLAGS = {
    "float32": [],
    "float16": ["--quantize_float16=*"],
    "uint8": ["--quantize_uint8=*"],
    "uint16": ["--quantize_uint16=*"],
}


@pytest.fixture(scope="module")
def saved_models(workbench, converted, data_folder):
    small = {name: workbench.opened(name).source for name in ("conv", "sharded")}
    (fashion,) = converted("fashion").glob("model/*/saved_model")  # which the variants of studies are made from
    return {**small, "fashion": fashion, "keywords": data_folder / "mlperf-tiny" / "kws_ref_model"}


@pytest.fixture(scope="module")
def official(saved_models, tmp_path_factory):
    """Model and scheme → the folder that the official converter wrote."""
    root = tmp_path_factory.mktemp("official")
    folders = {(name, scheme): root / name / scheme for name in saved_models for scheme in FLAGS}
    commands = [
        ["--input_format=tf_saved_model", *FLAGS[scheme], str(saved_models[name]), str(folder)]
        for (name, scheme), folder in folders.items()
    ]
    converted_officially(commands, root / "official.log")
    return folders


@pytest.mark.parametrize("name", ["conv", "sharded", "fashion", "keywords"])
def test_every_file_is_the_official_converters(name, saved_models, official, tmp_path):
    schemes = {scheme: tmp_path / scheme for scheme in FLAGS}
    request = ConversionRequest(saved_models[name], "serving_default", schemes, {}, {}, tmp_path / "work")
    assert [conversion.reason for conversion in convert("tfjs", request)] == [None] * len(schemes)
    for scheme, ours in schemes.items():
        theirs = official[name, scheme]
        assert sorted(file.name for file in ours.iterdir()) == sorted(file.name for file in theirs.iterdir())
        for file in theirs.glob("*.bin"):
            assert (ours / file.name).read_bytes() == file.read_bytes(), f"{scheme}/{file.name}"
        # As values: its own order of keys is another in each process.
        assert json.loads((ours / "model.json").read_text()) == json.loads((theirs / "model.json").read_text())


def test_the_models_have_what_could_differ(official):
    """Several shards, weights that are not quantized, and a tensor whose values are all alike."""
    manifest = json.loads((official["sharded", "uint8"] / "model.json").read_text())["weightsManifest"][0]
    assert {weight["dtype"] for weight in manifest["weights"]} == {"float32", "int32", "bool"}
    assert any(weight.get("quantization", {}).get("scale") == 1.0 for weight in manifest["weights"])
    assert len(list(official["sharded", "float32"].glob("*.bin"))) == 2
