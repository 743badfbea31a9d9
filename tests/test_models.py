"""Models: how files are identified, the outputs of models of each library, and what is refused."""

import importlib
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from contracts import opening_job

from quantlab.errors import ModelError
from quantlab.models import ModelOptions, identify, open_reference
from quantlab.processes import ChildPool
from quantlab.runtimes import python
from quantlab.runtimes.protocol import ask
from quantlab.runtimes.requests import Open
from quantlab.types import TensorSpec
from quantlab.types.messages import Failed, Opened

ACCEPTED = (
    "give a .keras file, an .h5 or .hdf5 file of a whole Keras model, a SavedModel folder, an .onnx or .tflite file, "
    "or the folder or model.json of a TensorFlow.js model"
)


@pytest.fixture(autouse=True)
def _in_the_folder_of_the_models(small_models, monkeypatch):
    monkeypatch.chdir(small_models["conv"].path.parent)


def floats(name, *shape):
    return TensorSpec(name, (None, *shape), "float32")


def int32(name, *shape):
    return TensorSpec(name, (None, *shape), "int32")


@dataclass(frozen=True)
class Told:
    """What is expected of a model."""

    kind: str
    parameters: int
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    """In the order in which its library returns them."""
    options: ModelOptions = field(default_factory=ModelOptions)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param(
            "two_ports",
            Told(
                "Keras 3",
                65,
                [floats("image", 4, 3), int32("counts", 3)],
                [floats("output_0", 5), int32("output_1", 3)],
            ),
            id="Keras 3, Functional, a float and an integer",
        ),
        pytest.param(
            "crowded",
            Told(
                "Keras 3",
                0,
                [floats("second", 3), int32("counts", 3), floats("first", 3)],
                [
                    floats("output_0", 3),
                    int32("output_1", 3),
                    *(floats(f"output_{place}", 3) for place in range(2, 13)),
                ],
            ),
            id="Keras 3, Functional, thirteen outputs",
        ),
        pytest.param(
            "dictionaries",
            Told("Keras 3", 0, [floats("height", 2), floats("width", 2)], [floats("difference", 2), floats("sum", 2)]),
            id="Keras 3, Functional, dictionaries",
        ),
        pytest.param(
            "sequential",
            Told("Keras 3", 215, [int32("words", 6)], [floats("output_0", 3)]),
            id="Keras 3, Sequential, integers",
        ),
        pytest.param(
            "subclassed",
            Told("Keras 3", 24, [floats("args_0", 5)], [floats("output_0", 4)], ModelOptions(custom=("shop_layers",))),
            id="Keras 3, subclassed",
        ),
        pytest.param(
            "keras3_h5", Told("Keras 3", 15, [floats("values", 4)], [floats("output_0", 3)]), id="Keras 3, .h5"
        ),
        pytest.param(
            "lambda_layer",
            Told("Keras 3", 0, [floats("values", 4)], [floats("output_0", 4)], ModelOptions(unsafe=True)),
            id="Keras 3, Lambda, allowed",
        ),
        pytest.param(
            "keras2_h5",
            Told(
                "Keras 2", 119, [floats("image", 6, 6, 2), int32("counts", 3)], [floats("scores", 3), int32("added", 3)]
            ),
            id="Keras 2, Functional, .h5",
        ),
        pytest.param(
            "keras2_keras",
            Told("Keras 2", 34, [floats("first_input", 5)], [floats("last", 2)]),
            id="Keras 2, Sequential, .keras",
        ),
        pytest.param(
            "keras2_lambda",
            Told("Keras 2", 0, [floats("values", 4)], [floats("inner", 4)], ModelOptions(unsafe=True)),
            id="Keras 2, Lambda, allowed",
        ),
        pytest.param(
            "keras2_subclassed",
            Told("SavedModel", 24, [floats("input_1", 5)], [floats("output_1", 4)]),
            id="Keras 2, subclassed, SavedModel",
        ),
        pytest.param(
            "module",
            Told(
                "SavedModel",
                3,
                [int32("shift", 3), floats("values", 3)],
                [int32("kept", 3), floats("shifted", 3)],
                ModelOptions(signature="move"),
            ),
            id="tf.Module, one of two signatures",
        ),
        pytest.param(
            "one_signature",
            Told("SavedModel", 2, [floats("values", 2)], [floats("moved", 2)]),
            id="tf.Module, its only signature",
        ),
    ],
)
def test_a_model_answers_as_the_library_that_wrote_it(name, told, small_models, tmp_path, monkeypatch):
    model = small_models[name]
    monkeypatch.syspath_prepend(model.path.parent)
    for custom in told.options.custom:
        importlib.import_module(custom)
    file = identify(model.path, told.options)
    reference = open_reference(file, told.options, tmp_path / "export")
    description = reference.description
    assert (description.path, description.kind, description.parameters) == (str(model.path), told.kind, told.parameters)
    assert description.inputs == tuple(told.inputs)
    # In order of the names, as every converter has them.
    assert description.outputs == tuple(sorted(told.outputs, key=lambda spec: spec.name))
    expected = {spec.name: array for spec, array in zip(told.outputs, model.outputs, strict=True)}
    for count in (7, 1, 3):
        answers = reference.call([model.inputs[spec.name][:count] for spec in told.inputs])
        for spec, answer in zip(description.outputs, answers, strict=True):
            assert answer.dtype == spec.dtype
            np.testing.assert_allclose(answer, expected[spec.name][:count], rtol=1e-6, atol=1e-6, err_msg=spec.name)
    assert (reference.source / "saved_model.pb").is_file()
    assert file.sha256 == identify(model.path, told.options).sha256


