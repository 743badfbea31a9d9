"""A table of wrong inputs: each gives one sentence that says what to do, status 2, and leaves earlier work
unchanged.
"""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from command_line import quantlab_in_process
from PIL import Image
from refusals import ANALYZE, UNKNOWN, Case, check, ids, refused
from study_fixtures import rezipped

from quantlab.samples import ACCEPTED

# Models


def cut(source: str, target: str, share: float) -> Callable[[Path], object]:
    def prepare(place: Path) -> None:
        data = (place / source).read_bytes()
        (place / target).write_bytes(data[: int(len(data) * share)])

    return prepare


def weights_only(place: Path) -> None:
    with h5py.File(place / "alone.h5", "w") as file:
        file["layers/dense/vars/0"] = np.zeros((4, 3), np.float32)


def truncated_h5(place: Path) -> None:
    with h5py.File(place / "whole.h5", "w") as file:
        file["values"] = np.zeros(10_000, np.float32)
    cut("whole.h5", "digits.h5", 0.5)(place)


def lambda_layer(place: Path) -> None:
    layer = {"class_name": "Lambda", "config": {"name": "squash", "function": "…"}}
    config = json.dumps({"class_name": "Functional", "config": {"name": "model", "layers": [layer]}})
    rezipped(place / "digits.keras", place / "lambda.keras", config_json=lambda _: config)


def tfjs_folder(place: Path) -> None:
    (place / "web").mkdir()
    (place / "web" / "model.json").write_text("{}")


ACCEPTED_MODELS = (
    "a .keras file, an .h5 or .hdf5 file of a whole Keras model, a SavedModel folder, an .onnx or .tflite file, or the "
    "folder or model.json of a TensorFlow.js model"
)

MODELS = [
    Case(
        "no such model, but one of nearly its name",
        "analyze digit.keras --data digits.npz",
        f"there is no model at 'digit.keras' (did you mean 'digits.keras'?); give {ACCEPTED_MODELS}",
    ),
    Case(
        "no such model, in a folder that is not there",
        "analyze nowhere/model.keras --data digits.npz",
        f"there is no model at 'nowhere/model.keras'; give {ACCEPTED_MODELS}",
    ),
    Case(
        "a .keras file cut short",
        "analyze cut.keras --data digits.npz",
        "'cut.keras' is not a complete .keras file (File is not a zip file); if it was "
        "truncated, copy or save it again",
        cut("digits.keras", "cut.keras", 0.6),
    ),
    Case(
        "an .h5 file cut short",
        "analyze digits.h5 --data digits.npz",
        f"'digits.h5' could not be read as HDF5; if it was truncated, save it again, otherwise give {ACCEPTED_MODELS}",
        truncated_h5,
    ),
    Case(
        "an .h5 file of weights only",
        "analyze alone.h5 --data digits.npz",
        "'alone.h5' contains only weights, and a model needs its layers too; save the whole "
        "model with model.save('model.keras') and give that file",
        weights_only,
    ),
    Case(
        "a Lambda layer without --unsafe",
        "analyze lambda.keras --data digits.npz",
        "the Lambda layer 'squash' of 'lambda.keras' contains Python code that runs when the "
        "model is opened; if you trust the file, allow it with --unsafe",
        lambda_layer,
    ),
    Case(
        "an empty folder",
        "analyze empty --data digits.npz",
        f"the folder 'empty' has no saved_model.pb, so it is not a SavedModel; give {ACCEPTED_MODELS}",
        lambda place: (place / "empty").mkdir(),
    ),
    Case(
        "a model for TensorFlow.js that is none",
        "analyze web --data digits.npz",
        "'web/model.json' has no weightsManifest, so it is not a tfjs model; convert the model again",
        tfjs_folder,
    ),
]


# Samples


