"""Artifacts that are given as the model: what they are, what is made from them, and with which values of weights."""

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from command_line import quantlab_in_process
from contracts import convert
from official import converted_officially, run_as_program

from quantlab.errors import ModelError
from quantlab.formats import FORMATS, artifact_sha256
from quantlab.formats.tfjs_manifest import decode, stored_weights
from quantlab.formats.tflite.flatbuffer import constant_tensors, read_flatbuffer
from quantlab.formats.tflite.tapped import packed
from quantlab.models import ModelOptions, identify
from quantlab.store import Store
from quantlab_converters import CONVERTERS, ConversionRequest, RecipeRequest

pytestmark = pytest.mark.starts_children

STORED = ("float16", "uint8", "uint16", "uint8-per-channel")
ALONE = ("--no-layers", "--no-costs", "--runtimes", "python")


@pytest.fixture(scope="module")
def graphs(workbench):
    return workbench.variants("conv", "tfjs")


@pytest.fixture(scope="module")
def files(workbench):
    return workbench.variants("conv", "tflite")


@pytest.fixture(scope="module")
def layers(workbench):
    return workbench.variants("keras2_conv", "tfjs-layers")


@pytest.fixture
def folder(tmp_path, workbench):
    """A folder of a user with samples."""
    np.savez(tmp_path / "data.npz", **workbench.models["conv"].inputs)
    return tmp_path


# What it is


@pytest.mark.parametrize(
    ("made", "scheme", "kind", "narrow", "quantized"),
    [
        pytest.param("graphs", "float32", "graph-model", (), None, id="a graph-model"),
        pytest.param("graphs", "float16", "graph-model", ("float16",), None, id="half floats are floats"),
        pytest.param("graphs", "uint8", "graph-model", ("uint8",), "uint8", id="codes"),
        pytest.param("layers", "uint16", "layers-model", ("uint16",), "uint16", id="a layers-model"),
        pytest.param("files", "float32", "TFLite", (), None, id="a TFLite file"),
        pytest.param("files", "int8", "TFLite", ("int8",), "int8", id="a TFLite file with codes"),
    ],
)
def test_what_an_artifact_is(made, scheme, kind, narrow, quantized, request):
    path = request.getfixturevalue(made)[scheme].path
    file = identify(path, ModelOptions())
    assert (file.kind, file.narrow, file.quantized) == (kind, narrow, quantized)


def test_the_folder_and_its_json_are_one_model(graphs):
    folder = graphs["float32"].path
    assert identify(folder, ModelOptions()).sha256 == identify(folder / "model.json", ModelOptions()).sha256


