"""Stored weights of artifacts, and their errors against the float32 artifact; nothing is run."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from official import weights_read_officially
from weight_models import FAINT, HandMade, compared, odd_variants, real_variants, write_tflite  # noqa: F401  # fixtures

from quantlab.formats import FORMATS
from quantlab.statistics import compare_weights, list_weights
from quantlab.types import StoredWeight, WeightRow


def by_hand(expected, actual, axes):
    """The figures of a row, an element and a channel at a time."""
    pairs = list(zip(expected.astype(np.float64).flat, actual.astype(np.float64).flat, strict=True))
    errors = [got - wanted for wanted, got in pairs]
    others = [wanted for wanted, _ in pairs if wanted != 0]
    figures = {
        "different": sum(error != 0 for error in errors),
        "mean_abs": math.fsum(map(abs, errors)) / len(errors),
        "max_abs": max(map(abs, errors)),
        "rms": math.sqrt(math.fsum(error**2 for error in errors) / len(errors)),
        "sqnr_db": decibels(pairs),
        "zeroed": sum(wanted != 0 and got == 0 for wanted, got in pairs) / len(others) if others else None,
        "worst_channel_sqnr_db": None,
    }
    if axes:
        channels: dict[tuple[int, ...], list[tuple[float, float]]] = {}
        for place, pair in zip(np.ndindex(expected.shape), pairs, strict=True):
            channels.setdefault(tuple(place[axis] for axis in axes), []).append(pair)
        figures["worst_channel_sqnr_db"] = min(map(decibels, channels.values()))
    return figures


def decibels(pairs):
    noise = math.fsum((got - wanted) ** 2 for wanted, got in pairs)
    signal = math.fsum(wanted**2 for wanted, _ in pairs)
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def figures_of(row):
    names = ("different", "mean_abs", "max_abs", "rms", "sqnr_db", "zeroed", "worst_channel_sqnr_db")
    return {name: getattr(row, name) for name in names}


def tfjs_channels(name, shape):
    if len(shape) < 2:
        return ()
    return (2, 3) if "depthwise" in name else (len(shape) - 1,)


@pytest.mark.parametrize("model", ["fashion", "kws"])
def test_tfjs_rows_equal_what_the_official_reader_gives(model, real_variants, tmp_path):  # noqa: F811  # pytest fills it
    variants = real_variants(model)
    expected, actual = weights_read_officially([variants["tfjs-float32"], variants["tfjs-uint8"]], tmp_path)
    rows = compared(variants, "tfjs-uint8")
    assert [row.tensor for row in rows] == list(actual)
    assert {row.reason for row in rows} == {None}
    floats = [row for row in rows if row.dtype == "uint8"]
    assert len(floats) == len(rows) - 1  # the other holds axes or a shape
    for row in floats:
        wanted = expected[row.tensor]
        axes = tfjs_channels(row.tensor, wanted.shape)
        assert figures_of(row) == pytest.approx(by_hand(wanted, actual[row.tensor], axes), rel=1e-9), row.tensor
        assert (row.shape, row.size_bytes, row.clipped, row.scales) == (wanted.shape, wanted.size, 0, 1)


def interpreted(path):
    """Tensor name → what the interpreter tells of it, its values and the axis and parameters of its codes."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(str(path), experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    details = {}
    for detail in interpreter.get_tensor_details():
        parameters = detail["quantization_parameters"]
        kept = {key: parameters[key] for key in ("scales", "zero_points", "quantized_dimension")}
        details[detail["name"]] = {"index": detail["index"], **kept}
    return details, lambda name: interpreter.get_tensor(details[name]["index"])


def decoded(codes, parameters):
    """Codes of a tensor, an index of the quantized axis at a time."""
    values = np.empty(codes.shape, np.float32)
    axis, scales, zeros = (parameters[key] for key in ("quantized_dimension", "scales", "zero_points"))
    for place in np.ndindex(codes.shape):
        channel = place[axis] if len(scales) > 1 else 0
        values[place] = np.float32(float(scales[channel]) * (int(codes[place]) - int(zeros[channel])))
    return values


