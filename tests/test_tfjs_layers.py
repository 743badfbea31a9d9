"""Layers-models of tfjs: bytes equal to the official converter's, unsupported models, execution, 8-bit weights."""

import json
from dataclasses import replace

import numpy as np
import pytest
from contracts import convert, job_of, names_in_library_order
from official import converted_officially

from quantlab import analyze
from quantlab.formats import FORMATS
from quantlab.runtimes import RUNTIMES, create_output, protocol
from quantlab.store import Store
from quantlab.study.options import AnalyzeOptions
from quantlab.types.messages import Done, Failed
from quantlab_converters import CONVERTERS, ConversionRequest, RecipeRequest

pytestmark = pytest.mark.starts_children

FLAGS = {
    "float32": [],
    "float16": ["--quantize_float16=*"],
    "uint8": ["--quantize_uint8=*"],
    "uint16": ["--quantize_uint16=*"],
}

H5 = ["keras2_conv", "keras2_recurrent", "pretrainedResnet", "vww_96"]
SAVED = ["keras2_keras"]


@pytest.fixture(scope="module")
def model_files(request, workbench):
    """The user's file of each model, and the SavedModel that the reference makes of it."""
    files = {name: workbench.models[name].path for name in ("keras2_conv", "keras2_recurrent", "keras2_keras")}
    published = request.getfixturevalue("data_folder") / "mlperf-tiny"
    return files | {name: published / f"{name}.h5" for name in ("pretrainedResnet", "vww_96")}


def converted_from(name, model_files, workbench):
    """What the official converter is given: the file, or what `tf_keras` saved."""
    if name in SAVED:
        return ["--input_format=keras_saved_model", str(workbench.opened(name).source)]
    return ["--input_format=keras", str(model_files[name])]


@pytest.fixture(scope="module")
def official(model_files, workbench, tmp_path_factory):
    """Model and scheme → the folder that the official converter wrote."""
    root = tmp_path_factory.mktemp("official")
    folders = {(name, scheme): root / name / scheme for name in (*H5, *SAVED) for scheme in FLAGS}
    commands = [
        [kind, *FLAGS[scheme], path, str(folder)]
        for (name, scheme), folder in folders.items()
        for kind, path in [converted_from(name, model_files, workbench)]
    ]
    converted_officially(commands, root / "official.log")
    return folders


def asked(path, schemes, folder, saved_model=None):
    folders = {scheme: folder / scheme for scheme in schemes}
    return ConversionRequest(saved_model or path, "serving_default", folders, {}, {}, folder / "work", path)


@pytest.mark.parametrize("name", [*H5, *SAVED])
def test_every_file_is_the_official_converters(name, model_files, official, workbench, tmp_path):
    saved = workbench.opened(name).source if name in SAVED else None
    request = asked(model_files[name], FLAGS, tmp_path, saved)
    assert [conversion.reason for conversion in convert("tfjs-layers", request)] == [None] * len(FLAGS)
    for scheme, ours in request.schemes.items():
        theirs = official[name, scheme]
        assert sorted(file.name for file in ours.iterdir()) == sorted(file.name for file in theirs.iterdir())
        for file in theirs.glob("*.bin"):
            assert (ours / file.name).read_bytes() == file.read_bytes(), f"{scheme}/{file.name}"
        documents = [json.loads((folder / "model.json").read_text()) for folder in (ours, theirs)]
        if name in SAVED:  # training_config: the official converter compiles the model, for nothing
            [document["modelTopology"].pop("training_config", None) for document in documents]
        assert documents[0] == documents[1]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param(
            "activations",
            "'{path}' is a Keras 3 model, and tfjs cannot load that as a layers-model: it does not "
            "read the batch_shape of 'image' (InputLayer), and even if it could, it would ignore the "
            "negative_slope 0.3 of 'leaky_re_lu' (LeakyReLU); use a graph-model instead, that is, "
            "the settings tfjs-*",
            id="Keras 3, with a slope that tfjs would not see",
        ),
        pytest.param(
            "keras3_h5",
            "'{path}' is a Keras 3 model, and tfjs cannot load that as a layers-model: it does not "
            "read the batch_shape of 'values' (InputLayer); use a graph-model instead, that is, the "
            "settings tfjs-*",
            id="Keras 3 in an .h5 file",
        ),
        pytest.param(
            "subclassed",
            "'{path}' is a Keras 3 model, and tfjs cannot load that as a layers-model: it does not "
            "know its names; use a graph-model instead, that is, the settings tfjs-*",
            id="Keras 3, subclassed",
        ),
        pytest.param(
            "keras2_alien",
            "'{path}' has the layer 'shifted' (Subtract), which tfjs layers-models do not support; "
            "use a graph-model instead, that is, the settings tfjs-*",
            id="a layer that tfjs lacks",
        ),
        pytest.param(
            "module",
            "a layers-model consists of Keras layers, and the SavedModel '{path}' has none that "
            "tf_keras can read; use a graph-model instead, that is, the settings tfjs-*, or give the "
            ".h5 file of a Keras 2 model",
            id="no Keras",
        ),
        pytest.param(
            "keras2_subclassed",
            "the model '{path}' is subclassed, so its layers are Python code without a "
            "configuration; use a graph-model instead, that is, the settings tfjs-*",
            id="Keras 2, subclassed",
        ),
    ],
)
def test_what_is_no_layers_model(name, reason, workbench, tmp_path):
    path = workbench.models[name].path
    (conversion,) = convert("tfjs-layers", asked(path, ["uint8"], tmp_path))
    assert conversion.reason == reason.format(path=path)