def test_a_byte_in_a_shard_makes_another_model(graphs, tmp_path):
    changed = shutil.copytree(graphs["float32"].path, tmp_path / "web")
    shard = next(changed.glob("*.bin"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x01")
    assert identify(changed, ModelOptions()).sha256 != identify(graphs["float32"].path, ModelOptions()).sha256


# What is made from it


def of_artifact(format_name, source, schemes, folder, calibration=None):
    """Settings of an artifact that is given as the model."""
    request = ConversionRequest(
        source=source,
        format=format_name,
        signature="serving_default",
        schemes={scheme: folder / scheme for scheme in schemes},
        sample_shapes={},
        calibration=calibration or {},
        work=folder / "work",
    )
    made = convert(format_name, request)
    assert [one.reason for one in made] == [None] * len(schemes)
    return {one.scheme: one.folder for one in made}


def contents(folder: Path):
    return {
        file.name: json.loads(file.read_text()) if file.suffix == ".json" else file.read_bytes()
        for file in folder.iterdir()
    }


def test_a_graph_model_becomes_what_the_official_converter_makes_of_the_model(graphs, tmp_path):
    """`test_converter_bytes` compares the settings of the model with the official ones."""
    made = of_artifact("tfjs", graphs["float32"].path, ("float32", *STORED), tmp_path)
    assert {scheme: contents(made[scheme]) for scheme in made} == {
        scheme: contents(graphs[scheme].path) for scheme in made
    }
    assert artifact_sha256(made["float32"]) == graphs["float32"].sha256


def test_a_graph_model_of_half_floats_keeps_their_values(graphs, tmp_path):
    FORMATS["tfjs"].write_float(graphs["float16"].path, tmp_path / "float")
    halves = {entry["name"]: decode(entry, stored) for entry, stored in stored_weights(graphs["float16"].path)}
    floats = {entry["name"]: stored for entry, stored in stored_weights(tmp_path / "float")}
    assert list(floats) == list(halves)
    assert all(np.array_equal(floats[name], halves[name]) for name in floats)
    assert all(floats[name].dtype != np.float16 for name in floats)


def test_a_layers_model_becomes_what_the_official_converter_makes_of_it(layers, tmp_path):
    made = of_artifact("tfjs-layers", layers["float32"].path, ("float32", "float16", "uint8", "uint16"), tmp_path)
    assert artifact_sha256(made["float32"]) == layers["float32"].sha256
    words = ["--input_format=tfjs_layers_model", "--output_format=tfjs_layers_model", "--quantize_uint8=*"]
    official = tmp_path / "official"
    converted_officially([[*words, str(layers["float32"].path / "model.json"), str(official)]], tmp_path / "log")
    ours, theirs = contents(made["uint8"]), contents(official)
    assert ours.keys() == theirs.keys()
    assert ours["group1-shard1of1.bin"] == theirs["group1-shard1of1.bin"]
    assert ours["model.json"]["weightsManifest"] == theirs["model.json"]["weightsManifest"]


def test_a_tflite_file_becomes_what_litert_quantizer_makes_of_the_model(files, workbench, tmp_path):
    samples = workbench.samples("conv")
    calibration = {spec.name: samples.input_file(spec.name) for spec in samples.inputs}
    schemes = ("float32", "dynamic-wi8", "static-wi8-ai8")
    made = of_artifact("tflite", files["float32"].path, schemes, tmp_path, calibration)
    assert all((made[scheme] / "model.tflite").read_bytes() == files[scheme].path.read_bytes() for scheme in made)


def test_a_tflite_file_without_a_signature_is_calibrated_too(files, workbench, tmp_path):
    unsigned = tmp_path / "unsigned.tflite"
    FORMATS["tflite"].write_tapped(files["float32"].path, unsigned, ())  # which removes it
    samples, port = workbench.samples("conv"), FORMATS["tflite"].inspect(unsigned).inputs[0].name
    calibration = {port: samples.input_file("image")}
    made = of_artifact("tflite", unsigned, ("static-wi8-ai8",), tmp_path, calibration)
    assert FORMATS["tflite"].inspect(made["static-wi8-ai8"] / "model.tflite").weights["int8"] > 0


# Recipes


@pytest.mark.parametrize(
    ("made", "format_name", "scheme"),
    [
        pytest.param("graphs", "tfjs", "float32", id="a copy"),
        pytest.param("graphs", "tfjs", "uint8-per-channel", id="weights stored again"),
        pytest.param("files", "tflite", "dynamic-wi8", id="litert-quantizer"),
        pytest.param("files", "tflite", "static-wi8-ai8", id="litert-quantizer, calibrated"),
    ],
)
def test_a_recipe_makes_the_same_bytes(made, format_name, scheme, request, tmp_path):
    variants, samples = request.getfixturevalue(made), request.getfixturevalue("workbench").samples("conv")
    source, setting = variants["float32"].path, f"{format_name}-{scheme}"
    calibration = {"image": samples.input_file("image")} if scheme.startswith("static") else {}
    asked = RecipeRequest(
        setting, scheme, source, "serving_default", {"image": (8, 8, 2)}, calibration, source, format_name
    )
    with contextlib.chdir(tmp_path):
        run_as_program(CONVERTERS[format_name].recipe(asked), tmp_path / "log")
    (folder,) = tmp_path.glob(f"{setting}-*")
    ours, theirs = contents(folder), contents_of(variants[scheme].path)
    assert {name: ours[name] for name in theirs} == theirs


def contents_of(artifact: Path):
    return contents(artifact) if artifact.is_dir() else {artifact.name: artifact.read_bytes()}


def test_the_recipe_of_a_layers_model_is_the_official_command(layers):
    path = layers["float32"].path
    asked = RecipeRequest("tfjs-layers-uint8", "uint8", path, "serving_default", {}, {}, path)
    words = "tensorflowjs_converter --input_format=tfjs_layers_model --output_format=tfjs_layers_model"
    assert f"{words} '--quantize_uint8=*' {path}/model.json" in CONVERTERS["tfjs-layers"].recipe(asked)


# The float copy of a TFLite file


def answers(file, image):
    interpreter = Interpreter(str(file), num_threads=1)
    interpreter.allocate_tensors()
    found = []
    for sample in image:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], sample[np.newaxis])
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    return np.array(found)