@pytest.mark.parametrize("model", ["fashion", "kws"])
def test_tflite_rows_equal_what_the_interpreter_gives(model, real_variants):  # noqa: F811  # pytest fills it
    variants = real_variants(model)
    told, codes = interpreted(variants["tflite-int8"])
    _, floats = interpreted(variants["tflite-float32"])
    rows = compared(variants, "tflite-int8")
    assert {row.reason for row in rows} == {None}
    assert {row.used_by.partition(" ")[0] for row in rows if not row.scales} <= {"MEAN"}  # which axes
    for row in rows:
        parameters = told[row.tensor]
        assert (row.scales, row.shape) == (len(parameters["scales"]), codes(row.tensor).shape)
        if row.scales:
            several = len(parameters["scales"]) > 1
            axes = (parameters["quantized_dimension"],) if several and len(row.shape) > 1 else ()
            wanted = by_hand(floats(row.counterpart), decoded(codes(row.tensor), parameters), axes)
            assert figures_of(row) == pytest.approx(wanted, rel=1e-9), row.tensor
            assert row.channel_axis == (parameters["quantized_dimension"] if several else None)
            assert (row.scale, row.minimum_or_zero) == (max(parameters["scales"]), parameters["zero_points"][0])
            assert row.sqnr_db > 30  # far below where the wrong weight was taken for it


@pytest.mark.parametrize("setting", ["tflite-float32", "tflite-float16", "tflite-dynamic", "tflite-int8"])
def test_stored_codes_are_the_interpreter_s(setting, odd_variants):  # noqa: F811  # pytest fills it
    told, read = interpreted(odd_variants[setting])
    weights = [
        stored for stored in FORMATS["tflite"].weights(odd_variants[setting]) if "subgraph" not in stored.keys[0]
    ]
    assert len(weights) == 6
    for weight in weights:
        np.testing.assert_array_equal(weight.stored, read(weight.name))
        np.testing.assert_array_equal(weight.scales, told[weight.name]["scales"])
        np.testing.assert_array_equal(weight.zero_points, told[weight.name]["zero_points"])


def test_weights_of_loops_are_aligned(odd_variants):  # noqa: F811  # pytest fills it
    rows = {row.used_by: row for row in compared(odd_variants, "tflite-int8")}
    assert {row.reason for row in rows.values()} == {None}
    inner = rows["FULLY_CONNECTED 1 of 1 of subgraph 2, input 1"]
    assert (inner.shape, inner.dtype, inner.scales, inner.channel_axis) == ((8, 8), "int8", 8, 0)
    assert inner.sqnr_db > 40


@pytest.mark.parametrize("setting", ["tfjs-uint8", "tflite-int8"])
def test_bytes_add_up_to_what_the_artifact_holds(setting, odd_variants):  # noqa: F811  # pytest fills it
    held = FORMATS[setting.partition("-")[0]].inspect(odd_variants[setting]).weights
    rows = compared(odd_variants, setting)
    assert {dtype: sum(row.size_bytes for row in rows if row.dtype == dtype) for dtype in held} == held


def test_a_faint_channel_is_lost_with_one_scale_and_kept_with_its_own(odd_variants):  # noqa: F811  # pytest fills it
    def depthwise(setting):
        rows = [row for row in compared(odd_variants, setting) if row.worst_channel_sqnr_db is not None]
        return next(row for row in rows if row.shape in {(3, 3, 8, 1), (1, 3, 3, 8)}), rows

    row, rows = depthwise("tfjs-uint8")
    assert (row.worst_channel, row.worst_channel_sqnr_db) == (FAINT, 0)  # all of it became 0
    assert row.sqnr_db > 40
    assert row.zeroed == pytest.approx(1 / 8, abs=0.02)
    assert row is min(rows, key=lambda candidate: candidate.worst_channel_sqnr_db)
    row, rows = depthwise("tflite-int8")
    assert row.worst_channel_sqnr_db > 40
    assert (row.scales, row.channel_axis) == (8, 3)


