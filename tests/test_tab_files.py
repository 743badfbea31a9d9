"""The page in a tab reads artifacts and samples as Python does, and refuses in one sentence what is cut short."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tab_drops import Dropping, dropped, run_tab
from tab_graphs import write_random

from quantlab.errors import SamplesError
from quantlab.formats import FORMATS
from quantlab.samples import SampleOptions, check_labels, open_samples
from quantlab.settings import SETTINGS
from quantlab.types import Port, TensorSpec

pytestmark = pytest.mark.starts_children

RANDOM = np.random.default_rng(3)


# Artifacts


PUBLISHED = (
    *(f"tfjs-graph-float16/{name}.json" for name in ("antispoof", "blazeface", "emotion", "gear-e1")),
    "tfjs-layers-translator",
    *(f"mlperf-tiny/{name}.tflite" for name in ("ad01_fp32", "ad01_int8", "kws_ref_model", "vww_96_int8")),
    *(f"mlperf-tiny/{name}.tflite" for name in ("pretrainedResnet_quant", "vww_96_float")),
    *(f"tflite-lstm/{name}.tflite" for name in ("trained_lstm", "trained_lstm_int8")),
)


@pytest.fixture(scope="module")
def read(workbench, data_folder, tmp_path_factory):
    """Name of an artifact → its path, and what the page says."""
    root = tmp_path_factory.mktemp("read")
    artifacts = {name: data_folder / name for name in PUBLISHED}
    artifacts |= {f"tflite-{scheme}": made.path for scheme, made in workbench.variants("conv", "tflite").items()}
    artifacts |= {f"onnx-{scheme}": made.path for scheme, made in workbench.variants("conv", "onnx").items()}
    artifacts |= {f"{name} onnx": workbench.float32(name, "onnx").path for name in ("crowded", "open_length")}
    answers = run_tab([Dropping(dropped(path), cuts=12) for path in artifacts.values()], root)
    return {name: (path, answer) for (name, path), answer in zip(artifacts.items(), answers, strict=True)}


def test_inputs_outputs_and_weights_are_those_that_python_finds(read):
    for name, (path, answer) in read.items():
        format_ = next(one for one in FORMATS.values() if one.recognizes(path))
        found = format_.inspect(path)
        artifact = answer["artifact"]
        assert answer["refused"] == [], name
        assert artifact["format"] == format_.name
        assert artifact["stored"] == dict(found.weights), name
        for side in ("inputs", "outputs"):
            assert artifact[side] == [as_spec(port) for port in getattr(found, side)], (name, side)


def as_spec(port: Port) -> dict[str, Any]:
    """A port as the page describes it."""
    codes = port.codes and {
        "scale": port.codes.scale,
        "zero_point": port.codes.zero_point,
        "lowest": port.codes.lowest,
        "highest": port.codes.highest,
        "offset": port.codes.offset,
    }
    spec = {
        "name": port.name,
        "shape": list(port.shape[1:]),
        "dtype": "float32" if port.codes else port.dtype,
        "tensor": port.tensor,
        "position": port.position,
        "codes": codes,
    }
    return {**spec, "batch": port.shape[0]} if port.shape else spec


def test_a_file_that_is_cut_anywhere_is_refused_in_one_sentence(read):
    sentences = 0
    for name, (_, answer) in read.items():
        for cut in answer["cut"]:
            assert bool(cut["refused"]) != cut["read"] or cut["read"], (name, cut)
            for reason in cut["refused"]:
                check_sentence(reason, (name, cut["place"]))
            sentences += len(cut["refused"])
        assert any(not cut["read"] for cut in answer["cut"]), name
    assert sentences > 200


def check_sentence(reason: str, where: object) -> None:
    assert re.fullmatch(r"['A-Z][^\n]{10,500}\.", reason), (where, reason)
    assert not re.search(r"undefined|\[object|\bat \w+ \(|NaN|is not a function", reason), (where, reason)


def test_float32_settings_have_the_words_that_python_has(workbench, tmp_path):
    artifacts = [workbench.float32("conv", format_name).path for format_name in ("tflite", "onnx")]
    answers = run_tab([Dropping(dropped(path), str(tmp_path / path.stem)) for path in artifacts], tmp_path)
    for name, answer in zip(("tflite-float32", "onnx-float32"), answers, strict=True):
        said = answer["settings"][name]
        assert (said["words"], said["why"]) == (SETTINGS[name].description, None)


# Arrays


ARRAYS = {
    "float32": RANDOM.normal(size=(3, 4)).astype(np.float32),
    "float16": np.arange(-12, 12).reshape(2, 3, 4).astype(np.float16) / 7,
    "float64": RANDOM.normal(size=5),
    "int8": np.int8([[-128, 127]]),
    "uint64": np.uint64([2**64 - 1, 0]),
    "int64": np.int64([[-(2**63)], [2**63 - 1]]),
    "bool": np.array([[True, False, True]]),
    "scalar": np.float32(2.5),
    "empty": np.zeros((0, 3), np.uint16),
    "large": np.zeros((1_234_567,), np.uint8),
    "big-endian": np.arange(6, dtype=">f4").reshape(2, 3),
    "big-endian integers": np.arange(6, dtype=">i8").reshape(3, 2),
    "columns": np.asfortranarray(np.arange(24, dtype=np.int32).reshape(2, 3, 4)),
    "big columns": np.asfortranarray(np.arange(24, dtype=">u2").reshape(4, 3, 2)),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed], ids=["stored", "deflated"])
def test_arrays_are_read_and_written_as_numpy_does(tmp_path, save):
    save(tmp_path / "data.npz", **ARRAYS)
    (answer,) = run_tab([Dropping({"data.npz": str(tmp_path / "data.npz")}, str(tmp_path / "again"))], tmp_path)
    assert answer["refused"] == []
    assert [one["name"] for one in answer["arrays"]] == list(ARRAYS)
    for name, values in ARRAYS.items():
        plain = np.array(values, values.dtype.newbyteorder("<"), order="C")
        np.save(tmp_path / "expected.npy", plain)
        assert (tmp_path / "again" / f"{name}.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes(), name


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)], ids=str)
def test_every_version_of_npy_is_read(tmp_path, version):
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array(file, ARRAYS["columns"], version=version)
    (answer,) = run_tab([Dropping({"x.npy": str(tmp_path / "x.npy")}, str(tmp_path / "again"))], tmp_path)
    assert answer["arrays"] == [{"name": "x", "dtype": "int32", "shape": [2, 3, 4]}]
    assert np.array_equal(np.load(tmp_path / "again" / "x.npy"), ARRAYS["columns"])


def test_arrays_that_are_cut_or_hold_no_numbers_are_refused_in_one_sentence(tmp_path):
    drops = []
    for name, save in {"stored.npz": np.savez, "deflated.npz": np.savez_compressed}.items():
        save(tmp_path / name, float32=ARRAYS["float32"], columns=ARRAYS["columns"])
        drops.append(Dropping({name: str(tmp_path / name)}, cuts=40))
    refused = {"objects": np.array([{}, 1], object), "texts": np.array(["a"]), "complex": np.ones(2, np.complex64)}
    for name, values in refused.items():
        np.save(tmp_path / f"{name}.npy", values, allow_pickle=True)
        drops.append(Dropping({f"{name}.npy": str(tmp_path / f"{name}.npy")}))
    np.save(tmp_path / "records.npy", np.zeros(2, [("a", "f4"), ("b", "i4")]))
    drops.append(Dropping({"records.npy": str(tmp_path / "records.npy")}))
    answers = run_tab(drops, tmp_path)
    for answer in answers[:2]:
        assert len(answer["cut"]) == 40
        for cut in answer["cut"]:
            assert not cut["read"]
            (reason,) = cut["refused"]
            check_sentence(reason, cut["place"])
    remedy = "and only numbers and booleans are read; save plain arrays with numpy.save."
    assert [answer["refused"] for answer in answers[2:]] == [
        [{"path": "objects.npy", "reason": f"It holds Python objects, which are never unpickled, {remedy}"}],
        [{"path": "texts.npy", "reason": f"It holds texts, {remedy}"}],
        [{"path": "complex.npy", "reason": f"It holds values of NumPy's type c8, {remedy}"}],
        [{"path": "records.npy", "reason": f"It holds records, {remedy}"}],
    ]


# Samples


IMAGE = {"x": RANDOM.normal(size=(6, 8, 8, 2)).astype(np.float32)}
CLASSES = np.array([0, 4, 1, 1, 2, 3])
SAMPLES = {
    "floats without labels": IMAGE,
    "by the name of the input": {"image": IMAGE["x"], "y": CLASSES},
    "labels in few bits": {**IMAGE, "labels": CLASSES.astype(np.uint8)},
    "labels in a column": {**IMAGE, "y": CLASSES[:, None].astype(np.int32)},
    "labels that are one-hot": {**IMAGE, "y": np.eye(5, dtype=np.float32)[CLASSES]},
    "labels that are true or false": {**IMAGE, "y": CLASSES > 1},
    "doubles": {"x": IMAGE["x"].astype(np.float64) / 3, "y": CLASSES},
    "half floats": {"x": IMAGE["x"].astype(np.float16)},
    "pixels": {"x": RANDOM.integers(0, 256, (6, 8, 8, 2)).astype(np.uint8), "y": CLASSES},
    "long integers": {"x": RANDOM.integers(-(2**24), 2**24, (6, 8, 8, 2)), "y": CLASSES},
    "truths": {"x": IMAGE["x"] > 0},
    "other arrays beside labels": {**IMAGE, "y": CLASSES, "weights": np.ones(6)},
}
REFUSED = {
    "another shape": {"x": IMAGE["x"][..., 0], "y": CLASSES},
    "channels first": {"x": np.moveaxis(IMAGE["x"], -1, 1)},
    "a channel too many": {"x": IMAGE["x"][..., None]},
    "as many values": {"x": IMAGE["x"].reshape(6, 4, 32)},
    "a single number": {"x": np.float32(1)},
    "no samples": {"x": IMAGE["x"][:0]},
    "too few labels": {**IMAGE, "y": CLASSES[:5]},
    "a class that the output does not have": {**IMAGE, "y": CLASSES + 1},
    "labels under another name": {**IMAGE, "classes": CLASSES},
    "an integer that is not exact": {"x": np.full((6, 8, 8, 2), 2**24 + 1)},
    "not a number": {"x": np.where(IMAGE["x"] == IMAGE["x"][4, 0, 0, 0], np.nan, IMAGE["x"])},
    "infinity": {"x": np.where(IMAGE["x"] == IMAGE["x"][2, 0, 0, 0], np.inf, IMAGE["x"])},
    "too large": {"x": np.full((6, 8, 8, 2), 1e39)},
}


@pytest.fixture(scope="module")
def sampled(workbench, tmp_path_factory):
    """Name of arrays → what the page says of them as samples of the small model, and the file."""
    root = tmp_path_factory.mktemp("samples")
    artifact, drops, files = dropped(workbench.float32("conv", "tfjs").path), [], {}
    for name, arrays in (SAMPLES | REFUSED).items():
        files[name] = root / name / "data.npz"
        files[name].parent.mkdir()
        np.savez(files[name], **arrays)
        drops.append(Dropping({**artifact, "data.npz": str(files[name])}))
    return {name: (files[name], answer) for name, answer in zip(files, run_tab(drops, root), strict=True)}


@pytest.fixture
def spec(workbench):
    (found,) = workbench.opened("conv").description.inputs
    return TensorSpec("image", found.shape, "float32")


@pytest.mark.parametrize("name", SAMPLES)
def test_the_hash_of_samples_is_pythons(sampled, name, spec, tmp_path):
    file, answer = sampled[name]
    samples, _ = open_samples(
        str(file), None, model_inputs=(spec,), folder=tmp_path, options=SampleOptions(), calibrate=0
    )
    said = answer["samples"]
    assert (said.get("sha256"), said.get("n")) == (samples.sha256, samples.n), said
    assert said["notes"] == []
    labels = np.load(samples.labels_file).tolist() if samples.labelled else None
    assert said["labels"] == labels


@pytest.mark.parametrize("name", REFUSED)
def test_what_python_refuses_is_refused_in_its_words(sampled, name, spec, tmp_path, monkeypatch, workbench):
    file, answer = sampled[name]
    monkeypatch.chdir(file.parent)
    with pytest.raises(SamplesError) as refused:
        open_and_check("data.npz", spec, tmp_path, workbench.opened("conv").description.outputs[0])
    said = str(refused.value)
    assert answer["samples"] == {"error": f"{said[0].upper()}{said[1:]}."}


def open_and_check(text: str, spec: TensorSpec, folder: Path, output: TensorSpec) -> None:
    samples, _ = open_samples(text, None, model_inputs=(spec,), folder=folder, options=SampleOptions(), calibrate=0)
    check_labels(np.load(samples.labels_file), output)


def test_the_hash_of_several_inputs_is_pythons(workbench, tmp_path):
    """Floats and integers, in the order in which the artifact lists them."""
    artifact = workbench.float32("crowded", "tfjs").path
    np.savez(tmp_path / "data.npz", **workbench.models["crowded"].inputs)
    files = {**dropped(artifact), "data.npz": str(tmp_path / "data.npz")}
    (answer,) = run_tab([Dropping(files)], tmp_path / "tab")
    specs = tuple(TensorSpec(port.name, port.shape, port.dtype) for port in FORMATS["tfjs"].inspect(artifact).inputs)
    assert {spec.dtype for spec in specs} == {"float32", "int32"}
    text, folder = str(tmp_path / "data.npz"), tmp_path / "samples"
    samples, _ = open_samples(text, None, model_inputs=specs, folder=folder, options=SampleOptions(), calibrate=0)
    assert answer["samples"]["sha256"] == samples.sha256


def test_onnx_with_weights_in_another_file_is_told_what_to_do(workbench, tmp_path):
    model = onnx.load(workbench.float32("conv", "onnx").path)
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    files = {name: str(tmp_path / name) for name in ("net.onnx", "net.data")}
    (answer,) = run_tab([Dropping(files)], tmp_path / "tab")
    assert answer["artifact"] is None
    assert answer["refused"][0] == {
        "path": "net.onnx",
        "reason": "'net.onnx' keeps weights in other files (net.data), which this page does not read; save it as one "
        "file with onnx.save(onnx.load(path), path), or use quantlab analyze.",
    }


def test_random_graph_models_are_cut_anywhere(tmp_path):
    artifacts = [write_random(tmp_path / str(seed), seed) for seed in range(20, 26)]
    for answer in run_tab([Dropping(dropped(path), cuts=8) for path in artifacts], tmp_path / "cut"):
        assert answer["refused"] == []
        for cut in answer["cut"]:
            # A shard may be empty.
            assert cut["read"] or cut["refused"], cut
            for reason in cut["refused"]:
                check_sentence(reason, cut["place"])


def test_files_with_other_bytes_are_read_or_refused_in_one_sentence(workbench, tmp_path):
    folders = [write_random(tmp_path / str(seed), seed) for seed in range(30, 33)]
    made = [
        workbench.float32(name, kind).path for name, kind in (("conv", "tflite"), ("conv", "onnx"), ("conv", "tfjs"))
    ]
    layers = workbench.float32("keras2_conv", "tfjs-layers").path
    np.savez_compressed(tmp_path / "data.npz", **ARRAYS)
    drops = [Dropping(dropped(path), changes=120) for path in (*folders, *made, layers)]
    answers = run_tab([*drops, Dropping({"data.npz": str(tmp_path / "data.npz")}, changes=120)], tmp_path / "changed")
    reasons = [reason for answer in answers for reason in answer["changed"]]
    assert len(reasons) > 100
    for reason in reasons:
        check_sentence(reason, "changed")