@pytest.mark.parametrize(
    ("scheme", "apart"),
    [
        pytest.param("float16", 1e-6, id="half floats"),
        pytest.param("weight-only-wi8", 1e-6, id="codes that are decoded at run time"),
        pytest.param("weight-only-wi4", 1e-6, id="codes of 4 bits"),
        pytest.param("dynamic", 0.05, id="codes that are multiplied"),
        pytest.param("int8", 0.05, id="activations in codes"),
        pytest.param("int16x8", 0.01, id="activations in codes of 16 bits"),
    ],
)
def test_the_float_copy_of_a_file_has_the_values_of_its_weights(scheme, apart, files, workbench, tmp_path):
    quantized, image = files[scheme].path, workbench.models["conv"].inputs["image"]
    FORMATS["tflite"].write_float(quantized, tmp_path / "float")
    copy = tmp_path / "float" / "model.tflite"
    held = FORMATS["tflite"].inspect(copy)
    assert set(held.weights) <= {"float32", "int32", "int64"}
    assert {row.op for row in FORMATS["tflite"].ops(copy, "")}.isdisjoint({"QUANTIZE", "DEQUANTIZE"})
    assert [port.name for port in held.inputs] == [port.name for port in FORMATS["tflite"].inspect(quantized).inputs]
    own = {weight.name: weight.values for weight in FORMATS["tflite"].weights(quantized) if weight.scales}
    theirs = {weight.name: weight.values for weight in FORMATS["tflite"].weights(copy)}
    assert all(np.array_equal(theirs[name], values) for name, values in own.items())
    difference = np.abs(answers(copy, image) - answers(quantized, image)).max()
    assert (0 if apart > 1e-6 else -1) < difference <= apart


# Studies


