"""Sums over the inputs of kernels: of which tensors and samples they are, and what is said if they are of fewer."""

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
from tfjs_graphs import node, write

from quantlab.progress import Silent
from quantlab.registries import REAL
from quantlab.study.options import AnalyzeOptions
from quantlab.study.tuning import activations
from quantlab.study.tuning.activations import TimeIsOverError, sums_over
from quantlab.types import SampleSet, TensorSpec, Timing, Trial
from quantlab_converters.tfjs_tuning import TunableGraph

tune = import_module("quantlab.study.tuning.tune")  # the package has a function of this name

PRODUCT = {"transpose_a": {"b": False}, "transpose_b": {"b": False}, "T": {"type": "DT_FLOAT"}}
NODES = [
    node("relu", "Relu", "input", T={"type": "DT_FLOAT"}),
    node("one", "MatMul", "input", "first", **PRODUCT),
    node("two", "MatMul", "relu", "second", **PRODUCT),
]
RANDOM = np.random.default_rng(2)
KERNELS = {name: RANDOM.normal(size=(8, 4)).astype(np.float32) for name in ("first", "second")}
ROWS = RANDOM.normal(size=(30, 8)).astype(np.float32)


@pytest.fixture
def weights(tmp_path):
    return TunableGraph.open(write(tmp_path, NODES, KERNELS, ("input",)))


class Session:
    """Reads two tensors, of which one cannot be read of some samples in some passes."""

    def __init__(self, failing):
        self.failing, self.passes = failing, dict.fromkeys(range(30), 0)

    def read(self, begin, end):
        taps = {"input": ROWS[begin:end], "relu": np.maximum(ROWS[begin:end], 0)}
        self.passes[begin] += 1
        if (begin, self.passes[begin]) in self.failing:
            del taps["relu"]
        return SimpleNamespace(taps=taps)


def reader_of(session):
    inputs = SimpleNamespace(context=SimpleNamespace(progress=Silent()))
    return activations._Reader(inputs, session, {})


@pytest.mark.parametrize("block_bytes", [1, 500, 1 << 20], ids=["a sample", "some samples", "all"])
@pytest.mark.parametrize(
    "failing",
    [
        pytest.param({(0, 1), (0, 2)}, id="the first sample"),
        pytest.param({(17, 1), (17, 2)}, id="a later sample"),
        pytest.param({(29, 2)}, id="the last sample, in the second pass alone"),
        pytest.param({(5, 1)}, id="in the first pass alone"),
    ],
)
def test_a_tensor_that_one_sample_lacks_has_no_sums(failing, block_bytes, weights, monkeypatch):
    """Sums over the other samples would pass for those over all; other tensors keep theirs."""
    monkeypatch.setattr(activations, "_BLOCK_BYTES", block_bytes)
    reader = reader_of(Session(failing))
    sums = sums_over(lambda: reader.blocks(range(30), np.inf), weights)
    assert {name: one.rows for name, one in sums.items()} == {"first": 30}
    plain = sums_over(lambda: iter([{"input": ROWS}]), weights)
    np.testing.assert_array_equal(sums["first"].products, plain["first"].products)


def test_all_tensors_that_can_be_read_are_summed(weights):
    reader = reader_of(Session(set()))
    assert {name: one.rows for name, one in sums_over(lambda: reader.blocks(range(30), np.inf), weights).items()} == {
        "first": 30,
        "second": 30,
    }


def test_no_samples_have_no_sums(weights):
    assert sums_over(lambda: iter(()), weights) == {}


@pytest.mark.parametrize("seconds", [0, 1, 29, 30, 45, 59])
def test_samples_are_read_until_time_is_over(seconds, weights, monkeypatch):
    session = Session(set())
    reader = reader_of(session)
    monkeypatch.setattr(activations, "time", SimpleNamespace(monotonic=lambda: sum(session.passes.values()) + 0.5))
    with pytest.raises(TimeIsOverError) as over:
        sums_over(lambda: reader.blocks(range(30), float(seconds)), weights)
    assert over.value.read == sum(session.passes.values()) == seconds


@pytest.mark.parametrize(
    ("left", "said"),
    [
        pytest.param([0, 1, 2, 3], None, id="none"),
        pytest.param(
            [0, 1, 3],
            "1 of 4 calibration samples is also searched on or scored, byte for byte; weights are rounded by the other "
            "3",
            id="one",
        ),
        pytest.param(
            [],
            "all 4 calibration samples are also searched on or scored, byte for byte, so weights are rounded to the "
            "nearest codes and no bias is corrected; give other samples as --calibration",
            id="all",
        ),
    ],
)
def test_calibration_samples_that_are_left_out_are_counted(left, said, monkeypatch, tmp_path):
    warned, summed = [], []
    monkeypatch.setattr(tune, "_apart", lambda *_: left)
    monkeypatch.setattr(tune, "sum_inputs", lambda *given, deadline: summed.append((given[3], deadline)) or {})
    sampled = SimpleNamespace(n=4, sha256="0")
    search = SimpleNamespace(
        parts=SimpleNamespace(calibration=sampled, scored=sampled, search=None),
        samples=sampled,
        outputs=(),
        study=SimpleNamespace(versions={}),
        context=SimpleNamespace(progress=SimpleNamespace(warn=warned.append), store=SimpleNamespace(root=tmp_path)),
    )
    bench = SimpleNamespace(float32=SimpleNamespace(sha256="1", format="tfjs"))
    assert tune._Search._sums(search, bench, None, 7.0) == {}
    assert warned == ([said] if said else [])
    assert summed == ([(left, 7.0)] if left else [])


def written(folder, rows):
    """A written set of samples with these values."""
    folder.mkdir()
    inputs = (TensorSpec("x", (None, 8), "float32"),)
    samples = SampleSet(folder, inputs, len(rows), False, "0" * 64, str(folder), len(rows), "all")
    np.save(samples.input_file("x"), rows)
    return samples


def test_what_is_searched_on_or_scored_does_not_round_weights(tmp_path):
    """Byte for byte: −0 is another sample than 0."""
    rows = ROWS.copy()
    rows[3] = 0.0
    calibration = written(tmp_path / "calibration", rows[:6])
    scored, searched = written(tmp_path / "scored", -rows[3:4]), written(tmp_path / "searched", rows[4:9])
    assert tune._apart(calibration, scored, searched) == [0, 1, 2, 3]
    assert tune._apart(calibration, calibration) == []


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        pytest.param({"costs": False}, 2 * (200 * 0.01 + 1.6) / 2, id="without costs"),
        pytest.param({"timing_rounds": 3}, 2 * (200 * 0.01 + 1.6 + 3 * 0.8) / 2, id="timed three times"),
        pytest.param({"costs": False, "runtimes": ("python", "node-wasm")}, 2 * (200 * 0.01 + 1.6), id="two runtimes"),
    ],
)
def test_how_long_the_table_is_expected_to_take(options, seconds):
    """Two trials of 200 samples, on two cores."""
    timed = Trial("tfjs-uint8", "python", timing=Timing(50, 0.5))
    search = SimpleNamespace(
        context=SimpleNamespace(
            options=AnalyzeOptions(**{"runtimes": ("python",), "settings": ("tfjs-uint8",), **options}),
            file=SimpleNamespace(kind="Keras 3"),
            registries=REAL,
        ),
        parts=SimpleNamespace(scored=SimpleNamespace(n=200)),
        study=SimpleNamespace(trials=(timed, timed)),
    )
    assert tune._Search.table_seconds.fget(search) == pytest.approx(seconds)