def test_float16_has_no_room_for_a_mask_nor_for_a_huge_weight(odd_variants):  # noqa: F811  # pytest fills it
    rows = {row.shape: row for row in compared(odd_variants, "tfjs-float16") if row.clipped}
    assert {shape: (row.non_finite, row.clipped, row.sqnr_db) for shape, row in rows.items()} == {
        (8, 4): (4, 4 / 32, -math.inf),
        (8,): (2, 2 / 8, -math.inf),
    }
    assert rows[8, 4].tensor == "StatefulPartitionedCall/matmul/ReadVariableOp"
    rows = {row.used_by: row for row in compared(odd_variants, "tflite-float16") if row.clipped}
    assert {used_by: (row.non_finite, row.clipped) for used_by, row in rows.items()} == {
        "FULLY_CONNECTED 1 of 1, input 1": (0, 4 / 32),  # its converter stops at 65504
        "ADD 1 of 1, input 1": (0, 2 / 8),
    }
    assert all(row.sqnr_db < 0.001 for row in rows.values())


def test_kernels_that_a_loop_is_handed_have_channels(tmp_path):
    body = {
        "signature": {"name": "body", "inputArg": [{"name": "turn"}, {"name": "kernel_0"}]},
        "nodeDef": [
            {"name": "same", "op": "Identity", "input": ["kernel_0"]},
            {
                "name": "turned",
                "op": "MatMul",
                "input": ["turn", "same:output:0"],
                "attr": {"transpose_b": {"b": True}},
            },
        ],
    }
    loop = {"name": "loop", "op": "While", "input": ["turn", "kernel"], "attr": {"body": {"func": {"name": "body"}}}}
    topology = {"node": [{"name": "kernel", "op": "Const"}, loop], "library": {"function": [body]}}
    (weight,) = graph_model(tmp_path, topology, [("kernel", "float32", [2, 3], np.ones(6, "<f4").tobytes())])
    assert weight.channel_axes == (0,)


@pytest.mark.parametrize(
    ("op", "shape", "attributes", "axes"),
    [
        pytest.param("Conv2D", [3, 3, 2, 4], {}, (3,), id="a convolution"),
        pytest.param("_FusedConv2D", [3, 3, 2, 4], {}, (3,), id="with its activation"),
        pytest.param("DepthwiseConv2dNative", [3, 3, 2, 4], {}, (2, 3), id="input channel by multiplier"),
        pytest.param("FusedDepthwiseConv2dNative", [3, 3, 2, 1], {}, (2, 3), id="the converter's own"),
        pytest.param("Conv2DBackpropInput", [3, 3, 2, 4], {}, (2,), id="transposed"),
        pytest.param("_FusedMatMul", [2, 4], {}, (1,), id="a dense layer"),
        pytest.param("MatMul", [2, 4], {"transpose_b": {"b": False}}, (1,), id="not turned"),
        pytest.param("Mul", [2, 4], {}, (), id="no kernel"),
    ],
)
def test_channels_of_a_graph_model(op, shape, attributes, axes, tmp_path):
    node = {"name": "x", "op": op, "input": ["values", "kernel"], "attr": attributes}
    data = np.ones(shape, "<f4").tobytes()
    (weight,) = graph_model(tmp_path, {"node": [node]}, [("kernel", "float32", shape, data)])
    assert weight.channel_axes == axes


def graph_model(folder, topology, weights):
    entries = [{"name": name, "dtype": dtype, "shape": shape} for name, dtype, shape, _ in weights]
    manifest = [{"paths": ["shard.bin"], "weights": entries}]
    document = {"format": "graph-model", "modelTopology": topology, "weightsManifest": manifest}
    (folder / "model.json").write_text(json.dumps(document))
    (folder / "shard.bin").write_bytes(b"".join(data for *_, data in weights))
    return list(FORMATS["tfjs"].weights(folder))


def test_strings_of_a_graph_model(tmp_path):
    packed = b"\x03\0\0\0one" + b"\0\0\0\0"
    after = np.array([5], "<i4").tobytes()
    words, number = graph_model(tmp_path, {"node": []}, [("words", "string", [2], packed), ("n", "int32", [1], after)])
    assert (words.dtype, words.shape, words.size_bytes, list(words.values)) == ("string", (2,), 11, [b"one", b""])
    assert list(number.values) == [5]
    assert FORMATS["tfjs"].inspect(tmp_path).weights == {"string": 11, "int32": 4}


