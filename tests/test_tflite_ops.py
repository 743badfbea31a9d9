"""The dtypes in which ops of a TFLite file compute, and the minimum runtime version; nothing is run."""

import pytest
from weight_models import HandMade, odd_variants, real_variants, write_tflite  # noqa: F401  # the fixtures are used

from quantlab.errors import ArtifactError
from quantlab.formats import FORMATS
from quantlab.formats.tflite.artifact import minimum_runtime
from quantlab.types import OpRow

FLOAT = HandMade("float")
INT8 = HandMade("int8", "int8", scales=(0.5,), zeros=(1,))
INT16 = HandMade("int16", "int16", scales=(0.5,), zeros=(0,))
UINT8 = HandMade("uint8", "uint8", scales=(0.5,), zeros=(128,))
PICTURE = HandMade("picture", "uint8")
INDICES = HandMade("indices", "int32")
FLOAT_WEIGHTS = HandMade("w", data=bytes(16))
HALF_WEIGHTS = HandMade("w", "float16", data=bytes(8))
INT8_WEIGHTS = HandMade("w", "int8", data=bytes(4), scales=(0.5,), zeros=(0,))
INT4_WEIGHTS = HandMade("w", "int4", data=bytes(2), scales=(0.5,), zeros=(0,))
BLOCKS = HandMade("w", "int4", data=bytes(2), in_blocks=True)
SHAPE = HandMade("shape", "int32", (2,), data=bytes(8))


@pytest.mark.parametrize(
    ("op", "given", "made", "computes_in", "weights"),
    [
        pytest.param("FULLY_CONNECTED", [FLOAT, FLOAT_WEIGHTS], FLOAT, "float", "float32", id="floats"),
        pytest.param("FULLY_CONNECTED", [FLOAT, INT8_WEIGHTS], FLOAT, "hybrid", "int8", id="dynamic range"),
        pytest.param(
            "FULLY_CONNECTED", [FLOAT, INT4_WEIGHTS], FLOAT, "hybrid", "int4", id="dynamic range of four bits"
        ),
        pytest.param("FULLY_CONNECTED", [FLOAT, BLOCKS], FLOAT, "hybrid", "int4", id="dynamic range in blocks"),
        pytest.param("EMBEDDING_LOOKUP", [INDICES, INT8_WEIGHTS], FLOAT, "hybrid", "int8", id="a table of codes"),
        pytest.param("FULLY_CONNECTED", [INT8, INT8_WEIGHTS], INT8, "int8", "int8", id="static"),
        pytest.param("FULLY_CONNECTED", [UINT8, INT8_WEIGHTS], UINT8, "uint8", "int8", id="static, unsigned"),
        pytest.param("FULLY_CONNECTED", [INT16, INT8_WEIGHTS], INT16, "int16", "int8", id="sixteen bits by eight"),
        pytest.param("QUANTIZE", [FLOAT], INT8, "int8", "", id="into codes"),
        pytest.param("DEQUANTIZE", [INT16], FLOAT, "int16", "", id="out of codes"),
        pytest.param("QUANTIZE", [INT16], INT8, "int8", "", id="from codes to codes: what comes out"),
        pytest.param("DEQUANTIZE", [HALF_WEIGHTS], FLOAT, "float", "float16", id="half floats widened"),
        pytest.param("DEQUANTIZE", [INT8_WEIGHTS], FLOAT, "int8", "int8", id="weights decoded"),
        pytest.param("RESHAPE", [FLOAT, SHAPE], FLOAT, "float", "", id="a shape is no weight"),
        pytest.param("ARG_MAX", [INT8, SHAPE], INDICES, "int8", "", id="indices of codes"),
        pytest.param("CAST", [PICTURE], FLOAT, "float", "", id="bytes without a scale are no codes"),
        pytest.param("ADD", [INDICES, SHAPE], INDICES, "other", "", id="counting"),
        pytest.param("MyOwnOp", [FLOAT, FLOAT_WEIGHTS], FLOAT, "float", "float32", id="a custom op"),
    ],
)
def test_what_an_op_computes_in(op, given, made, computes_in, weights, tmp_path):
    path = write_tflite(tmp_path / "model.tflite", [*given, made], [(op, list(range(len(given))), [len(given)])])
    assert FORMATS["tflite"].ops(path, "tflite-x") == (
        OpRow(
            setting="tflite-x", place=0, op=op, version=2, computes_in=computes_in, weights=weights, output=made.name
        ),
    )


