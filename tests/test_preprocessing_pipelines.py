"""Pipelines: what a declaration and a model's input give, and where they contradict each other."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.errors import SamplesError, UsageError
from quantlab.preprocessing import (
    FAMILY_MODES,
    MODES,
    central_box,
    described,
    log_mel,
    mel_weights,
    pipeline_for,
    placement,
    resampled,
    spectrogram,
    steps_of,
    suggested_mode,
    tensor_of,
)
from quantlab.types import MelSpectrogram, Preprocessing, TensorSpec

COLOURS = TensorSpec("image", (None, 24, 32, 3), "float32")
GREY = TensorSpec("image", (None, 28, 28), "float32")
FIRST = TensorSpec("image", (None, 3, 24, 32), "float32")
RANDOM = np.random.default_rng(3).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def test_what_is_left_open_comes_from_the_model():
    pipeline = pipeline_for(Preprocessing(mode="caffe", layout="channels-first"), FIRST)
    assert (pipeline.size, pipeline.colour, pipeline.dtype) == ((24, 32), "bgr", "float32")
    assert (pipeline.scale, pipeline.offset) == ((1.0, 1.0, 1.0), (-103.939, -116.779, -123.68))
    assert pipeline.shape == (3, 24, 32)
    assert pipeline_for(Preprocessing(), GREY).shape == (28, 28)


def test_equal_pipelines_have_equal_hashes():
    named = pipeline_for(Preprocessing(mode="mobilenet_v2"), COLOURS)
    written = pipeline_for(Preprocessing(scale=1 / 127.5, offset=-1), COLOURS)
    assert named == written
    assert named.sha256 == written.sha256
    assert named.sha256 != pipeline_for(Preprocessing(mode="torch"), COLOURS).sha256


@pytest.mark.parametrize(
    ("declared", "spec", "words"),
    [
        pytest.param(
            {"mode": "torch", "resizer": "tf", "aspect": "crop", "shorter_side": 40, "central_crop": 0.9},
            COLOURS,
            "rgb 24×32, bilinear of tf for files of another size; 0.9 of the centre kept; cropped to the centre from a "
            "shorter side of 40; values 0–255 as the mode 'torch'",
            id="everything",
        ),
        pytest.param(
            {"aspect": "pad", "pad_value": 114, "layout": "channels-first", "scale": (1.0, 2.0, 3.0)},
            FIRST,
            "rgb 24×32, Pillow's bilinear for files of another size; padded with 114; values 0–255 × (1.0, 2.0, 3.0) + "
            "0.0; channels-first",
            id="padded, for each channel",
        ),
    ],
)
def test_words(declared, spec, words):
    asked = Preprocessing(**declared)
    assert described(pipeline_for(asked, spec), asked) == words


@pytest.mark.parametrize(
    ("declared", "spec", "error", "message"),
    [
        pytest.param(
            {"mode": "mobilnet_v2"},
            COLOURS,
            UsageError,
            "there is no preprocessing mode 'mobilnet_v2'; did you mean 'mobilenet_v2' or 'mobilenet_v3'?",
            id="no such mode",
        ),
        pytest.param(
            {"mode": "tf", "scale": 0.5},
            COLOURS,
            UsageError,
            "the mode 'tf' has its own scale and offset, and others are given; leave the mode out, or the scale and "
            "the offset",
            id="a mode and a scale",
        ),
        pytest.param(
            {"mode": "torch"},
            GREY,
            SamplesError,
            "the colour order 'rgb' gives 3 channels, but the input 'image' expects (28, 28); leave it at 'auto'",
            id="a mode of colours for a grey input",
        ),
        pytest.param(
            {"mode": "caffe", "colour": "rgb"},
            COLOURS,
            UsageError,
            "the mode 'caffe' is for the colour order 'bgr', and 'rgb' is given; leave the colour order out",
            id="a mode and another colour order",
        ),
        pytest.param(
            {"resizer": "tfjs", "resize": "area"},
            COLOURS,
            UsageError,
            "the resizer 'tfjs' has no method 'area'; choose from bilinear, nearest",
            id="a method of another resizer",
        ),
        pytest.param(
            {"resizer": "tensorflow"},
            COLOURS,
            UsageError,
            "there is no resizer 'tensorflow'; choose from pillow, pillow-12, torchvision, tf, tf-antialias, opencv, "
            "tfjs, tfjs-half-pixel, tfjs-align-corners",
            id="no such resizer",
        ),
        pytest.param(
            {"aspect": "crop", "shorter_side": 30},
            COLOURS,
            UsageError,
            "shorter_side is 30, and the sample has 24×32 pixels; give at least 32",
            id="a shorter side that does not cover",
        ),
        pytest.param(
            {"shorter_side": 40},
            COLOURS,
            UsageError,
            "shorter_side is for the aspect 'crop'; leave it out, or set aspect = \"crop\"",
            id="a shorter side without cropping",
        ),
        pytest.param(
            {"central_crop": 0.0},
            COLOURS,
            UsageError,
            "central_crop is 0.0 and must be above 0 and at most 1; write for example 0.875",
            id="nothing kept",
        ),
        pytest.param(
            {"aspect": "pad", "pad_value": 256},
            COLOURS,
            UsageError,
            "pad_value is 256.0 and must be a whole pixel value from 0 to 255",
            id="whiter than white",
        ),
        pytest.param(
            {"scale": 0.0},
            COLOURS,
            UsageError,
            "scale is 0, and 0 makes all pixels of a channel equal; give for example 0.00392157, or leave it out",
            id="all pixels times zero",
        ),
        pytest.param(
            {"scale": (1.0, 0.0, 1.0)},
            COLOURS,
            UsageError,
            "scale is 1, 0, 1, and 0 makes all pixels of a channel equal; give for example 0.00392157, or leave it out",
            id="one channel times zero",
        ),
        pytest.param(
            {"aspect": "crop", "shorter_side": 9000},
            COLOURS,
            UsageError,
            "the preprocessing makes images of 9,000 pixels a side, and at most 8,192 are supported; give a smaller "
            "size",
            id="more pixels than memory holds",
        ),
        pytest.param(
            {"scale": (1.0, 2.0)},
            COLOURS,
            UsageError,
            "scale has 2 numbers, and the colour order 'rgb' has 3 channels; give one number, or 3",
            id="two numbers for three channels",
        ),
        pytest.param(
            {"layout": "channels-first"},
            COLOURS,
            SamplesError,
            "the layout 'channels-first' makes samples of shape (1 or 3, height, width), but the input 'image' expects "
            "(24, 32, 3); leave the layout out",
            id="another layout than the model's",
        ),
        pytest.param(
            {"size": (8, 8), "layout": "channels-first"},
            FIRST,
            SamplesError,
            "the preprocessing makes images of 8×8, but the input 'image' expects (3, 24, 32); leave the size out to "
            "use the model's input size",
            id="another size than the model's",
        ),
        pytest.param(
            {"dtype": "uint8"},
            COLOURS,
            SamplesError,
            "the preprocessing makes uint8, but the input 'image' expects float32; leave the dtype out",
            id="another data type than the model's",
        ),
        pytest.param(
            {"resizer": "tf"},
            TensorSpec("image", (None, 24, 32, 3), "uint8"),
            SamplesError,
            "the input 'image' expects uint8, but the resizer 'tf' gives fractional values with the method 'bilinear'; "
            "choose the resizer 'pillow' or the method 'nearest'",
            id="fractions for integers",
        ),
    ],
)
def test_what_is_refused(declared, spec, error, message):
    with pytest.raises(error) as refusal:
        pipeline_for(Preprocessing(**declared), spec)
    assert str(refusal.value) == message


def test_without_resizing_another_size_is_refused():
    pipeline = pipeline_for(Preprocessing(resize="none"), COLOURS)
    with pytest.raises(ValueError, match=r"^has 23×32 pixels, and the preprocessing expects 24×32 and does not resize"):
        tensor_of(pipeline, RANDOM[1:])


SIZES = st.tuples(st.integers(1, 400), st.integers(1, 400))


@given(size=SIZES, aspect=st.sampled_from(["crop", "pad"]), side=st.none() | st.integers(32, 80))
def test_a_sample_is_covered_or_holds_the_whole_image(size, aspect, side):
    declared = Preprocessing(aspect=aspect, shorter_side=side if aspect == "crop" else None)
    place = placement(pipeline_for(declared, COLOURS), *size)
    for resized, corner, wanted in zip(place.resized, (place.top, place.left), (24, 32), strict=True):
        if aspect == "crop":
            assert 0 <= corner <= resized - wanted
            assert abs(2 * corner - (resized - wanted)) <= 1
        else:
            assert 1 <= resized <= wanted
            assert abs(-2 * corner - (wanted - resized)) <= 1


_LIBRARIES = """
import json, sys
import keras
import numpy as np
import tensorflow as tf
image = np.load(sys.argv[1] + "/image.npy")
for name in json.loads(sys.argv[2]):
    module = {"mobilenet_v3": "mobilenet_v3", "resnet": "resnet"}.get(name, name)
    preprocess = getattr(keras.applications, module).preprocess_input
    np.save(f"{sys.argv[1]}/{name}.npy", preprocess(image.astype(np.float32)))