def test_what_tfjs_runs_otherwise_is_a_note(workbench):
    assert workbench.float32("keras2_otherwise", "tfjs-layers").notes == (
        "tfjs ignores the threshold 0.5 of 'cut' (ReLU), so its results differ from Keras",
        (
            "tfjs ignores the bilinear interpolation (half-pixel centres) of 'larger' "
            "(UpSampling2D), so its results differ from Keras"
        ),
    )


@pytest.mark.parametrize("runtime", ["python", "node-wasm", "node-cpu"])
@pytest.mark.parametrize("name", ["keras2_recurrent", "keras2_keras"])
def test_models_without_an_input_layer_and_cells_of_other_names(name, runtime, workbench, tmp_path):
    variant, samples = workbench.float32(name, "tfjs-layers"), workbench.samples(name)
    (expected,) = workbench.models[name].outputs
    (output,) = [port.name for port in variant.outputs]
    create_output(tmp_path / "o.npy", n=len(expected), shape=expected.shape[1:], dtype="float32")
    job = job_of(RUNTIMES[runtime], variant, samples, {output: tmp_path / "o.npy"})
    *_, last = protocol.run(RUNTIMES[runtime], job, workbench.pool)
    assert last == Done()
    np.testing.assert_allclose(np.load(tmp_path / "o.npy"), expected, rtol=1e-5, atol=1e-6)


def edited(folder, target, change):
    """A copy of an artifact with another model.json."""
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    document = json.loads((folder / "model.json").read_text())
    change(document)
    (target / "model.json").write_text(json.dumps(document))
    return target


def rename_weight(document):
    document["weightsManifest"][0]["weights"][0]["name"] = "nowhere/kernel"


def reshape_weight(document):
    weight = document["weightsManifest"][0]["weights"][-1]
    weight["shape"] = [*weight["shape"], 1]


def forget_layer(document):
    document["modelTopology"]["model_config"]["config"]["layers"].pop(1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(rename_weight, "the manifest has the weight 'nowhere/kernel' and the layers do not", id="a name"),
        pytest.param(reshape_weight, "and its layer needs", id="a shape"),
        pytest.param(forget_layer, "tf_keras could not build the model that model.json describes", id="a layer"),
    ],
)
def test_a_layers_model_that_contradicts_itself(change, sentence, workbench, tmp_path):
    variant = workbench.float32("keras2_conv", "tfjs-layers")
    path = edited(variant.path, tmp_path / "served", change)
    outputs = {"output_0": tmp_path / "o.npy"}
    create_output(tmp_path / "o.npy", n=7, shape=(5,), dtype="float32")
    samples = workbench.samples("keras2_conv")
    job = job_of(RUNTIMES["python"], replace(variant, path=path), samples, outputs)
    *_, last = protocol.run(RUNTIMES["python"], job, workbench.pool)
    assert isinstance(last, Failed)
    assert sentence in last.reason
    assert last.expected


def test_names_are_the_models_in_the_librarys_order(workbench):
    assert [port.name for port in workbench.float32("keras2_crowded", "tfjs-layers").outputs] == sorted(
        names_in_library_order(workbench, "keras2_crowded")
    )