def arrays(**changed: object) -> Callable[[Path], object]:
    """Writes `other.npz`: the digits with arrays replaced, or left out where None."""

    def prepare(place: Path) -> None:
        with np.load(place / "digits.npz") as held:
            given = {name: held[name] for name in held.files}
        for name, change in changed.items():
            given[name] = change(given.get(name)) if callable(change) else change
        np.savez(place / "other.npz", **{name: values for name, values in given.items() if values is not None})

    return prepare


def with_nan(x: np.ndarray) -> np.ndarray:
    x[2, 3, 4, 0] = np.nan
    return x


def images(place: Path) -> None:
    for digit in range(10):
        folder = place / "images" / str(digit)
        folder.mkdir(parents=True)
        for number in range(2):
            Image.fromarray(np.full((8, 8), digit, np.uint8)).save(folder / f"{number}.png")
    broken = place / "images" / "3" / "1.png"
    broken.write_bytes(broken.read_bytes()[:50])


LOADER = """
import numpy as np

random = np.random.default_rng()
x, y = np.arange(640, dtype=np.float32).reshape(10, 8, 8, 1), np.arange(10)

def shuffled():
    order = random.permutation(10)
    return x[order], y[order]
"""
OTHER = f"{ANALYZE} --data other.npz"

SAMPLES = [
    Case(
        "no such file, but one of nearly its name",
        f"{ANALYZE} --data digit.npz",
        f"there is no 'digit.npz'; samples can be {ACCEPTED}; did you mean 'digits.npz'?",
    ),
    Case(
        "an .npz file cut short",
        f"{ANALYZE} --data cut.npz",
        "'cut.npz' cannot be read (File is not a zip file); it is truncated or does not hold "
        "plain arrays, so write it again with numpy.savez",
        cut("digits.npz", "cut.npz", 0.7),
    ),
    Case(
        "another shape",
        OTHER,
        "the input 'image' expects samples of shape (8, 8, 1), but those of 'other.npz' have "
        "shape (8, 8); add the channel dimension with x[..., None]",
        arrays(x=lambda x: x[..., 0]),
    ),
    Case(
        "another dtype",
        OTHER,
        "the input 'image' expects float32, but 'other.npz' holds complex64; give numbers or booleans",
        arrays(x=lambda x: x.astype(np.complex64)),
    ),
    Case(
        "integers that float32 cannot hold",
        OTHER,
        "sample 0 (counted from 0) of 'other.npz' holds 16777217 in the input 'image', which "
        "expects float32, exact for integers from -16777216 to 16777216; scale the values to that range",
        arrays(x=lambda x: np.full(x.shape, 2**24 + 1, np.int32)),
    ),
    Case(
        "more samples than labels",
        OTHER,
        "'other.npz' holds 1,197 samples but 1,196 labels; give one label per sample",
        arrays(y=lambda y: y[1:]),
    ),
    Case(
        "labels that no class has",
        OTHER,
        "the labels go from 1 to 10, but the output 'output_0' has 10 classes; number the classes from 0 to 9",
        arrays(y=lambda y: y + 1),
        starts=True,
    ),
    Case(
        "no labels where the metric needs them",
        f"{OTHER} --metric top1",
        "the metric 'top1' needs labels and 'other.npz' has none; add them (y in a .npz, or --labels FILE), or compare "
        "with the reference only, with --metric similarity",
        arrays(y=None),
        starts=True,
    ),
    Case(
        "no array for the input",
        OTHER,
        "'other.npz' holds 'y', 'pixels', but the model's inputs are 'image'; name the arrays "
        "after the model's inputs, or 'x', and the labels 'y'",
        arrays(x=None, pixels=np.zeros((1197, 8, 8, 1))),
    ),
    Case(
        "no samples",
        OTHER,
        "'other.npz' holds no samples; give at least one, and several hundred for meaningful figures",
        arrays(x=lambda x: x[:0], y=lambda y: y[:0]),
    ),
    Case(
        "NaN in a sample",
        OTHER,
        "sample 2 (counted from 0) of 'other.npz' holds NaN in the input 'image'; correct or "
        "remove it, since it would make every score invalid",
        arrays(x=with_nan),
    ),
    Case(
        "an empty folder",
        f"{ANALYZE} --data empty",
        "'empty' holds no images (.png, .jpg, .jpeg, .bmp, .webp); give a folder with one folder of images for each "
        "class",
        lambda place: (place / "empty").mkdir(),
    ),
    Case(
        "a broken image",
        f"{ANALYZE} --data images",
        "the image 'images/3/1.png' cannot be decoded (image file is truncated); repair or remove it",
        images,
    ),
    Case(
        "a loader that gives other samples on its second pass",
        f"{ANALYZE} --data loader:shuffled",
        "the loader 'loader:shuffled' gave other samples on its second pass, but every runtime "
        "must be fed the same; turn off shuffling and augmentation, or seed them",
        lambda place: (place / "loader.py").write_text(LOADER),
    ),
    Case(
        "the same samples to calibrate and to score",
        f"{ANALYZE} --data digits.npz --calibration ./digits.npz",
        "'digits.npz' is given both as samples and as calibration samples, but calibration "
        "samples must not be scored; leave --calibration out, and quantlab sets a part of the "
        "samples aside",
    ),
]


