"""Each resizer equals the library that it names."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, __version__

from quantlab.preprocessing import RESIZERS
from quantlab.runtimes.node import find_node

FIXTURES = Path(__file__).parent / "fixtures"
JS = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js"
SIZES = [((37, 53), (24, 31)), ((20, 30), (40, 60)), ((100, 80), (50, 40)), ((7, 9), (33, 20)), ((90, 31), (7, 30))]
PIL_NAMES = {"nearest": "NEAREST", "bilinear": "BILINEAR", "bicubic": "BICUBIC", "lanczos": "LANCZOS", "area": "BOX"}
INSTALLED = "pillow" if int(__version__.partition(".")[0]) >= 13 else "pillow-12"


def pixels(size, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, channels), dtype=np.uint8)


@pytest.mark.parametrize("method", RESIZERS[INSTALLED].methods)
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    wanted=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_pillow(method, size, wanted, channels, seed):
    image = pixels(size, channels, seed)
    by_pillow = Image.fromarray(image[..., 0] if channels == 1 else image).resize(
        wanted[::-1], Image.Resampling[PIL_NAMES[method]]
    )
    expected = np.asarray(by_pillow).reshape(*wanted, channels)
    np.testing.assert_array_equal(RESIZERS[INSTALLED].resize(image, wanted, method), expected)
    np.testing.assert_array_equal(RESIZERS[INSTALLED].fastest(image, wanted, method), expected)


def test_the_installed_pillow_resizes():
    """Its arithmetic in NumPy is a hundred times slower."""
    other = {"pillow": "pillow-12", "pillow-12": "pillow"}[INSTALLED]
    assert RESIZERS[INSTALLED].fastest is not RESIZERS[INSTALLED].resize
    assert RESIZERS[other].fastest is RESIZERS[other].resize


def test_pillow_13_and_earlier_differ_in_tall_pictures_alone():
    wide, tall = pixels((31, 90)), pixels((90, 31))
    new, old = (RESIZERS[name].resize for name in ("pillow", "pillow-12"))
    np.testing.assert_array_equal(new(wide, (30, 7), "bilinear"), old(wide, (30, 7), "bilinear"))
    assert (new(tall, (7, 30), "bilinear") != old(tall, (7, 30), "bilinear")).any()


TENSORFLOW = """
import json, sys
import numpy as np
import tensorflow as tf
for name, methods in json.loads(sys.argv[2]).items():
    for method in methods:
        for place, (size, wanted) in enumerate(json.loads(sys.argv[3])):
            image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
            tf_method = {"lanczos": "lanczos3"}.get(method, method)
            resized = tf.image.resize(image, wanted, tf_method, antialias=name == "tf-antialias").numpy()
            np.save(f"{sys.argv[1]}/{name}-{method}-{place}.npy", resized)
for place, share in enumerate((0.875, 0.5, 0.333)):
    np.save(f"{sys.argv[1]}/crop-{place}.npy", tf.image.central_crop(np.arange(101 * 64).reshape(101, 64, 1), share))
"""
"""Runs TensorFlow in a process of its own, once for all tests."""


@pytest.fixture(scope="module")
def by_tensorflow(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensorflow")
    methods = {name: list(RESIZERS[name].methods) for name in ("tf", "tf-antialias")}
    words = [sys.executable, "-c", TENSORFLOW, str(folder), json.dumps(methods), json.dumps(SIZES)]
    subprocess.run(words, check=True, capture_output=True)
    return folder


@pytest.mark.starts_children
@pytest.mark.parametrize(
    ("name", "method"), [(name, method) for name in ("tf", "tf-antialias") for method in RESIZERS[name].methods]
)
def test_tensorflow(name, method, by_tensorflow):
    # TensorFlow computes the sines of lanczos in float32, with its own approximation.
    tolerance = 2e-4 if method == "lanczos" else 0
    for place, (size, wanted) in enumerate(SIZES):
        expected = np.load(by_tensorflow / f"{name}-{method}-{place}.npy")
        resized = RESIZERS[name].resize(pixels(size), wanted, method)
        assert resized.dtype == expected.dtype
        np.testing.assert_allclose(resized, expected, rtol=0, atol=tolerance)
        assert RESIZERS[name].methods[method].keeps_pixels == (expected.dtype == np.uint8)


@pytest.mark.parametrize("method", RESIZERS["opencv"].methods)
def test_opencv(method):
    """The vectors were made by `cv2.resize` of opencv-python-headless 5.0.0.93 with `tests/opencv_vectors.py`."""
    with np.load(FIXTURES / "opencv-resize.npz") as kept:
        for place, (size, wanted) in enumerate(SIZES):
            expected = kept[f"{method}-{place}"]
            np.testing.assert_array_equal(RESIZERS["opencv"].resize(pixels(size), wanted, method), expected)


_TFJS = """
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import fs from 'node:fs';
await tf.setBackend('cpu');
const flags = { tfjs: [false, false], 'tfjs-half-pixel': [false, true], 'tfjs-align-corners': [true, false] };
const made = JSON.parse(fs.readFileSync(0, 'utf8')).map(({ name, method, pixels, wanted }) => {
  const operation = method === 'nearest' ? tf.image.resizeNearestNeighbor : tf.image.resizeBilinear;
  return Array.from(operation(tf.tensor3d(pixels, undefined, 'float32'), wanted, ...flags[name]).dataSync());
});
console.log(JSON.stringify(made));
"""


@pytest.mark.starts_children
def test_tfjs(tmp_path):
    """The cpu backend of TensorFlow.js itself gives the same, to the last bit."""
    if not (JS / "node_modules").is_dir():
        pytest.skip("needs the packages of npm, which building quantlab installs")
    (tmp_path / "node_modules").symlink_to(JS / "node_modules")
    (tmp_path / "run.mjs").write_text(_TFJS)
    names = [(name, method) for name in RESIZERS if name.startswith("tfjs") for method in RESIZERS[name].methods]
    cases = [
        {"name": name, "method": method, "pixels": pixels(size).tolist(), "wanted": wanted}
        for name, method in names
        for size, wanted in SIZES
    ]
    program, _ = find_node()
    words = [program, str(tmp_path / "run.mjs")]
    done = subprocess.run(words, input=json.dumps(cases), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for case, values in zip(cases, json.loads(done.stdout.splitlines()[-1]), strict=True):
        resized = RESIZERS[case["name"]].resize(
            np.array(case["pixels"], np.uint8), tuple(case["wanted"]), case["method"]
        )
        np.testing.assert_array_equal(resized.ravel(), np.float32(values), err_msg=f"{case['name']} {case['method']}")


@pytest.mark.parametrize("name", RESIZERS)
def test_contract(name):
    resizer = RESIZERS[name]
    for method, definition in resizer.methods.items():
        image = pixels((13, 17))
        kept = image.copy()
        resized = resizer.resize(image, (8, 21), method)
        assert resized.shape == (8, 21, 3)
        assert resized.dtype == (np.uint8 if definition.keeps_pixels else np.float32)
        np.testing.assert_array_equal(image, kept)
        flat = np.full((13, 17, 1), 77, np.uint8)
        np.testing.assert_allclose(resizer.resize(flat, (8, 21), method), 77, atol=1e-4)
        assert definition.formula
        assert definition.equals
    with pytest.raises(KeyError):
        resizer.resize(image, (8, 21), "none of all")