FLOAT = HandMade("x")


def hand_made(folder, *constants):
    """The constants of a file in which an op reads them all."""
    last = HandMade("y", shape=(1,))
    ops = [("CONCATENATION", list(range(len(constants) + 1)), [len(constants) + 1])]
    path = write_tflite(folder / "model.tflite", [FLOAT, *constants, last], ops)
    return list(FORMATS["tflite"].weights(path))


@pytest.mark.parametrize(
    ("constant", "stored", "values"),
    [
        pytest.param(
            HandMade("w", "int4", (3,), b"\x8f\x07", (0.5,), (0,)),
            [-1, -8, 7],
            [-0.5, -4, 3.5],
            id="four bits, low first",
        ),
        pytest.param(HandMade("w", "uint4", (2,), b"\xf1", (0.5,), (8,)), [1, 15], [-3.5, 3.5], id="four, unsigned"),
        pytest.param(HandMade("w", "int2", (4,), b"\xe4", (1.0,), (0,)), [0, 1, -2, -1], [0, 1, -2, -1], id="two bits"),
        pytest.param(
            HandMade("w", "int8", (2, 2), bytes([1, 2, 3, 255]), (0.5, 2.0), (0, 1), axis=1),
            [[1, 2], [3, -1]],
            [[0.5, 2], [1.5, -4]],
            id="a scale for each index of the last axis",
        ),
        pytest.param(HandMade("w", "int8", (2,), b"\1\2", (0.5,), ()), [1, 2], [0.5, 1], id="no zero point is 0"),
        pytest.param(
            HandMade("w", "int64", (1,), (2**40 + 1).to_bytes(8, "little"), (2.0**-40,), (0,)),
            [2**40 + 1],
            [1],
            id="a bias of sixteen by eight bits",
        ),
        pytest.param(HandMade("w", "bfloat16", (1,), b"\xc0\x3f"), [0x3FC0], [1.5], id="bfloat16"),
        pytest.param(HandMade("w", "float16", (1,), b"\0\x7c"), [math.inf], [math.inf], id="float16"),
        pytest.param(HandMade("w", "int32", (1,), b"\7\0\0\0"), [7], [7], id="a shape"),
        pytest.param(HandMade("w", "bool", (2,), b"\1\0"), [True, False], [True, False], id="truth"),
        pytest.param(HandMade("w", "float32", (2, 0)), [[], []], [[], []], id="no elements"),
        pytest.param(
            HandMade("w", "string", (2,), np.array([2, 16, 17, 19], "<i4").tobytes() + b"abc"),
            [b"a", b"bc"],
            [b"a", b"bc"],
            id="strings",
        ),
    ],
)
def test_constants_of_a_file(constant, stored, values, tmp_path):
    (weight,) = hand_made(tmp_path, constant)
    assert (weight.stored.tolist(), weight.values.tolist(), weight.reason) == (stored, values, None)
    assert (weight.size_bytes, weight.keys) == (len(constant.data), ("CONCATENATION 1 of 1, input 1",))
    assert not weight.scales or weight.values.dtype == np.float32


@pytest.mark.parametrize(
    ("constant", "reason"),
    [
        pytest.param(
            HandMade("w", data=bytes(16), sparse=True), "it is stored sparse, which quantlab cannot read", id="sparse"
        ),
        pytest.param(
            HandMade("w", "int4", (2,), b"\0", in_blocks=True),
            "its scales are per block or of a custom scheme, which quantlab cannot read",
            id="blocks",
        ),
        pytest.param(
            HandMade("w", "complex64", (1,), bytes(8)),
            "it is stored as complex64, which quantlab cannot read",
            id="type",
        ),
        pytest.param(HandMade("w", data=b"half"), "it has 4 bytes, but float32 [4] needs 16", id="cut short"),
    ],
)
def test_constants_that_cannot_be_read_are_rows(constant, reason, tmp_path):
    weights = hand_made(tmp_path, constant)
    (row,) = compare_weights("x", weights, weights)
    assert (row.tensor, row.reason, row.sqnr_db, row.size_bytes) == ("w", reason, None, len(constant.data))