for place, (height, width, share) in enumerate(json.loads(sys.argv[3])):
    rows = tf.image.central_crop(np.arange(height * width).reshape(height, width, 1), share)
    np.save(f"{sys.argv[1]}/crop-{place}.npy", rows)
signal = np.load(sys.argv[1] + "/signal.npy")
magnitudes = tf.abs(tf.signal.stft(signal, frame_length=640, frame_step=320, fft_length=1024))
weights = tf.signal.linear_to_mel_weight_matrix(40, 513, 16000, 20.0, 4000.0)
np.save(sys.argv[1] + "/magnitudes.npy", magnitudes)
np.save(sys.argv[1] + "/weights.npy", weights)
np.save(sys.argv[1] + "/log-mel.npy", tf.math.log(magnitudes @ weights + 1e-6))
padded = tf.image.resize_with_pad(np.full((61, 40, 3), 9, np.uint8), 24, 32)
np.save(sys.argv[1] + "/pad.npy", padded)
"""
SIGNAL = np.sin(np.arange(5000) ** 1.4 / 50).astype(np.float32)
SPECTROGRAM = MelSpectrogram(16000, 640, 320, 1024, 40, 20.0, 4000.0)
CROPS = [(101, 64, 0.875), (64, 101, 0.5), (37, 41, 0.333), (224, 224, 0.9)]


@pytest.fixture(scope="module")
def by_libraries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keras")
    np.save(folder / "image.npy", RANDOM)
    np.save(folder / "signal.npy", SIGNAL)
    words = [sys.executable, "-c", _LIBRARIES, str(folder), json.dumps([*FAMILY_MODES]), json.dumps(CROPS)]
    subprocess.run(words, check=True, capture_output=True)
    return folder


@pytest.mark.starts_children
@pytest.mark.parametrize("family", FAMILY_MODES)
def test_families_are_those_of_keras(family, by_libraries):
    tensor = tensor_of(pipeline_for(Preprocessing(mode=family), COLOURS), RANDOM)
    np.testing.assert_allclose(tensor, np.load(by_libraries / f"{family}.npy"), rtol=0, atol=2e-5)


@pytest.mark.starts_children
def test_geometry_is_that_of_tensorflow(by_libraries):
    for place, (height, width, share) in enumerate(CROPS):
        top, left, rows, columns = central_box(height, width, share=share)
        kept = np.arange(height * width).reshape(height, width, 1)[top : top + rows, left : left + columns]
        np.testing.assert_array_equal(np.load(by_libraries / f"crop-{place}.npy"), kept)
    pipeline = pipeline_for(Preprocessing(aspect="pad", resizer="tf"), COLOURS)
    np.testing.assert_array_equal(
        tensor_of(pipeline, np.full((61, 40, 3), 9, np.uint8)), np.load(by_libraries / "pad.npy")
    )


def test_every_mode_scales_as_its_formula():
    pixels = np.full((24, 32, 3), 255, np.uint8)
    values = {name: tensor_of(pipeline_for(Preprocessing(mode=name), COLOURS), pixels)[0, 0].tolist() for name in MODES}
    assert values["raw"] == [255, 255, 255]
    assert values["unit"] == [1, 1, 1]
    assert values["tf"] == [1, 1, 1]
    assert values["torch"] == pytest.approx([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225])
    assert values["caffe"] == pytest.approx([255 - 103.939, 255 - 116.779, 255 - 123.68])


# Signals


@pytest.mark.starts_children
def test_spectrograms_are_those_of_tensorflow(by_libraries):
    magnitudes = spectrogram(SIGNAL, SPECTROGRAM)
    np.testing.assert_allclose(magnitudes, np.load(by_libraries / "magnitudes.npy"), rtol=0, atol=2e-4)
    np.testing.assert_allclose(mel_weights(SPECTROGRAM), np.load(by_libraries / "weights.npy"), rtol=0, atol=2e-5)
    # As bands and not as logarithms: TensorFlow's transform in float32 adds noise, which shows in quiet bands.
    bands, expected = np.exp(log_mel(SIGNAL, SPECTROGRAM)), np.exp(np.load(by_libraries / "log-mel.npy"))
    np.testing.assert_allclose(bands, expected, rtol=1e-4, atol=1e-3)
    assert log_mel(SIGNAL, SPECTROGRAM).shape == (14, 40)


def test_a_resampled_tone_keeps_its_frequency():
    tone = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    slower = resampled(tone, 44100, 16000)
    assert (slower.shape, slower.dtype) == ((16000,), np.float32)
    assert np.abs(np.fft.rfft(slower)).argmax() == 440
    np.testing.assert_array_equal(resampled(slower, 16000, 16000), slower)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"fft_length": 512}, "a frame of 640 samples does not fit into a transform of 512", id="a frame"),
        pytest.param(
            {"upper_hz": 9000.0}, "bands from 20 to 9000 Hz do not lie between 0 and 8000 Hz", id="above half the rate"
        ),
    ],
)
def test_parameters_without_meaning(changes, message):
    with pytest.raises(ValueError, match=message):
        log_mel(SIGNAL, replace(SPECTROGRAM, **changes))


# Suggestions


def model(name, *layers):
    return {"class_name": "Functional", "config": {"name": name, "layers": list(layers)}}


def layer(kind):
    return {"class_name": kind, "config": {"name": kind.lower()}}


@pytest.mark.parametrize(
    ("config", "mode"),
    [
        pytest.param(model("mine", layer("InputLayer"), layer("Rescaling")), "raw", id="a layer that scales"),
        pytest.param(
            model("mine", layer("InputLayer"), layer("RandomFlip"), layer("Normalization")), "raw", id="behind a flip"
        ),
        pytest.param(model("mobilenetv2_1.00_224", layer("InputLayer"), layer("Conv2D")), "mobilenet_v2", id="a name"),
        pytest.param(model("MobileNetV3Small", layer("InputLayer"), layer("Rescaling")), "raw", id="both"),
        pytest.param(
            model("mine", layer("InputLayer"), model("resnet50v2", layer("InputLayer"), layer("ZeroPadding2D"))),
            "resnet_v2",
            id="a model inside",
        ),
        pytest.param(
            model("mobilenet_1.00_224", layer("InputLayer"), layer("TrueDivide")), None, id="arithmetic of its own"
        ),
        pytest.param(model("mine", layer("InputLayer"), layer("Conv2D")), None, id="neither"),
        pytest.param({"config": {"layers": [3, None, {"class_name": 4}]}}, None, id="no layers"),
        pytest.param([1], None, id="no model"),
    ],
)
def test_suggestions(config, mode):
    suggestion = suggested_mode(config)
    assert (suggestion and suggestion.mode) == mode


@pytest.mark.parametrize(
    ("declared", "steps"),
    [
        pytest.param(Preprocessing(), ["Resize to 24×32 as "], id="stretched"),
        pytest.param(
            Preprocessing(aspect="crop", shorter_side=40),
            ["Resize with the same aspect to a shorter side of 40 as ", "Keep 24×32 at the centre."],
            id="cropped",
        ),
        pytest.param(
            Preprocessing(aspect="pad", pad_value=99),
            [
                "Resize with the same aspect, so that it just fits into 24×32, as ",
                "Lay it into the centre of 24×32 pixels of the value 99.",
            ],
            id="padded",
        ),
    ],
)
def test_every_number_of_a_pipeline_is_told(declared, steps):
    told = steps_of(pipeline_for(declared, TensorSpec("image", (None, 24, 32, 3), "float32")))
    assert [text[: len(step)] for text, step in zip(told[1:-1], steps, strict=True)] == steps


def test_channels_that_come_first_are_told():
    declared = Preprocessing(layout="channels-first")
    told = steps_of(pipeline_for(declared, TensorSpec("image", (None, 3, 24, 32), "float32")))
    assert told[-1] == "Put the channels first: (channels, height, width)."