def test_the_recipe_is_the_official_command(tmp_path):
    request = RecipeRequest(
        "tfjs-layers-uint8", "uint8", tmp_path / "saved", "serving_default", {}, {}, tmp_path / "model.h5"
    )
    recipe = CONVERTERS["tfjs-layers"].recipe
    assert recipe(request) == (
        "folder=$(mktemp -d tfjs-layers-uint8-XXXXXX) && "
        f"tensorflowjs_converter --input_format=keras '--quantize_uint8=*' {tmp_path}/model.h5 \"$folder\" && "
        'echo "$folder"'
    )
    float32 = replace(request, setting="tfjs-layers-float32", scheme="float32", model=tmp_path / "model.keras")
    assert recipe(float32) == (
        "folder=$(mktemp -d tfjs-layers-float32-XXXXXX) && "
        f'tensorflowjs_converter --input_format=keras_saved_model {tmp_path}/saved "$folder" && echo "$folder"'
    )


def test_an_old_saved_model_of_keras_is_converted(data_folder, tmp_path):
    """Of a TensorFlow that kept the layers in saved_model.pb itself, before there was keras_metadata.pb."""
    path = data_folder / "mlperf-tiny" / "kws_ref_model"
    (conversion,) = convert("tfjs-layers", asked(path, ["uint8"], tmp_path))
    assert conversion.reason is None
    weights = FORMATS["tfjs-layers"].inspect(conversion.folder).weights
    assert set(weights) == {"uint8"}


@pytest.fixture(scope="module")
def wide_norm(workbench, tmp_path_factory):
    """A study of the batch norm whose variances span five powers of ten."""
    folder = tmp_path_factory.mktemp("wide-norm")
    model = workbench.models["keras2_wide_norm"]
    values = np.random.default_rng(5).normal(size=(64, 8, 8, 2)).astype(np.float32)
    np.savez(folder / "samples.npz", x=values)
    options = AnalyzeOptions(
        out=folder / "study",
        settings=("tfjs-uint8", "tfjs-layers-uint8"),
        runtimes=("python", "node-wasm"),
        costs=False,
    )
    return analyze(model.path, data=str(folder / "samples.npz"), options=options), Store(folder / "study").read_inside()


def test_8_bits_ruin_a_batch_norm_of_wide_variances_in_a_layers_model_alone(wide_norm):
    study, inside = wide_norm
    sqnr = {(trial.setting, trial.runtime): trial.scores.sqnr_db for trial in study.trials}
    for runtime in ("python", "node-wasm"):
        assert sqnr["tfjs-uint8", runtime] > 30
        assert not sqnr["tfjs-layers-uint8", runtime] > 10, sqnr
    assert study.parity["tfjs-layers"].startswith("ok")
    weights = {row.tensor: row for row in inside.weights if row.setting == "tfjs-layers-uint8"}
    told = [row for row in weights.values() if row.worst_channel_sqnr_db is not None]
    worst = min(told, key=lambda row: row.worst_channel_sqnr_db)
    assert worst.tensor == "wide_norm/moving_variance"
    assert worst.worst_channel_sqnr_db < 1  # a variance that is wrong by as much as it is
    assert worst.sqnr_db > 40  # which the whole vector's error does not tell
    layers = [row for row in inside.layers if (row.setting, row.runtime) == ("tfjs-layers-uint8", "python")]
    grown = max((row for row in layers if row.relative_rms_growth is not None), key=lambda row: row.relative_rms_growth)
    assert grown.layer == "wide_norm"


def test_layers_are_read_alike_in_both_runtimes(wide_norm):
    _, inside = wide_norm
    read = {
        runtime: [
            (row.layer, row.tensor, row.op, row.aligned)
            for row in inside.layers
            if (row.setting, row.runtime, row.baseline) == ("tfjs-layers-uint8", runtime, "reference")
        ]
        for runtime in ("python", "node-wasm")
    }
    assert read["python"] == read["node-wasm"]
    assert [layer for layer, _, _, aligned in read["python"] if aligned] == [
        "first",
        "wide_norm",
        "active",
        "pooled",
        "output_0",
    ]


def test_the_published_translator_is_read(data_folder):
    path = (data_folder / "tfjs-layers-translator").resolve()
    weights = {weight.name: weight for weight in FORMATS["tfjs-layers"].weights(path)}
    assert weights["lstm_2/recurrent_kernel"].channel_axes == (1,)
    assert {weight.dtype for weight in weights.values()} == {"float32"}