def test_a_buffer_that_several_tensors_share_is_counted_once(tmp_path):
    data = bytes([1, 2])
    one = HandMade("one", "int8", (2,), data, (0.5,), (0,))
    weights = hand_made(tmp_path, one, replace(one, name="same"), replace(one, name="other", scales=(2.0,)))
    assert [(stored.name, stored.size_bytes, stored.values.tolist(), len(stored.keys)) for stored in weights] == [
        ("one", 2, [0.5, 1], 2),
        ("other", 0, [2, 4], 1),
    ]


@pytest.mark.parametrize(
    ("op", "shape", "axes"),
    [
        pytest.param("CONV_2D", (2, 1, 1, 2), (0,), id="a convolution"),
        pytest.param("DEPTHWISE_CONV_2D", (1, 1, 2, 2), (3,), id="a depthwise convolution"),
        pytest.param("FULLY_CONNECTED", (2, 2), (0,), id="a dense layer"),
        pytest.param("FULLY_CONNECTED", (4,), (), id="a bias"),
        pytest.param("ADD", (2, 2), (), id="no kernel"),
    ],
)
def test_channels_of_a_file(op, shape, axes, tmp_path):
    tensors = [FLOAT, HandMade("w", shape=shape, data=np.ones(4, "<f4").tobytes()), HandMade("y")]
    path = write_tflite(tmp_path / "model.tflite", tensors, [(op, [0, 1], [2])])
    (weight,) = FORMATS["tflite"].weights(path)
    assert weight.channel_axes == axes


def adding(folder, *ops):
    """The constants `a`, `b` and `c` of a file whose tensors are x, the three, and what the ops make of them."""
    constants = [HandMade(name, data=np.full(4, place, "<f4").tobytes()) for place, name in enumerate("abc", 1)]
    made = [HandMade(f"made {place}") for place in range(len(ops))]
    path = write_tflite(folder / "model.tflite", [FLOAT, *constants, *made], list(ops))
    return [stored for stored in FORMATS["tflite"].weights(path) if stored.keys]


def test_conversions_and_ops_without_constants_do_not_shift_weights(tmp_path):
    baseline = adding(tmp_path, ("ADD", [0, 1], [4]), ("ADD", [4, 2], [5]))
    more = [("QUANTIZE", [0], [4]), ("DEQUANTIZE", [2], [5]), ("ADD", [4, 5], [6]), ("ADD", [6, 6], [7])]
    swapped = adding(tmp_path, *more, ("ADD", [7, 1], [8]))
    assert {row.tensor: row.counterpart for row in compare_weights("x", swapped, baseline)} == {"b": "a", "a": "b"}


def test_one_op_more_leaves_weights_unaligned_instead_of_shifted(tmp_path):
    baseline = adding(tmp_path, ("ADD", [0, 1], [4]), ("ADD", [4, 2], [5]))
    three = adding(tmp_path, ("ADD", [0, 3], [4]), ("ADD", [4, 1], [5]), ("ADD", [5, 2], [6]))
    assert [(row.tensor, row.reason) for row in compare_weights("x", three, baseline)] == [
        ("a", "the float32 artifact contains no 'ADD 2 of 3, input 1'"),
        ("b", "the float32 artifact contains no 'ADD 3 of 3, input 1'"),
        ("c", "the float32 artifact contains no 'ADD 1 of 3, input 1'"),
        ("a", "not in this variant: folded or removed"),
        ("b", "not in this variant: folded or removed"),
    ]


# Comparing


def weight(name, values, **fields):
    values = np.asarray(values)
    told = {"keys": (name,), "dtype": values.dtype.name, "size_bytes": values.nbytes, "stored": values}
    return StoredWeight(**{"name": name, "shape": values.shape, "values": values, **told, **fields})


def floats(*values):
    return np.array(values, np.float32)