# Names and options

LAYERS = "tfjs-layers-float32, tfjs-layers-float16, tfjs-layers-uint8, tfjs-layers-uint16"
LITERT_QUANTIZER = ", ".join(
    f"tflite-{scheme}"
    for scheme in (
        *("dynamic-wi8", "weight-only-wi8", "dynamic-wi4", "weight-only-wi4"),
        *("static-wi8-ai8", "static-wi8-ai16"),
    )
)

NAMES = [
    Case(
        "an unknown setting",
        f"{UNKNOWN} --settings tfjs-int8",
        "there is no setting 'tfjs-int8'; did you mean 'tfjs-uint8' or 'tfjs-uint16'?",
    ),
    Case(
        "a glob that matches no setting",
        f"{UNKNOWN} --settings tfjs-*,coreml-*",
        "there is no setting 'coreml-*'; choose from tfjs-float32, tfjs-float16, tfjs-uint8, tfjs-uint16, "
        "tfjs-uint8-per-channel, "
        f"{LAYERS}, tflite-float32, "
        f"tflite-float16, tflite-dynamic, tflite-int8, tflite-int16x8, {LITERT_QUANTIZER}, onnx-float32, "
        "onnx-float16, onnx-dynamic, "
        "onnx-int8",
    ),
    Case(
        "no setting at all",
        f"{UNKNOWN} --settings ,",
        "no setting is named; choose from tfjs-float32, tfjs-float16, tfjs-uint8, tfjs-uint16, "
        "tfjs-uint8-per-channel, "
        f"{LAYERS}, tflite-float32, "
        f"tflite-float16, tflite-dynamic, tflite-int8, tflite-int16x8, {LITERT_QUANTIZER}, onnx-float32, "
        "onnx-float16, onnx-dynamic, "
        "onnx-int8",
    ),
    Case(
        "an unknown runtime",
        f"{UNKNOWN} --runtimes python,node-wsam",
        "there is no runtime 'node-wsam'; did you mean 'node-wasm' or 'node-native'?",
    ),
    Case(
        "an unknown metric",
        f"{UNKNOWN} --metric top-1",
        "there is no metric 'top-1'; did you mean 'top1' or 'topK'?",
    ),
    Case(
        "a top-k of nothing",
        f"{UNKNOWN} --metric top0",
        "the metric 'top0' names no k; write a number of at least 1, without zeros before it, for example top1",
    ),
    Case(
        "an unknown output",
        f"{UNKNOWN} --score-output output_1",
        "there is no output 'output_1'; did you mean 'output_0'?",
    ),
    Case(
        "an unknown format",
        "show digits.study --format markdwon",
        "there is no format 'markdwon'; did you mean 'markdown'?",
    ),
    Case(
        "an unknown option",
        f"{UNKNOWN} --jjjjjj",
        "no such option: --jjjjjj; see 'quantlab --help'",
    ),
    Case(
        "an unknown command",
        "zeal digits.keras",
        "no such command 'zeal'; see 'quantlab --help'",
    ),
    Case(
        "no data",
        "analyze digits.keras",
        "no data is named; give it with --data, or as 'data' in [analyze] of a quantlab.toml",
    ),
    Case(
        "a variant without a file",
        f"{UNKNOWN} --variant mine",
        "--variant mine does not have the form NAME=FILE[@RUNTIMES]; write for example --variant mine=model.tflite",
    ),
    Case(
        "an unknown runtime of a variant",
        f"{UNKNOWN} --variant mine=a.tflite@pyton",
        "there is no runtime 'pyton'; did you mean 'python'?",
    ),
    Case(
        "two variants of one name",
        f"{UNKNOWN} --variant mine=a.tflite --variant mine=b.tflite",
        "--variant names 'mine' twice; give each variant a different name",
    ),
    Case(
        "a variant with a setting's name",
        f"{UNKNOWN} --variant tfjs-uint8=a.tflite",
        "--variant tfjs-uint8=… has the name of a setting; give the row another name, as 'my-tfjs-uint8'",
    ),
    Case(
        "a variant with a name that leaves its folder",
        f"{UNKNOWN} --variant ../mine=a.tflite",
        "--variant ../mine=… cannot name a folder of the study; use letters, digits and dashes",
    ),
    Case(
        "a preprocessing for arrays",
        f"{UNKNOWN} --scale 0.5",
        "preprocessing options are given, but 'digits.npz' is not a folder of images, and arrays "
        "are not preprocessed; leave the options out, or apply the preprocessing to the arrays",
    ),
    Case(
        "an unknown key in quantlab.toml",
        UNKNOWN,
        "[preprocessing] has no key 'colour_order'; did you mean 'colour'?",
        lambda place: (place / "quantlab.toml").write_text('[preprocessing]\ncolour_order = "bgr"\n'),
    ),
    Case(
        "a quantlab.toml that is not there",
        f"{UNKNOWN} --config nowhere.toml",
        "there is no file 'nowhere.toml' to read [analyze] from; name an existing TOML file",
    ),
    Case(
        "calibration samples that are not there",
        "convert digits.keras --settings tflite-int8 --out web --calibration digit.npz",
        f"there is no 'digit.npz'; samples can be {ACCEPTED}; did you mean 'digits.npz'?",
    ),
]


