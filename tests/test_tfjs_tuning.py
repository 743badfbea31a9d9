"""A graph-model as the search sees it: what may be stored in which way, what it costs, and that it is written so."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tfjs_graphs import node, run, text, write

from quantlab.formats.tfjs.artifact import list_weights
from quantlab.formats.tfjs_manifest import stored_weights
from quantlab.types import KernelChoice
from quantlab_converters import tfjs_tuning
from quantlab_converters.gptq import inverse_factors
from quantlab_converters.tfjs_coded_graph import placed
from quantlab_converters.tfjs_rounding import noise_of
from quantlab_converters.tfjs_tuning import MOST_INPUTS, TunableGraph

RANDOM = np.random.default_rng(9)
INTEGER = {"type": "DT_INT32"}
FLOAT = {"T": {"type": "DT_FLOAT"}}
PRODUCT = {"transpose_a": {"b": False}, "transpose_b": {"b": False}, **FLOAT}
SLIDING = {
    "strides": {"list": {"i": ["1", "1", "1", "1"]}},
    "dilations": {"list": {"i": ["1", "1", "1", "1"]}},
    "padding": {"s": text("SAME")[0]},
    "data_format": {"s": text("NHWC")[0]},
    **FLOAT,
}


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


WEIGHTS = {
    "filter": normal(3, 3, 4, 6),
    "filter_bias": normal(6),
    "depthwise": normal(3, 3, 6, 2),
    "depthwise_bias": normal(12),
    "matrix": normal(300, 8),
    "matrix_bias": normal(8),
    "table": normal(20, 5),
    "spoiled": np.where(np.arange(16).reshape(8, 2) == 3, np.nan, 1).astype(np.float32),
    "huge": np.full(16, 1e6, np.float32),
    "few": normal(7),
    "rest": normal(40),
    "axis": np.array(0, np.int32),
    "places": np.array([1, 4], np.int32),
    "flat": np.array([-1, 300], np.int32),
}
NODES = [
    node("slid", "Conv2D", "input", "filter", **SLIDING),
    node("filtered", "BiasAdd", "slid", "filter_bias", **FLOAT),
    node("relu", "Relu", "filtered", **FLOAT),
    node("deep", "DepthwiseConv2dNative", "relu", "depthwise", **SLIDING),
    node("deeper", "BiasAdd", "deep", "depthwise_bias", **FLOAT),
    node("rows", "Reshape", "deeper", "flat", Tshape=INTEGER, **FLOAT),
    node("product", "MatMul", "rows", "matrix", **PRODUCT),
    node("result", "BiasAdd", "product", "matrix_bias", **FLOAT),
    node("spoiling", "MatMul", "result", "spoiled", **PRODUCT),
    node("gathered", "GatherV2", "table", "places", "axis", Tparams=FLOAT["T"], Tindices=INTEGER, Taxis=INTEGER),
]
IMAGES = normal(6, 5, 5, 4) + np.float32(0.5)
KERNELS = {"filter": 216, "depthwise": 108, "matrix": 2400, "table": 100}


def opened(folder, busy=0):
    nodes = [node(f"busy_{place}", "Neg", "input", **FLOAT) for place in range(busy)]
    return TunableGraph.open(write(folder, [*NODES, *nodes], WEIGHTS, inputs=("input",)))


def tapped(folder):
    """The tensors that are multiplied with kernels, as TensorFlow computes them."""
    fetched = ("relu", "deeper")
    return {"input": IMAGES, **dict(zip(fetched, run(folder, {"input": IMAGES}, *fetched), strict=True))}


def made_up():
    """The same tensors, without TensorFlow."""
    return {"input": IMAGES, "relu": np.maximum(normal(6, 5, 5, 6), 0), "deeper": normal(6, 5, 5, 12)}


def bounds_of(values):
    return {name: float(np.abs(one).max()) for name, one in values.items()}


@pytest.fixture
def weights(tmp_path):
    return opened(tmp_path / "float32")


@pytest.fixture
def sums(weights):
    values = made_up()
    return weights.sums_of(values, bounds_of(values))


def test_what_may_be_tuned(weights):
    """A kernel with NaN stays as it is, and so does what half floats cannot hold or is too small for them."""
    assert weights.kernels == KERNELS
    assert weights.tensors == ("input", "relu", "deeper")
    assert weights.halves == {"depthwise_bias": 12, "matrix_bias": 8, "rest": 40}


def test_kernels_in_loops_may_be_half_floats(tmp_path):
    """Nodes of the main graph cannot decode them."""
    folder = write(
        tmp_path, [node("product", "MatMul", "input", "matrix", **PRODUCT)], {"matrix": normal(8, 4)}, ("input",)
    )
    file = folder / "model.json"
    file.write_text(file.read_text().replace('"op": "Const", "input": []', '"op": "Const", "input": ["^input"]'))
    weights = TunableGraph.open(folder)
    assert (weights.kernels, weights.tensors, weights.halves) == ({}, (), {"matrix": 32})


def test_a_matrix_of_many_inputs_is_not_summed(tmp_path):
    nodes = [node("product", "MatMul", "input", "matrix", **PRODUCT)]
    for inputs, tensors in ((MOST_INPUTS, ("input",)), (MOST_INPUTS + 1, ())):
        weights = TunableGraph.open(write(tmp_path / str(inputs), nodes, {"matrix": normal(inputs, 1)}, ("input",)))
        assert (weights.kernels, weights.tensors) == ({"matrix": inputs}, tensors)
        values = {"input": normal(1, inputs)}
        assert set(weights.sums_of(values, bounds_of(values))) == ({"matrix"} if tensors else set())


def test_sums_are_those_of_the_rows(sums):
    assert {name: (one.rows, one.products.shape) for name, one in sums.items()} == {
        "filter": (6 * 25, (1, 36, 36)),
        "depthwise": (6 * 25, (6, 9, 9)),
        "matrix": (6, (1, 300, 300)),
    }


@given(cuts=st.lists(st.integers(1, 5), unique=True, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)
def test_any_partition_of_the_samples_gives_the_same_bits(weights, cuts):
    values = made_up()
    whole = weights.sums_of(values, bounds_of(values))
    total = {}
    for part in np.split(np.arange(6), sorted(cuts)):
        found = weights.sums_of({name: one[part] for name, one in values.items()}, bounds_of(values))
        total = {name: total[name] + one if name in total else one for name, one in found.items()}
    assert total.keys() == whole.keys()
    assert all(total[name].products.tobytes() == whole[name].products.tobytes() for name in whole)
    assert all(total[name].sums.tobytes() == whole[name].sums.tobytes() for name in whole)


UNSUMMED = {
    "a tensor that could not be read": ({"input": None}, {}),
    "one that is always 0": ({}, {"input": 0.0}),
    "one with infinity in some sample": ({}, {"input": np.inf}),
    "one with NaN in some sample": ({}, {"input": np.nan}),
    "one of another size, as before a grouped convolution": ({"input": normal(6, 5, 5, 8)}, {}),
}


@pytest.mark.parametrize("case", UNSUMMED)
def test_kernels_without_sums(case, weights):
    tensors, bounds = UNSUMMED[case]
    values = {name: one for name, one in {**made_up(), **tensors}.items() if one is not None}
    assert set(weights.sums_of(values, {**bounds_of(values), **bounds})) == {"depthwise", "matrix"}


@pytest.mark.parametrize("spoiled", ["one", "two"])
@pytest.mark.parametrize("spoil", [np.nan, "size"], ids=["NaN", "another size"])
def test_a_kernel_is_summed_over_all_ops_that_read_it_or_not_at_all(spoil, spoiled, tmp_path):
    nodes = [
        node("one", "Neg", "input", **FLOAT),
        node("two", "Square", "input", **FLOAT),
        node("first", "MatMul", "one", "kernel", **PRODUCT),
        node("second", "MatMul", "two", "kernel", **PRODUCT),
    ]
    weights = TunableGraph.open(write(tmp_path, nodes, {"kernel": normal(8, 4)}, ("input",)))
    values = {"one": normal(3, 8), "two": normal(3, 8)}
    (both,) = weights.sums_of(values, bounds_of(values)).values()
    assert both.rows == 6
    bounds = bounds_of(values)
    values[spoiled] = normal(3, 7) if spoil == "size" else values[spoiled] * spoil
    bounds |= {} if spoil == "size" else {spoiled: np.nan}
    assert weights.sums_of(values, bounds) == {}


def test_choices(weights):
    """GPTQ where the inputs are known, and a correction where there is a bias for it."""
    assert weights.choice("filter", 4, "channel") == KernelChoice(4, "channel", "gptq", corrected=True)
    assert weights.choice("table", 3, "tensor") == KernelChoice(3, "tensor", "nearest", corrected=False)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("sharing", ["channel", "tensor"])
@pytest.mark.parametrize("summed", [True, False], ids=["with sums", "without sums"])
def test_options(kernel, sharing, summed, weights, sums):
    """Noise falls and bytes grow with the bits; half floats have hardly any noise."""
    used = sums.get(kernel) if summed else None
    options = [weights.option(kernel, used, weights.choice(kernel, bits, sharing)) for bits in range(2, 9)]
    noises = [option.noise for option in options]
    assert noises == sorted(noises, reverse=True)
    assert 0 < noises[-1] < 1e-3 < noises[0] < 1
    sizes = [option.compressed_bytes for option in options]
    assert sizes[2:] == sorted(sizes[2:])  # with less bits, a channel may have a zero of its own, which takes a byte
    assert sizes[0] < sizes[-1]
    assert {option.raw_bytes >= KERNELS[kernel] for option in options} == {True}
    half = weights.option(kernel, used, None)
    assert (half.choice, half.rounded) == (None, None)
    assert 0 <= half.raw_bytes - 2 * KERNELS[kernel] < 100  # the rest is for its entry in model.json
    assert half.noise < noises[-1]


@pytest.mark.parametrize("kernel", ["filter", "depthwise", "matrix"])
@pytest.mark.parametrize("corrected", [True, False])
def test_gptq_lowers_the_noise(kernel, corrected, weights, sums):
    best = replace(weights.choice(kernel, 3, "channel"), corrected=corrected)
    gptq, nearest = (
        weights.option(kernel, sums[kernel], choice).noise for choice in (best, replace(best, rounding="nearest"))
    )
    assert gptq <= nearest


def test_without_sums_no_gptq_is_claimed(weights, sums):
    """A reader of `tune.json` learns how the codes came about."""
    asked = weights.choice("filter", 4, "channel")
    assert (asked.rounding, asked.corrected) == ("gptq", True)
    assert weights.option("filter", sums["filter"], asked).choice == asked
    assert weights.option("filter", None, asked).choice == replace(asked, rounding="nearest", corrected=False)


def test_an_option_depends_on_its_sums_alone(weights, tmp_path):
    """And not on other sums of the same kernel that were given before."""
    first, second = made_up(), made_up()
    sums = [weights.sums_of(values, bounds_of(values))["filter"] for values in (first, second)]
    choice = weights.choice("filter", 3, "channel")
    after = [weights.option("filter", one, choice) for one in sums][1]
    alone = opened(tmp_path / "again").option("filter", sums[1], choice)
    np.testing.assert_array_equal(after.rounded.codes.codes, alone.rounded.codes.codes)
    assert after.noise == alone.noise


def test_factors_of_hessians_take_a_limited_memory(weights, sums, tmp_path, monkeypatch):
    """Those that were used last are kept, so that all choices of a kernel need them once; codes do not change."""
    made = []
    monkeypatch.setattr(tfjs_tuning, "inverse_factors", lambda one: made.append(one.shape) or inverse_factors(one))
    monkeypatch.setattr(tfjs_tuning, "_FACTOR_BYTES", 8 * (300**2 + 36**2))
    rounded = {}
    for graph in (weights, opened(tmp_path / "again")):
        for name in (*sums, *sums):
            for bits in (3, 4):
                option = graph.option(name, sums[name], graph.choice(name, bits, "channel"))
                codes = option.rounded.codes.codes
                np.testing.assert_array_equal(rounded.setdefault((name, bits), codes), codes)
        kept = sum(factors.nbytes for factors in graph._factors.kept.values())
        assert 0 < kept <= 8 * (300**2 + 36**2)
    assert sorted(made) == sorted(2 * 2 * [(1, 36, 36), (6, 9, 9), (1, 300, 300)])


def test_kernels_are_affordable_as_long_as_the_graph_is_hardly_slower(weights, tmp_path):
    """At most 5 % by the estimate; those first that gain most for their time."""
    gains = {"filter": 1.0, "depthwise": 3.0, "matrix": 2.0, "table": 0.0}
    assert affordable(weights, gains) == frozenset()
    assert affordable(opened(tmp_path / "busy", busy=2000), gains) == {"filter", "depthwise", "matrix"}
    work = weights.graph.work.microseconds
    sizes = []
    for busy in range(0, 400, 20):
        graph = opened(tmp_path / f"busy_{busy}", busy=busy)
        chosen = affordable(graph, gains)
        assert time_of(graph, chosen) <= 0.05 * graph.graph.work.microseconds
        sizes.append(len(chosen))
    assert sizes == sorted(sizes)
    assert set(sizes) == {0, 1, 2, 3}
    assert graph.graph.work.microseconds > work


def affordable(weights, gains):
    return weights.affordable(gains, {name: by_channel(weights, name) for name in gains})


def by_channel(weights, name):
    return weights.option(name, None, weights.choice(name, 4, "channel"))


def time_of(weights, names):
    return sum(placed(name, by_channel(weights, name).rounded.codes, weights.graph.work).microseconds for name in names)


CHOICES = st.one_of(
    st.none(),
    st.builds(
        KernelChoice,
        st.integers(2, 8),
        st.sampled_from(["channel", "tensor"]),
        st.sampled_from(["gptq", "nearest"]),
        st.booleans(),
    ),
)


@given(choices=st.fixed_dictionaries(dict.fromkeys(KERNELS, CHOICES)), halved=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
def test_what_is_decided_is_what_is_listed(choices, halved, weights, sums, tmp_path):
    """And a second time from the decisions alone, with the same bytes."""
    options = {name: weights.option(name, sums.get(name), choice) for name, choice in choices.items()}
    tuned = weights.tuned(options, weights.halves if halved else ())
    for name in ("made", "again"):
        (tmp_path / name).mkdir(exist_ok=True)
        weights.write(tuned, tmp_path / name)
    files = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("made", "again")]
    assert files[0] == files[1]
    listed = {weight.name: weight for weight in list_weights(tmp_path / "made")}
    assert {name for name in listed if name in WEIGHTS} == set(WEIGHTS)
    for name, option in options.items():
        if option.rounded is None:
            expected = WEIGHTS[name].astype(np.float16)
        else:
            codes = option.rounded.codes
            np.testing.assert_array_equal(listed[name].stored, codes.codes)
            assert codes.codes.max() < 2**option.choice.bits
            expected = (codes.codes.astype(np.float64) - codes.zeros) * codes.scales.astype(np.float64)
        np.testing.assert_array_equal(listed[name].values, expected.astype(np.float32))
    for name in ("filter", "depthwise", "matrix"):
        corrected = choices[name] is not None and choices[name].corrected
        bias = WEIGHTS[f"{name}_bias"] + (options[name].rounded.shift if corrected else 0)
        if halved and f"{name}_bias" in weights.halves:
            bias = bias.astype(np.float16)
        np.testing.assert_array_equal(listed[f"{name}_bias"].values, bias.astype(np.float32))
    assert {listed[name].dtype for name in ("huge", "spoiled", "few")} == {"float32"}
    assert listed["rest"].dtype == ("float16" if halved else "float32")


def test_what_is_alike_is_stored_together(weights, sums, tmp_path):
    """By data type, and codes by their bits; compressors gain from that. The manifest agrees with the shards."""
    bits = {"filter": 3, "depthwise": 8, "matrix": 3, "table": 5}
    options = {name: weights.option(name, sums.get(name), weights.choice(name, bits[name], "tensor")) for name in bits}
    (tmp_path / "made").mkdir()
    weights.write(weights.tuned(options, weights.halves), tmp_path / "made")
    (group,) = json.loads((tmp_path / "made" / "model.json").read_text())["weightsManifest"]
    kinds = [(values.dtype.name, bits.get(entry["name"], 0)) for entry, values in stored_weights(tmp_path / "made")]
    assert [entry["name"] for entry in group["weights"]] == [
        entry["name"] for entry, _ in stored_weights(tmp_path / "made")
    ]
    assert kinds == sorted(kinds)
    assert len(set(kinds)) == 6
    stored = sum(values.nbytes for _, values in stored_weights(tmp_path / "made"))
    assert stored == sum((tmp_path / "made" / path).stat().st_size for path in group["paths"])


@pytest.mark.starts_children
@pytest.mark.parametrize("sharing", ["channel", "tensor"])
def test_a_corrected_bias_keeps_the_mean_of_the_outputs(sharing, tmp_path):
    """On the samples that it was corrected by, for each layer whose inputs stay as they are."""
    weights, values = opened(tmp_path / "float32"), tapped(tmp_path / "float32")
    sums = weights.sums_of(values, bounds_of(values))
    for kernel, product, output in (("filter", "slid", "filtered"), ("depthwise", "deep", "deeper"), MATRIX):
        option = weights.option(kernel, sums[kernel], weights.choice(kernel, 2, sharing))
        (tmp_path / kernel).mkdir()
        weights.write(weights.tuned({kernel: option}, ()), tmp_path / kernel)
        power, expected = (by_output(one) for one in run(weights.folder, {"input": IMAGES}, product, output))
        (found,) = map(by_output, run(tmp_path / kernel, {"input": IMAGES}, output))
        errors = found - expected
        assert (np.abs(errors.mean(axis=0)) < 5e-3 * np.abs(errors).mean(axis=0)).all()
        noises, powers = ((one**2).sum(axis=0) for one in (errors, power - power.mean(axis=0)))
        noise = (noises / powers).mean() if sharing == "channel" else noises.sum() / powers.sum()
        assert option.noise == pytest.approx(noise, rel=0.01)


MATRIX = ("matrix", "product", "result")


def by_output(values):
    return values.astype(np.float64).reshape(-1, values.shape[-1])


def test_copies_of_a_kernel_share_sums_and_codes(tmp_path):
    """An unrolled layer has a copy of its kernel for each step."""
    kernel = normal(6, 4)
    steps = [node("first", "MatMul", "input", "one", **PRODUCT), node("second", "MatMul", "tap", "copy", **PRODUCT)]
    nodes = [node("tap", "Relu", "input", **FLOAT), *steps, node("result", "AddV2", "first", "second", **FLOAT)]
    other = normal(6, 4)
    nodes.append(node("third", "MatMul", "tap", "other", **PRODUCT))
    graph = write(tmp_path / "float32", nodes, {"one": kernel, "copy": kernel, "other": other}, inputs=("input",))
    weights = TunableGraph.open(graph)
    assert weights.kernels == {"one": 48, "other": 24}
    rows = normal(5, 6)
    tap = np.maximum(rows, 0)
    bounds = {"input": float(np.abs(rows).max()), "tap": float(tap.max())}
    sums = weights.sums_of({"input": rows, "tap": tap}, bounds)
    assert {name: one.rows for name, one in sums.items()} == {"one": 10, "other": 5}
    option = weights.option("one", sums["one"], weights.choice("one", 3, "tensor"))
    tuned = weights.tuned({"one": option}, ())
    assert [one.name for one in tuned.kernels] == ["one", "copy"]
    (folder := tmp_path / "tuned").mkdir()
    weights.write(tuned, folder)
    listed = {weight.name: weight.stored for weight in list_weights(folder)}
    np.testing.assert_array_equal(listed["one"], listed["copy"])
    assert option.raw_bytes == 2 * (24 + 115)


def test_the_noise_of_an_output_whose_inputs_do_not_vary_counts():
    """Of two outputs, one reads the input that does not vary on the calibration samples; it may on others."""
    matrix, stored = np.array([[[1.0, 0.0], [0.0, 1.0]]]), np.array([[[1.1, 0.0], [0.0, 1.5]]])
    hessians = np.array([[[4.0, 0.0], [0.0, 0.0]]])
    assert noise_of(matrix, stored, hessians, "channel") == pytest.approx((0.1**2 + 0.5**2) / 2)
    exact = np.array([[[1.1, 0.0], [0.0, 1.0]]])
    assert noise_of(matrix, exact, hessians, "channel") == pytest.approx(0.1**2 / 2)
    assert noise_of(matrix, matrix, hessians, "channel") == 0
