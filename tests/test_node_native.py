"""node-native: how its addon is located and built, and the comparison of Python with JavaScript."""

import math

import numpy as np
import pytest
from command_line import quantlab_in_process
from contracts import refuse_absent
from official import run_as_program

from quantlab import analyze
from quantlab.errors import RuntimeUnavailable
from quantlab.runtimes import RUNTIMES, build_addon, find_addon
from quantlab.store import Store
from quantlab.study.options import AnalyzeOptions

pytestmark = pytest.mark.starts_children

TEN_LAYERS = """
import sys
import tf_keras
tf_keras.utils.set_random_seed(1)
uniform = tf_keras.initializers.RandomUniform(-1, 1)
ones = tf_keras.Input((50,), name="ones")
layers, value = [], ones
for number in range(10):
    dense = tf_keras.layers.Dense(50, kernel_initializer=uniform, bias_initializer=uniform, name=f"dense_{number}")
    layers.append(value := dense(value))
tf_keras.Model(ones, layers).save(sys.argv[1])
"""


@pytest.fixture(scope="module")
def ten_layers(tmp_path_factory):
    """Ten linear layers of 50 in a row, each an output, and one sample of ones."""
    folder = tmp_path_factory.mktemp("ten-layers")
    run_as_program(TEN_LAYERS, folder / "ten.log", str(folder / "ten.h5"))
    np.savez(folder / "ones.npz", x=np.ones((1, 50), np.float32))
    np.savez(folder / "zeros.npz", x=np.zeros((1, 50), np.float32))  # one sample cannot be set aside and be scored
    return folder


def compared(folder, runtimes):
    """The ten layers in some runtimes, with oneDNN off: runtime → (layer, values, different, mean difference)."""
    options = AnalyzeOptions(
        calibration=str(folder / "zeros.npz"),
        out=folder / f"{runtimes[-1]}.study",
        settings=("tfjs-layers-float32",),
        runtimes=runtimes,
        score_output="dense_9",
        costs=False,
    )
    study = analyze(folder / "ten.h5", data=str(folder / "ones.npz"), options=options)
    assert [trial.failure for trial in study.trials] == [None] * len(runtimes)
    inside = Store(folder / f"{runtimes[-1]}.study").read_inside()
    # The float32 file is what others are compared with, and not with itself.
    assert {(row.setting, row.different, row.mean_abs) for row in inside.weights} == {
        ("tfjs-layers-float32", None, None)
    }
    assert len(inside.weights) == 20
    rows = {
        runtime: [
            (row.layer, row.count, row.different, row.mean_abs)
            for row in inside.layers
            if (row.runtime, row.baseline) == (runtime, "reference")
        ]
        for runtime in runtimes
    }
    return study, rows


@pytest.mark.needs_addon
def test_the_classic_comparison(ten_layers, monkeypatch):
    """Not one value differs: the same kernels on the same weights, whatever language asks for them."""
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    study, rows = compared(ten_layers, ("python", "node-native"))
    expected = [(f"dense_{number}", 50, 0, 0.0) for number in range(10)]
    assert rows == {"python": expected, "node-native": expected}
    assert {trial.environment["onednn"] for trial in (study.reference, *study.trials)} == {"off"}


@pytest.fixture(scope="module")
def elsewhere(ten_layers):
    """The rows of the ten layers where other arithmetic runs them: in WebAssembly, and in a browser."""
    refuse_absent(RUNTIMES["chromium-wasm"])
    browsers = [f"chromium-{backend}" for backend in ("wasm", "webgl", "webgpu", "webgl16")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
        _, rows = compared(ten_layers, ("python", "node-wasm", *browsers))
    return rows


@pytest.mark.parametrize("runtime", ["node-wasm", "chromium-wasm", "chromium-webgpu"])
def test_other_kernels_differ_a_little_and_ever_more(runtime, elsewhere):
    """In Node.js as in a browser: each layer makes its values four times larger, and the differences with them."""
    assert [row[:2] for row in elsewhere[runtime]] == [(f"dense_{number}", 50) for number in range(10)]
    assert all(different > 25 for _, _, different, _ in elsewhere[runtime][1:])
    means = [mean for *_, mean in elsewhere[runtime]]
    assert means == sorted(means)
    assert means[0] < 1e-6 < 1000 * means[0] < means[-1] < 5


def test_the_same_file_gives_the_same_values_in_node_and_in_a_browser(elsewhere):
    assert elsewhere["chromium-wasm"] == elsewhere["node-wasm"]


def test_webgl_differs_no_more_than_other_kernels(elsewhere):
    """A software renderer may add in the very order that Python does, and then nothing differs."""
    limits = [20 * mean for *_, mean in elsewhere["node-wasm"]]
    assert all(mean < limit for (*_, mean), limit in zip(elsewhere["chromium-webgl"], limits, strict=True))


def test_half_floats_end_where_the_values_are_too_large_for_them(elsewhere):
    """Every value differs, a thousand times more than elsewhere, and the eighth layer's are beyond 65504."""
    rows = elsewhere["chromium-webgl16"]
    assert [different for _, _, different, _ in rows] == [50] * 10
    means = [mean for *_, mean in rows]
    assert means == sorted(means)
    assert [math.isfinite(mean) for mean in means] == [True] * 7 + [False] * 3
    assert all(half > 500 * other for half, (*_, other) in zip(means, elsewhere["node-wasm"], strict=True))


def test_without_its_addon_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(RuntimeUnavailable) as unavailable:
        find_addon()
    sentence = str(unavailable.value)
    assert sentence.startswith("the runtime 'node-native' needs an addon that is compiled against TensorFlow 2.19.")
    assert sentence.endswith("build it with 'quantlab doctor --build node-native'")
    assert str(tmp_path) in sentence


@pytest.mark.parametrize(
    ("compiler", "sentence"),
    [
        pytest.param("/nowhere/g++", "did not finish ([Errno 2]", id="none"),
        pytest.param("false", "'false' could not compile node-native's addon", id="one that fails"),
    ],
)
def test_a_compiler_that_is_none(compiler, sentence, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", compiler)
    with pytest.raises(RuntimeUnavailable) as unavailable:
        build_addon()
    assert sentence in str(unavailable.value)
    assert not list(tmp_path.rglob("*.node"))


def test_there_is_nothing_else_to_build(tmp_path):
    done = quantlab_in_process("doctor", "--build", "node-wasm", cwd=tmp_path)
    assert done.status == 2
    assert "'node-wasm' cannot be built; --build takes node-native" in done.stderr