@pytest.mark.parametrize(
    "op", [pytest.param("TANH", id="a builtin"), pytest.param("MyOwnOp", id="a custom op, by its own name")]
)
def test_taps_and_ops_tell_the_same_name(op, tmp_path):
    path = write_tflite(tmp_path / "model.tflite", [FLOAT, HandMade("y")], [(op, [0], [1])])
    (tap,), (row,) = FORMATS["tflite"].taps(path), FORMATS["tflite"].ops(path, "tflite-x")
    assert (tap.name, tap.op, row.op) == ("y", op, op)


def test_weights_behind_a_conversion_are_the_stored_ones(tmp_path):
    ops = [("DEQUANTIZE", [1], [2]), ("FULLY_CONNECTED", [0, 2, -1], [3])]
    path = write_tflite(tmp_path / "model.tflite", [FLOAT, HALF_WEIGHTS, FLOAT, FLOAT], ops)
    rows = FORMATS["tflite"].ops(path, "tflite-float16")
    assert [(row.place, row.op, row.computes_in, row.weights) for row in rows] == [
        (0, "DEQUANTIZE", "float", "float16"),
        (1, "FULLY_CONNECTED", "float", "float16"),
    ]


def test_ops_of_a_graph_model_all_compute_in_floats(tmp_path):
    assert FORMATS["tfjs"].ops(tmp_path, "tfjs-uint8") == ()


def test_bodies_of_loops_are_listed(odd_variants):  # noqa: F811  # pytest fills it
    rows = FORMATS["tflite"].ops(odd_variants["tflite-int8"], "tflite-int8")
    ops = [row.op for row in rows]
    assert [row.place for row in rows] == list(range(len(rows)))
    inner = rows[ops.index("WHILE") + 1 :]
    assert [(row.op, row.computes_in) for row in inner if row.op not in {"QUANTIZE", "DEQUANTIZE"}] == [
        ("LESS", "other"),
        ("ADD", "other"),
        ("FULLY_CONNECTED", "int8"),
        ("TANH", "int8"),
    ]


@pytest.mark.parametrize(
    ("setting", "convolutions", "depthwise"),
    [
        pytest.param("tflite-float32", ["float"] * 6, ["float"] * 5, id="float32"),
        pytest.param("tflite-float16", ["float"] * 6, ["float"] * 5, id="float16"),
        pytest.param("tflite-dynamic", ["float"] * 2 + ["hybrid"] * 4, ["float"] * 5, id="small weights stay floats"),
        pytest.param("tflite-int8", ["int8"] * 6, ["int8"] * 5, id="int8"),
    ],
)
def test_which_ops_of_the_fashion_model_are_quantized(setting, convolutions, depthwise, real_variants):  # noqa: F811
    rows = FORMATS["tflite"].ops(real_variants("fashion")[setting], setting)
    assert [row.computes_in for row in rows if row.op == "CONV_2D"] == convolutions
    assert [row.computes_in for row in rows if row.op == "DEPTHWISE_CONV_2D"] == depthwise


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        pytest.param([], None, id="not told"),
        pytest.param([("min_runtime_version", b"2.4.0".ljust(16, b"\0"))], "2.4.0", id="padded"),
        pytest.param(
            [("min_runtime_version", b"1.14.0" + bytes(10)), ("min_runtime_version", bytes(16))],
            "1.14.0",
            id="one empty",
        ),
        pytest.param(
            [("min_runtime_version", b"1.9.0"), ("min_runtime_version", b"1.14.0")], "1.14.0", id="the higher"
        ),
        pytest.param([("reduced_precision_support", b"fp16accfp32")], None, id="other metadata"),
        pytest.param([("min_runtime_version", b"\xff\xfe?")], None, id="no version"),
    ],
)
def test_minimum_runtime(metadata, expected, tmp_path):
    path = write_tflite(tmp_path / "model.tflite", [FLOAT, FLOAT], [("TANH", [0], [1])], metadata=metadata)
    assert minimum_runtime(path) == expected