def codes(name, values, scales, *, zeros=None, code_range=(-127, 127), **fields):
    """A weight whose codes take a byte; only their width is looked at."""
    stored = np.zeros(np.shape(values), np.int8)
    zeros = zeros or (0,) * len(scales)
    affine = {"scales": scales, "zero_points": zeros, "code_range": code_range, "stored": stored, "dtype": "int8"}
    return weight(name, np.asarray(values, np.float32), **affine, **fields)


@pytest.mark.parametrize(
    ("candidate", "baseline", "expected"),
    [
        pytest.param(
            floats(1, 2), floats(1, 2), {"different": 0, "sqnr_db": math.inf, "zeroed": 0.0, "max_abs": 0}, id="equal"
        ),
        pytest.param(
            np.float32(3), np.float32(2), {"different": 1, "mean_abs": 1, "max_abs": 1, "rms": 1}, id="a scalar"
        ),
        pytest.param(floats(0, 0), floats(0, 0), {"sqnr_db": math.inf, "zeroed": None, "different": 0}, id="all zeros"),
        pytest.param(floats(0, 1), floats(0, 0), {"sqnr_db": -math.inf, "zeroed": None}, id="an error on zeros"),
        pytest.param(floats(0, -0.0, 5, 0), floats(1, 2, 5, 0), {"zeroed": 2 / 3}, id="rounded to zero"),
        pytest.param(
            floats(math.nan, 1),
            floats(math.nan, 1),
            {"sqnr_db": -math.inf, "non_finite": 1, "different": 1, "max_abs": math.inf},
            id="NaN on both sides",
        ),
        pytest.param(floats(math.inf, 1), floats(1e30, 1), {"non_finite": 1, "rms": math.inf}, id="infinite"),
        pytest.param(
            floats(2, 1), floats(math.nan, 1), {"non_finite": 0, "sqnr_db": -math.inf}, id="NaN that a cast hid"
        ),
        pytest.param(
            np.array([1, 2, 4]), np.array([1, 2, 3]), {"different": 1, "sqnr_db": None, "rms": None}, id="axes"
        ),
        pytest.param(np.array([b"a", b"b"], object), np.array([b"a", b"c"], object), {"different": 1}, id="strings"),
        pytest.param(np.array([True]), np.array([True]), {"different": 0, "zeroed": None}, id="truth"),
        pytest.param(
            floats(), floats(), {"reason": "it has no elements", "different": None, "rms": None}, id="no elements"
        ),
        pytest.param(
            floats(1),
            floats(1, 2),
            {"reason": "its shape is [1], but [2] in the float32 artifact", "counterpart": "w"},
            id="another shape",
        ),
        pytest.param(
            np.array([1], np.int32),
            floats(1),
            {"reason": "its values are int32, but float32 in the float32 artifact", "sqnr_db": None},
            id="another kind",
        ),
    ],
)
def test_a_pair_of_weights(candidate, baseline, expected):
    (row,) = compare_weights("x-y", [weight("w", candidate)], [weight("w", baseline)])
    assert {name: getattr(row, name) for name in expected} == expected
    assert (row.setting, row.shape) == ("x-y", np.shape(candidate))


def test_a_whole_row():
    baseline = weight("arith.constant1", floats([1, -2], [0.5, 8]), keys=("CONV_2D 1 of 1, input 1",))
    changed = {"keys": baseline.keys, "channel_axis": 0, "channel_axes": (0,), "size_bytes": 4}
    candidate = codes("tfl.pseudo_qconst", [[1, -2], [0, 8]], (0.25, 0.125), **changed)
    assert compare_weights("tflite-int8", [candidate], [baseline]) == (
        WeightRow(
            setting="tflite-int8",
            tensor="tfl.pseudo_qconst",
            counterpart="arith.constant1",
            reason=None,
            shape=(2, 2),
            dtype="int8",
            size_bytes=4,
            scale=0.25,
            scales=2,
            channel_axis=0,
            minimum_or_zero=0.0,
            different=1,
            mean_abs=0.125,
            max_abs=0.5,
            rms=0.25,
            sqnr_db=pytest.approx(10 * math.log10((1 + 4 + 0.25 + 64) / 0.25)),
            channels=2,
            channel_spread=8 / 2,
            worst_channel=1,
            worst_channel_sqnr_db=pytest.approx(10 * math.log10((0.25 + 64) / 0.25)),
            zeroed=0.25,
            clipped=0.0,
            outlier_stretch=pytest.approx(1 / 0.998),
            non_finite=0,
            largest=8.0,
            used_by="CONV_2D 1 of 1, input 1",
        ),
    )