def test_a_study_of_a_graph_model(graphs, folder):
    web = shutil.copytree(graphs["float32"].path, folder / "web")
    words = ("analyze", "web/model.json", "--data", "data.npz", "--out", "a.study", *ALONE)
    done = quantlab_in_process(*words, cwd=folder)
    assert done.status == 0, done.stderr
    study = Store(folder / "a.study").read_study()
    rows = {trial.setting: trial for trial in study.trials}
    assert list(rows) == [f"tfjs-{scheme}" for scheme in ("float32", *STORED)]
    assert rows["tfjs-float32"].variant.sha256 == artifact_sha256(web)
    assert study.parity == {"tfjs": "ok: 0"}
    again = quantlab_in_process(*words, cwd=folder)
    assert (again.status, "python: done" in again.stderr) == (0, False), again.stderr
    assert "are as they were written" in quantlab_in_process("verify", "a.study", cwd=folder).stdout
    shard = next(web.glob("*.bin"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x01")
    assert quantlab_in_process(*words, cwd=folder).status == 2


def test_a_study_of_a_layers_model_with_two_inputs(workbench, tmp_path):
    shutil.copytree(workbench.float32("keras2_h5", "tfjs-layers").path, tmp_path / "web")
    np.savez(tmp_path / "data.npz", **workbench.models["keras2_h5"].inputs)
    settings = ("--settings", "tfjs-layers-uint8,tfjs-uint8,tflite-float32")
    words = ("analyze", "web", "--data", "data.npz", "--score-output", "scores", *settings, *ALONE)
    done = quantlab_in_process(*words, cwd=tmp_path)
    assert done.status == 0, done.stderr
    study = Store(tmp_path / "web.study").read_study()
    assert all(check.startswith("ok") for check in study.parity.values())
    assert study.parity.keys() == {"tfjs-layers", "tfjs", "tflite"}


def test_a_quantized_file_alone_is_compared_with_its_own_weights(files, folder):
    shutil.copy(files["int8"].path, folder / "app.tflite")
    words = ("analyze", "app.tflite", "--data", "data.npz", "--no-costs", "--runtimes", "python")
    done = quantlab_in_process(*words, cwd=folder)
    assert done.status == 0, done.stderr
    store = Store(folder / "app.study")
    study = store.read_study()
    rows = {trial.setting: trial for trial in study.trials}
    assert list(rows) == ["tflite-float32", "as-given"]
    assert rows["as-given"].variant.sha256 == artifact_sha256(folder / "app.tflite")
    assert "weights decoded from int8" in rows["tflite-float32"].variant.notes
    assert "the model is an artifact with weights in int8, and the reference computes in float32" in done.stdout
    inside = store.read_inside()
    of_weights = {row.sqnr_db for row in inside.weights if row.setting == "as-given" and row.sqnr_db is not None}
    assert of_weights == {np.inf}
    of_layers = [row.sqnr_db for row in inside.layers if (row.setting, row.reason) == ("as-given", None)]
    assert of_layers
    assert all(5 < value < np.inf for value in of_layers)


def test_an_artifact_beside_a_reference(files, folder):
    shutil.copy(files["int8"].path, folder / "app.tflite")
    shutil.copy(files["float32"].path, folder / "float.tflite")
    words = ("analyze", "app.tflite", "--reference", "float.tflite", "--data", "data.npz", *ALONE)
    done = quantlab_in_process(*words, "--settings", "tflite-float32", cwd=folder)
    assert done.status == 0, done.stderr
    study = Store(folder / "app.study").read_study()
    assert Path(study.model.path).name == "float.tflite"
    assert [trial.setting for trial in study.trials] == ["tflite-float32", "as-given"]


def test_a_quantized_file_alone_that_fits_is_its_own_artifact(files, folder):
    shape = np.load(folder / "data.npz")["image"].shape[1:]
    image = np.random.default_rng(0).normal(size=(60, *shape)).astype(np.float32)
    np.savez(folder / "data.npz", image=image, y=np.arange(60) % answers(files["int8"].path, image[:1]).shape[1])
    shutil.copy(files["int8"].path, folder / "app.tflite")
    words = ("--data", "data.npz", "--max-accuracy-loss", "100pt", "--runtimes", "python", "--allow-poor-reference")
    done = quantlab_in_process("check", "app.tflite", *words, "--settings", "tflite-float32", cwd=folder)
    assert done.status == 0, done.stderr
    assert (
        f"as-given fits, and is not written to 'artifacts': it is your own file '{folder / 'app.tflite'}'"
        in done.stderr
    )
    assert not (folder / "artifacts").exists()
    alone = quantlab_in_process("sensitivity", "app.study", cwd=folder)
    assert (alone.status, alone.last) == (
        2,
        (
            "quantlab: as-given is a file of your own, and only a converter can quantize its ops one by one; run "
            "'quantlab analyze' with a quantized setting, or see 'quantlab show layers'"
        ),
    )


def test_a_reference_that_quantlab_toml_names(files, folder):
    shutil.copy(files["int8"].path, folder / "app.tflite")
    shutil.copy(files["float32"].path, folder / "float.tflite")
    keys = {"model": "app.tflite", "reference": "float.tflite", "data": "data.npz", "settings": "tflite-float32"}
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    (folder / "quantlab.toml").write_text(f"[analyze]\n{text}")
    done = quantlab_in_process("analyze", *ALONE, cwd=folder)
    assert done.status == 0, done.stderr
    study = Store(folder / "app.study").read_study()
    assert [trial.setting for trial in study.trials] == ["tflite-float32", "as-given"]
    (folder / "quantlab.toml").write_text(f"[analyze]\n{text}".replace('"float.tflite"', "3"))
    wrong = quantlab_in_process("analyze", *ALONE, cwd=folder)
    assert (wrong.status, wrong.last) == (
        2,
        "quantlab: reference is 3 and must be text in quotes; correct it in [analyze]",
    )


@pytest.mark.parametrize(
    ("scheme", "asked", "reason"),
    [
        pytest.param(
            "float32",
            "tflite-int8",
            "tflite-int8 is made from TensorFlow models, and from TFLite only tflite-float32, tflite-dynamic-wi8, "
            "tflite-weight-only-wi8 and 4 more; give the model that 'app.tflite' was exported from, or leave this "
            "setting out",
            id="a setting of TensorFlow's converter",
        ),
        pytest.param(
            "float32",
            "tfjs-uint8",
            "tfjs is made from TensorFlow models, and no maintained converter makes it from TFLite; give the model "
            "that 'app.tflite' was exported from, or leave this setting out",
            id="a setting of another format",
        ),
        pytest.param(
            "int8",
            "tflite-dynamic-wi8",
            "'app.tflite' already stores weights in int8, so tflite-dynamic-wi8 would quantize them twice; give the "
            "model that 'app.tflite' was exported from, or leave this setting out",
            id="a quantized file",
        ),
    ],
)
def test_a_setting_that_cannot_be_made_is_a_row(scheme, asked, reason, files, folder):
    shutil.copy(files[scheme].path, folder / "app.tflite")
    words = ("analyze", "app.tflite", "--data", "data.npz", "--settings", asked, *ALONE)
    done = quantlab_in_process(*words, cwd=folder)
    assert done.status == 2
    trials = Store(folder / "app.study").read_study().trials
    assert [trial.failure.reason for trial in trials if trial.setting == asked] == [reason]


# What is refused


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(
            ("missing.tflite", "--reference", "float.tflite"),
            "there is no artifact at 'missing.tflite'; give the file or folder to compare with --reference",
            id="no such artifact",
        ),
        pytest.param(
            ("data.npz", "--reference", "float.tflite"),
            "'data.npz' is not an artifact, so it is the reference of its variants itself; give 'float.tflite' with "
            "--variant NAME=float.tflite, and leave --reference out",
            id="a model that is no artifact",
        ),
        pytest.param(
            ("int8.tflite", "--variant", "as-given=float.tflite"),
            "--variant as-given=… has the name of the row of 'int8.tflite'; give it another name",
            id="the name of its own row",
        ),
        pytest.param(
            ("float.tflite", "--data", "wide.npz"),
            "the input 'image' expects samples of shape (8, 8, 2), but those of 'wide.npz' have shape (9, 9, 2); give "
            "samples of the shape that the model was trained on",
            id="samples of another shape",
        ),
        pytest.param(
            ("cut.tflite",),
            "'cut.tflite' is not a complete TFLite file; if it was truncated, copy it again",
            id="a file cut short",
        ),
    ],
)
def test_what_is_refused(words, message, files, folder):
    shutil.copy(files["float32"].path, folder / "float.tflite")
    shutil.copy(files["int8"].path, folder / "int8.tflite")
    (folder / "cut.tflite").write_bytes(files["float32"].path.read_bytes()[:2000])
    np.savez(folder / "wide.npz", image=np.zeros((4, 9, 9, 2), np.float32))
    given = words if "--data" in words else (*words, "--data", "data.npz")
    done = quantlab_in_process("analyze", *given, *ALONE, cwd=folder)
    assert (done.status, done.last) == (2, f"quantlab: {message}")