def truncated(model, folder):
    path = folder / model.path.name
    path.write_bytes(model.path.read_bytes()[:-200])
    return path


def damaged(model, folder):
    """The same archive with a byte of its weights changed."""
    path = folder / model.path.name
    with zipfile.ZipFile(model.path) as archive:
        weights = archive.getinfo("model.weights.h5")
    data = bytearray(model.path.read_bytes())
    data[weights.header_offset + 30 + len("model.weights.h5") + weights.compress_size // 2] ^= 0xFF
    path.write_bytes(data)
    return path


def renamed(name):
    def rename(model, folder):
        return Path(shutil.copy(model.path, folder / name))

    return rename


def folder_with(name):
    def make(model, folder):
        del model
        (folder / "folder").mkdir()
        (folder / "folder" / name).write_text("{}")
        return folder / "folder"

    return make


def beside(name, content="", **others):
    """A file with a name, or for an empty one its folder; others lie beside it."""

    def prepare(_model, folder):
        for other, text in others.items():
            (folder / other).write_text(text)
        if name:
            (folder / name).write_text(content)
        return folder / name if name else folder

    return prepare


def archive_of(member):
    def prepare(_model, folder):
        with zipfile.ZipFile(folder / "model.zip", "w") as archive:
            archive.writestr(member, "")
        return folder / "model.zip"

    return prepare


def as_it_is(model, folder):
    del folder
    return model.path


@pytest.mark.parametrize(
    ("name", "prepare", "options", "message"),
    [
        pytest.param(
            "conv",
            lambda model, _folder: model.path.with_name("cnv.kera"),
            ModelOptions(),
            "there is no model at '{path}' (did you mean '{models}/conv.keras'?); " + ACCEPTED,
            id="missing, another has nearly its name",
        ),
        pytest.param(
            "conv",
            lambda _model, folder: folder / "no" / "such" / "folder.keras",
            ModelOptions(),
            "there is no model at '{path}'; " + ACCEPTED,
            id="missing with its folder",
        ),
        pytest.param(
            "conv",
            truncated,
            ModelOptions(),
            "'{path}' is not a complete .keras file (File is not a zip file); if it was truncated, "
            "copy or save it again",
            id="a .keras file cut short",
        ),
        pytest.param(
            "conv",
            damaged,
            ModelOptions(),
            "'{path}' is damaged at 'model.weights.h5'; copy or save it again",
            id="a .keras file with a wrong byte",
        ),
        pytest.param(
            "keras2_h5",
            truncated,
            ModelOptions(),
            "'{path}' could not be read as HDF5; if it was truncated, save it again, otherwise " + ACCEPTED,
            id="an .h5 file cut short",
        ),
        pytest.param(
            "weights_only",
            as_it_is,
            ModelOptions(),
            "'{path}' contains only weights, and a model needs its layers too; save the whole model "
            "with model.save('model.keras') and give that file",
            id="weights only",
        ),
        pytest.param(
            "conv",
            beside("ckpt.index", **{"ckpt.data-00000-of-00001": ""}),
            ModelOptions(),
            "'{path}' is a TensorFlow checkpoint, which contains only weights, and a model needs its layers too; load "
            "it into the model with model.load_weights('{folder}/ckpt') and save the whole with "
            "model.save('model.keras'), and give that file",
            id="the index of a checkpoint",
        ),
        pytest.param(
            "conv",
            beside("", **{"ckpt.index": "", "ckpt.data-00000-of-00001": ""}),
            ModelOptions(),
            "'{path}' is a TensorFlow checkpoint, which contains only weights, and a model needs its layers too; load "
            "it into the model with model.load_weights('{folder}/ckpt') and save the whole with "
            "model.save('model.keras'), and give that file",
            id="the folder of a checkpoint",
        ),
        pytest.param(
            "conv",
            beside("model.json", '{"class_name": "Sequential", "config": {}}'),
            ModelOptions(),
            "'{path}' contains only the layers of a Keras model, without weights; load its weights and save the whole "
            "with model.save('model.keras'), and give that file",
            id="layers only",
        ),
        pytest.param(
            "conv",
            beside("model.json", '{"format": "graph-model", "modelTopology": {}, "weightsManifest": []}'),
            ModelOptions(),
            "'{path}' contains weights but no layers; convert the whole model, not only its weights",
            id="a model.json without a model",
        ),
        pytest.param(
            "conv",
            beside("model.json", '{"format": "graph-model", "modelTopology": {}}'),
            ModelOptions(),
            "'{path}' is the description of a model for TensorFlow.js without its weights; give one with a "
            "weightsManifest, and the files that it lists beside it",
            id="a model.json without weights",
        ),
        pytest.param(
            "conv",
            beside("settings.json", '{"name": "conv"}'),
            ModelOptions(),
            "'{path}' is a JSON file without the layers of a model; give the file or folder of the model",
            id="other JSON",
        ),
        pytest.param(
            "conv",
            beside("frozen.pb"),
            ModelOptions(),
            "'{path}' is a frozen graph of TensorFlow, which does not tell its inputs and outputs; give the model that "
            "it was made from, or load it with tf.compat.v1.wrap_function and save it with tf.saved_model.save and a "
            "signature",
            id="a frozen graph",
        ),
        pytest.param(
            "conv",
            beside("saved_model.pb"),
            ModelOptions(),
            "'{path}' is the graph of a SavedModel; give its folder, '{folder}'",
            id="the file in a SavedModel",
        ),
        pytest.param(
            "conv",
            archive_of("readme.txt"),
            ModelOptions(),
            "'{path}' is an archive, and not that of a Keras model; unpack it and give the file or folder of the model "
            "in it",
            id="an archive",
        ),
        pytest.param(
            "conv",
            archive_of("model/data.pkl"),
            ModelOptions(),
            "'{path}' is a file of PyTorch; export the model to ONNX with torch.onnx.export and give that file",
            id="a file of PyTorch",
        ),
        pytest.param(
            "lambda_layer",
            as_it_is,
            ModelOptions(),
            "the Lambda layer 'doubled' of '{path}' contains Python code that runs when the model is "
            "opened; if you trust the file, allow it with --unsafe",
            id="a Lambda layer of Keras 3",
        ),
        pytest.param(
            "keras2_lambda",
            as_it_is,
            ModelOptions(),
            "the Lambda layer 'hidden' of '{path}' contains Python code that runs when the model is "
            "opened; if you trust the file, allow it with --unsafe",
            id="a Lambda layer in a nested model of Keras 2",
        ),
        pytest.param(
            "conv",
            folder_with("model.json"),
            ModelOptions(),
            "'{path}/model.json' has no weightsManifest, so it is not a tfjs model; convert the model again",
            id="a tfjs folder with an empty model.json",
        ),
        pytest.param(
            "conv",
            folder_with("readme.txt"),
            ModelOptions(),
            "the folder '{path}' has no saved_model.pb, so it is not a SavedModel; " + ACCEPTED,
            id="some folder",
        ),
        pytest.param(
            "keras2_h5",
            renamed("model.tflite"),
            ModelOptions(),
            "'{path}' does not start like a TFLite file; give a .tflite file",
            id="another file that is called .tflite",
        ),
        pytest.param(
            "module",
            as_it_is,
            ModelOptions(),
            "the SavedModel '{path}' has no signature 'serving_default'; it has 'scale', 'move', so "
            "choose one with --signature",
            id="several signatures",
        ),
        pytest.param(
            "module",
            as_it_is,
            ModelOptions(signature="turn"),
            "the SavedModel '{path}' has no signature 'turn'; it has 'scale', 'move', so choose one with --signature",
            id="an unknown signature",
        ),
        pytest.param(
            "no_signature",
            as_it_is,
            ModelOptions(),
            "the SavedModel '{path}' has no signature that can be called; save it with "
            "tf.saved_model.save(module, folder, signatures=module.call.get_concrete_function(…))",
            id="no signature",
        ),
        pytest.param(
            "strings",
            as_it_is,
            ModelOptions(),
            "'text' of '{path}' holds strings, which neither tfjs in WebAssembly nor LiteRT "
            "supports; export the part of the model after the text processing",
            id="strings",
        ),
    ],
)
def test_a_model_that_cannot_be_opened(name, prepare, options, message, small_models, tmp_path):
    path = prepare(small_models[name], tmp_path)
    with pytest.raises(ModelError) as refused:
        open_reference(identify(path, options), options, tmp_path / "export")
    assert str(refused.value) == message.format(path=path, models=small_models["conv"].path.parent, folder=tmp_path)


def test_a_saved_model_without_its_variables(small_models, tmp_path):
    shutil.copytree(small_models["module"].path, tmp_path / "module")
    shutil.rmtree(tmp_path / "module" / "variables")
    options = ModelOptions(signature="move")
    with pytest.raises(ModelError) as refused:
        open_reference(identify(tmp_path / "module", options), options, tmp_path / "export")
    message = str(refused.value)
    begin = f"TensorFlow could not open '{tmp_path}/module' (FileNotFoundError: "
    assert (message.startswith(begin), message.endswith("; save it again or see --debug")) == (True, True)


@pytest.mark.parametrize(
    ("name", "prepare"),
    [
        pytest.param("keras2_h5", renamed("model.bin"), id="an .h5 file by another name"),
        pytest.param("keras3_h5", renamed("model.hdf5"), id="an .hdf5 file"),
        pytest.param("keras2_keras", renamed("model"), id="a .keras file without a suffix"),
    ],
)
def test_a_model_is_told_by_its_bytes(name, prepare, small_models, tmp_path):
    path = prepare(small_models[name], tmp_path)
    kind = "Keras 2" if name.startswith("keras2") else "Keras 3"
    file = identify(path, ModelOptions())
    assert (file.kind, file.sha256) == (kind, identify(small_models[name].path, ModelOptions()).sha256)


def test_the_hash_of_a_folder_is_of_names_and_bytes(small_models, tmp_path):
    def digest(change):
        folder = tmp_path / change.__name__
        shutil.copytree(small_models["module"].path, folder, dirs_exist_ok=True)
        change(folder)
        return identify(folder, ModelOptions()).sha256

    def nothing(folder): ...

    def an_empty_folder(folder):
        (folder / "assets.extra").mkdir(exist_ok=True)

    def a_byte(folder):
        (folder / "variables" / "variables.index").write_bytes(b"other")

    def a_name(folder):
        (folder / "fingerprint.pb").rename(folder / "fingerprint.pbx")

    assert digest(nothing) == digest(an_empty_folder)
    assert len({digest(nothing), digest(a_byte), digest(a_name)}) == 3


OWN = {
    "custom": ("Tripled", "keras"),
    "keras2_custom": ("Quadrupled", "tf_keras"),
    "subclassed": ("Subclassed", "keras"),
}
"""Models of the user's own classes: which, and of what library."""


def test_what_is_the_users_own_is_not_found_without_its_module(small_models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where the module is not
    with ChildPool(tmp_path / "shop", stall_seconds=300) as pool:
        for name, (used, library) in OWN.items():
            path = small_models[name].path
            assert ask_to_open(path, (), tmp_path / name, pool) == Failed(
                f"'{path}' uses '{used}', which is not part of Keras; name the module that registers it "
                f"(@{library}.saving.register_keras_serializable()) with --custom MODULE",
                expected=True,
            )


def test_what_is_the_users_own_is_found_with_its_module(small_models, tmp_path):
    with ChildPool(tmp_path / "shop", stall_seconds=300) as pool:
        for name in OWN:
            opened = ask_to_open(small_models[name].path, ("shop_layers",), tmp_path / name, pool)
            assert (type(opened), Path(opened.source, "saved_model.pb").is_file()) == (Opened, True)
        path = small_models["two_arguments"].path
        assert ask_to_open(path, ("shop_layers",), tmp_path / "refused", pool) == Failed(
            f"the subclassed model of '{path}' could not be called with one float32 tensor of shape (1, 5) "
            f"(TypeError: missing a required argument: 'others'); save it with model.export('saved_model') and give "
            f"that folder",
            expected=True,
        )


def ask_to_open(path, custom, export, pool):
    """What a worker says; in one of its own, since what was registered in a process stays registered."""
    said, *_ = ask(python.HOST, Open(opening_job(path, ModelOptions(custom=custom), export)), pool)
    return said


@pytest.mark.parametrize("name", ["keras2_lstm", "keras2_keras"])
def test_the_export_of_keras_2_has_no_functions_of_layers(name, workbench):
    """Each conversion would load them, and none needs them."""
    assert b"layer_call_fn" not in (workbench.opened(name).source / "saved_model.pb").read_bytes()