@pytest.mark.parametrize("case", ids(MODELS))
def test_a_model_that_cannot_be_opened(case, place):
    check(case, place)


@pytest.mark.parametrize("case", ids(SAMPLES))
def test_samples_that_do_not_fit(case, place):
    check(case, place)


@pytest.mark.parametrize("case", ids(NAMES))
def test_an_option_that_names_nothing(case, place):
    check(case, place)


def own_layer(place: Path) -> None:
    def rename(config: str) -> str:
        document = json.loads(config)
        layer = next(entry for entry in document["config"]["layers"] if entry["class_name"] == "ReLU")
        layer.update(class_name="Bend", module=None, registered_name="shop>Bend")
        return json.dumps(document)

    rezipped(place / "digits.keras", place / "own.keras", config_json=rename)


def test_layers_of_the_users_own_that_are_not_found(place):
    own_layer(place)
    done = quantlab_in_process("analyze", "own.keras", "--data", "digits.npz", cwd=place)
    refused(
        done,
        "'own.keras' uses 'Bend', which is not part of Keras; name the module that registers it "
        "(@keras.saving.register_keras_serializable()) with --custom MODULE",
    )
    done = quantlab_in_process("analyze", "own.keras", "--data", "digits.npz", "--custom", "shop", cwd=place)
    refused(
        done,
        "the module 'shop', named with --custom, could not be imported (ModuleNotFoundError: No module named 'shop'); "
        "give the name of a module that Python finds from the current folder",
    )