DECODED = [("DEQUANTIZE", [1], [2]), ("CONV_2D", [0, 2], [3])]


@pytest.mark.parametrize(
    ("tensors", "ops", "version", "expected"),
    [
        pytest.param([FLOAT, FLOAT_WEIGHTS, FLOAT], [("CONV_2D", [0, 1], [2])], 1, "1.6.0", id="floats"),
        pytest.param([FLOAT, INT8_WEIGHTS, FLOAT], [("CONV_2D", [0, 1], [2])], 1, None, id="a version without codes"),
        pytest.param([FLOAT, INT4_WEIGHTS, FLOAT], [("CONV_2D", [0, 1], [2])], 1, None, id="codes of four bits"),
        pytest.param([FLOAT, INT8_WEIGHTS, FLOAT], [("CONV_2D", [0, 1], [2])], 2, "1.6.0", id="a version with codes"),
        pytest.param([FLOAT, INT8_WEIGHTS, FLOAT, FLOAT], DECODED, 1, None, id="decoded by a version without codes"),
        pytest.param([FLOAT, HALF_WEIGHTS, FLOAT, FLOAT], DECODED, 1, "1.6.0", id="half floats"),
        pytest.param([FLOAT, INT8_WEIGHTS, FLOAT], [("GATHER", [1, 0], [2])], 1, "1.6.0", id="an op without kernel"),
    ],
)
def test_a_version_from_before_the_quantization_is_not_told(tensors, ops, version, expected, tmp_path):
    told = [("min_runtime_version", b"1.6.0")]
    path = write_tflite(tmp_path / "model.tflite", tensors, ops, metadata=told, version=version)
    assert minimum_runtime(path) == expected


@pytest.mark.parametrize(
    ("ops", "notes"),
    [
        pytest.param([("ADD", [1], [2])] * 3, (), id="integers alone"),
        pytest.param(
            [*[("ADD", [1], [2])] * 3, ("NEG", [0], [3])], ("1 of 4 ops computes in float32: NEG",), id="one of four"
        ),
        pytest.param(
            [*[("ADD", [1], [2])] * 4, ("NEG", [0], [3]), ("EXP", [0], [3]), ("EXP", [0], [3])],
            ("3 of 7 ops compute in float32: EXP, NEG",),
            id="kinds are named once",
        ),
        pytest.param(
            [*[("ADD", [1], [2])] * 3, ("QUANTIZE", [0], [1]), ("DEQUANTIZE", [2], [3])], (), id="conversions"
        ),
        pytest.param([*[("ADD", [1], [2])] * 3, ("READ_VARIABLE", [0], [3])], (), id="what only moves a state"),
        pytest.param([("ADD", [1], [2]), ("NEG", [0], [3])], (), id="a float file with some integers"),
    ],
)
def test_floats_between_integers_are_noted(ops, notes, tmp_path):
    path = write_tflite(tmp_path / "model.tflite", [FLOAT, INT8, INT8, FLOAT], ops)
    assert FORMATS["tflite"].inspect(path).notes == notes


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(minimum_runtime, id="the version"),
        pytest.param(lambda path: FORMATS["tflite"].ops(path, "x"), id="the ops"),
        pytest.param(FORMATS["tflite"].weights, id="the weights"),
    ],
)
def test_what_is_no_tflite_file(read, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"no flatbuffer")
    with pytest.raises(ArtifactError) as raised:
        read(path)
    assert str(raised.value) == f"'{path}' does not start like a TFLite file; give a .tflite file"