def without_scales(source, target):
    model = read_flatbuffer(source)
    for index in constant_tensors(model, model.subgraphs[0]):
        model.subgraphs[0].tensors[index].quantization = None
    target.write_bytes(packed(model))


def with_a_strange_op(source, target):
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    model = read_flatbuffer(source)
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = BuiltinOperator.CUSTOM
    code.customCode = "Strange"
    target.write_bytes(packed(model))


def with_a_batch_of_4(source, target):
    model = read_flatbuffer(source)
    tensor = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    tensor.shape, tensor.shapeSignature = np.array([4, 8, 8, 2], np.int32), None
    target.write_bytes(packed(model))


@pytest.mark.parametrize(
    ("scheme", "change", "message"),
    [
        pytest.param(
            "int8",
            without_scales,
            "'app.tflite' stores weights in int8 without scales, so nothing tells which values they stand for; give "
            "the float artifact or the model that it was made from",
            id="no float anywhere",
        ),
        pytest.param(
            "float32",
            with_a_strange_op,
            "'app.tflite' cannot be the reference: LiteRT cannot run the op Strange (node 0) as it is in this file",
            id="an op that LiteRT lacks",
        ),
        pytest.param(
            "float32",
            with_a_batch_of_4,
            "'app.tflite' takes batches of 4 only, and samples are compared one by one; export it with an open batch "
            "(None) or with 1",
            id="a fixed batch",
        ),
    ],
)
def test_a_file_that_cannot_be_the_reference(scheme, change, message, files, folder):
    change(files[scheme].path, folder / "app.tflite")
    done = quantlab_in_process("analyze", "app.tflite", "--data", "data.npz", *ALONE, cwd=folder)
    assert done.status == 2
    assert done.last.startswith(f"quantlab: {message}")
    assert "Traceback" not in done.stderr


def test_a_graph_model_that_acts_is_refused(graphs, folder):
    web = shutil.copytree(graphs["float32"].path, folder / "web")
    document = json.loads((web / "model.json").read_text())
    node = next(node for node in document["modelTopology"]["node"] if node["op"] == "Softmax")
    node["op"] = "PyFunc"
    (web / "model.json").write_text(json.dumps(document))
    done = quantlab_in_process("analyze", "web", "--data", "data.npz", *ALONE, cwd=folder)
    assert (done.status, "'web' runs the op 'PyFunc', which does more than compute" in done.last) == (2, True)


def test_a_json_without_its_shards_is_refused(graphs, tmp_path):
    shutil.copy(graphs["float32"].path / "model.json", tmp_path)
    with pytest.raises(ModelError, match=r"the shard '.*' is missing in"):
        identify(tmp_path, ModelOptions())