def test_what_only_one_side_has():
    ours = [weight("new", floats(1)), weight("unread", floats(1), keys=()), weight("kept", floats(1))]
    rows = compare_weights("x", ours, [weight("kept", floats(1)), weight("gone", floats(1, 2))])
    assert [(row.tensor, row.counterpart, row.reason, row.size_bytes) for row in rows] == [
        ("new", None, "the float32 artifact contains no 'new'", 4),
        ("unread", None, "it cannot be identified, because no op reads it", 4),
        ("kept", "kept", None, 4),
        ("gone", "gone", "not in this variant: folded or removed", 0),
    ]


@pytest.mark.parametrize(
    ("candidates", "pairs"),
    [
        pytest.param([("x", "of a", "other")], [("x", "a")], id="a key is worth more than a name"),
        pytest.param([("x", "moved", "a")], [("x", "a")], id="a name where no key is known"),
        pytest.param(
            [("x", "moved", "a"), ("y", "of a", "z")],
            [("x", None), ("y", "a")],
            id="but not what another has the key of",
        ),
        pytest.param([("x", "moved", "x")], [("x", None)], id="neither"),
    ],
)
def test_names_that_last(candidates, pairs):
    ours = [weight(name, floats(1), keys=(key,), lasting_name=lasting) for name, key, lasting in candidates]
    rows = compare_weights("x", ours, [weight("a", floats(1), keys=("of a",), lasting_name="a")])
    assert [(row.tensor, row.counterpart) for row in rows if row.dtype] == pairs


def test_weights_that_are_compared_with_nothing():
    (row,) = list_weights("x", [codes("w", [1, -2], (0.5,))], "there is no other", {})
    assert (row.tensor, row.dtype, row.reason, row.counterpart) == ("w", "int8", "there is no other", None)
    assert (row.largest, row.different, row.sqnr_db) == (2.0, None, None)


def test_weights_that_were_two_and_weights_that_became_one():
    one = weight("zeros", floats(0, 0), keys=("a", "b"))
    two = [weight("a", floats(0, 1e-9)), weight("b", floats(0, 0))]
    assert [(row.counterpart, row.different, row.size_bytes) for row in compare_weights("x", [one], two)] == [
        ("a", 1, 8),
        ("b", 0, 0),
    ]
    assert [(row.tensor, row.counterpart, row.reason) for row in compare_weights("x", two, [one])] == [
        ("a", "zeros", None),
        ("b", "zeros", None),
    ]


@pytest.mark.parametrize(
    ("baseline", "told", "share"),
    [
        pytest.param([127.5, -127.5], {}, 0.0, id="half a step is rounding"),
        pytest.param([127.6, 3], {}, 0.5, id="above"),
        pytest.param([-127.6, -128], {}, 1.0, id="below, where the lowest code is left out"),
        pytest.param([-128.4, 0], {"code_range": (-128, 127)}, 0.0, id="the lowest code in use"),
        pytest.param([math.inf, math.nan], {}, 0.5, id="infinity lies outside, NaN nowhere"),
        pytest.param([260, -6], {"minimum": -5.0, "code_range": (0, 255)}, 1.0, id="from a minimum"),
        pytest.param([-158, 97], {"zeros": (30,), "code_range": (-128, 127)}, 0.0, id="from a zero point"),
        pytest.param([98, -159], {"zeros": (30,), "code_range": (-128, 127)}, 1.0, id="beyond a zero point"),
    ],
)
def test_clipped(baseline, told, share):
    (row,) = compare_weights("x", [codes("w", [0, 0], (1.0,), **told)], [weight("w", floats(*baseline))])
    assert row.clipped == share


def test_clipped_by_the_scale_of_its_channel():
    baseline = weight("w", floats([100, 100], [100, 100]))
    for axis, share in ((0, 0.5), (1, 0.5)):
        (row,) = compare_weights("x", [codes("w", np.zeros((2, 2)), (1.0, 0.1), channel_axis=axis)], [baseline])
        assert row.clipped == share


@pytest.mark.parametrize(
    ("values", "stretch"),
    [
        pytest.param(np.linspace(-1, 1, 2001), 1 / 0.998, id="even"),
        pytest.param([*np.linspace(-1, 1, 2000), 99], pytest.approx(50, rel=0.01), id="an outlier"),
        pytest.param(np.full(5, 3.0), 1.0, id="all the same"),
        pytest.param([*np.zeros(5000), 1], math.inf, id="all the same but one"),
        pytest.param([1, math.nan], math.inf, id="NaN"),
    ],
)
def test_outliers_that_stretch_the_scale(values, stretch):
    baseline = weight("w", np.asarray(values, np.float32))
    (row,) = compare_weights("x", [codes("w", values, (1.0,))], [baseline])
    assert row.outlier_stretch == (stretch if not isinstance(stretch, float) else pytest.approx(stretch, rel=1e-5))


def test_outliers_stretch_the_scale_of_their_channel():
    small, large = np.append(np.linspace(-1, 1, 2000), 99), 100 * np.linspace(-1, 1, 2001)
    values = np.stack([small, large], axis=1).astype(np.float32)
    for candidate, stretch in (
        (codes("w", values, (1.0, 1.0), channel_axis=1), 50),
        (codes("w", values, (1.0,)), 1),
    ):
        (row,) = compare_weights("x", [candidate], [weight("w", values)])
        assert row.outlier_stretch == pytest.approx(stretch, rel=0.01)


@pytest.mark.parametrize("axes", [(0,), (2,), (1, 2), (0, 2)])
def test_the_worst_channel_wherever_channels_lie(axes):
    rng = np.random.default_rng(0)
    baseline = rng.normal(size=(4, 5, 6)).astype(np.float32)
    candidate = baseline + rng.normal(size=baseline.shape).astype(np.float32) * 0.01
    (row,) = compare_weights("x", [weight("w", candidate, channel_axes=axes)], [weight("w", baseline)])
    moved = [np.moveaxis(values, axes, range(len(axes))).astype(np.float64) for values in (baseline, candidate)]
    channels = math.prod(baseline.shape[axis] for axis in axes)
    expected, actual = (values.reshape(channels, -1) for values in moved)
    sqnr_db = 10 * np.log10((expected**2).sum(1) / ((actual - expected) ** 2).sum(1))
    assert row.worst_channel == int(sqnr_db.argmin())
    assert row.worst_channel_sqnr_db == pytest.approx(sqnr_db.min(), rel=1e-9)


def test_a_channel_without_an_error_is_not_the_worst():
    (row,) = compare_weights("x", [weight("w", floats([1, 2]), channel_axes=(1,))], [weight("w", floats([1, 2]))])
    assert (row.worst_channel, row.worst_channel_sqnr_db) == (None, math.inf)


def test_a_channel_with_nan_is_the_worst():
    (row,) = compare_weights(
        "x", [weight("w", floats([1, math.nan, 5]), channel_axes=(1,))], [weight("w", floats([1, 2, 3]))]
    )
    assert (row.worst_channel, row.worst_channel_sqnr_db) == (1, -math.inf)


def test_weights_larger_than_a_block_are_the_same():
    baseline = np.random.default_rng(0).normal(size=(3, 1_000_000)).astype(np.float32)
    (row,) = compare_weights("x", [weight("w", baseline + 0.5, channel_axes=(0,))], [weight("w", baseline)])
    error = (baseline + np.float32(0.5)).astype(np.float64) - baseline
    assert row.rms == pytest.approx(math.sqrt((error**2).mean()), rel=1e-9)
    assert row.different == baseline.size
