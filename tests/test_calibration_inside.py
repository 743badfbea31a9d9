"""Ranges inside the model: calibration samples that stretch them, and what artifacts recorded for what is reached."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import quantlab_in_process
from diagnosed_models import Clean, made
from integer_files import INT8
from onnx_models import node, port, write
from study_fixtures import a_study

from quantlab.formats import FORMATS
from quantlab.formats.tflite.float_ends import write_for_javascript
from quantlab.study.calibration_check import with_input_codes
from quantlab.study.calibration_inside import told_inside, told_inside_alone, told_of_files, with_inner, with_layers
from quantlab.study.inside.rows import carry_over
from quantlab.types import CalibrationCheck, Codes, InnerRange, Inside, LayerRow, Port, SampleSet, TapSpec, TensorRange
from quantlab_reports.model import Selection
from quantlab_reports.views.calibration import calibration_table

CALIBRATION = SampleSet(Path("none"), (), 50, False, "0" * 64, "x.npz", 50, "all")
CONV = InnerRange("model/conv/Relu", "conv", 0.0, 6.0, 50, moved=0.1)


def checked(*inner):
    return with_inner(CalibrationCheck((), 50), inner, CALIBRATION)


def stretched(inner, maximum, *rows):
    return dataclasses.replace(inner, maximum=maximum, stretched_by=rows, usual_minimum=0.0, usual_maximum=6.0)


def layer(setting, recorded, reached, *, clipped=0.0, bits=8, tensor="conv", **changed):
    step = (recorded[1] - recorded[0]) / (2**bits - 1)
    row = LayerRow(setting, "python", tensor, f"own/{tensor}", "reference", True, None, 0, "Conv", "int8")
    return dataclasses.replace(
        row,
        reference=f"model/{tensor}/Relu",
        recorded_minimum=recorded[0],
        recorded_maximum=recorded[1],
        recorded_step=step,
        baseline_minimum=reached[0],
        baseline_maximum=reached[1],
        clipped=clipped,
        **changed,
    )


def compared(check, *rows):
    return with_layers(check, Inside(rows, (), (), (), 100, "all"))


def test_each_tensor_has_a_row_of_each_set_of_samples_and_of_each_variant():
    rows = [layer("int8", (0.0, 3.0), (0.0, 12.0), clipped=0.25)]
    rows += [dataclasses.replace(rows[0], runtime="node-wasm"), layer("mine", (0.0, 24.0), (0.0, 12.0))]
    rows += [dataclasses.replace(rows[0], channel=3), dataclasses.replace(rows[0], baseline="float32")]
    check = compared(checked(CONV, dataclasses.replace(CONV, tensor="other", layer="")), *rows)
    inside = {"kind": "inside", "layer": "conv"}
    name = "model/conv/Relu"
    assert check.ranges == (
        TensorRange(
            name, "calibration", None, 0.0, 6.0, None, 50, covered=0.5, moved=0.1, bits_lost=0.0, step=None, **inside
        ),
        TensorRange(name, "scored", None, 0.0, 12.0, None, 100, **inside),
        TensorRange(
            *(name, "int8", None, 0.0, 3.0, None, None),
            **{"covered": 0.25, "outside": 0.25, "bits_lost": 0.0, "step": 3 / 255, **inside},
        ),
        TensorRange(
            *(name, "mine", None, 0.0, 24.0, None, None),
            **{"covered": 1.0, "outside": 0.0, "bits_lost": 1.0, "step": 24 / 255, **inside},
        ),
        TensorRange("other", "calibration", None, 0.0, 6.0, None, 50, moved=0.1, kind="inside"),
    )


def test_a_file_has_rows_without_calibration_samples_and_floats_have_none():
    recorded = compared(None, layer("mine", (0.0, 3.0), (0.0, 12.0)))
    assert [row.of for row in recorded.ranges] == ["scored", "mine"]
    assert recorded.samples == 0
    floats = layer("mine", (0.0, 3.0), (0.0, 12.0), dtype="float32")
    floats = dataclasses.replace(floats, recorded_minimum=None, recorded_maximum=None, recorded_step=None)
    assert compared(None, floats) is None


ONE = (
    "1 calibration sample stretches the ranges of 1 of 1 tensor inside the model: sample 7 (counted from 0) of "
    "'x.npz'; most that of layer 'conv', from 0…6 to 0…60, so every step there becomes 10 times as large as it need be "
    "(3.3 bits are lost); remove it if such inputs are no real ones"
)


@pytest.mark.parametrize(
    ("inner", "reached", "told", "alone"),
    [
        pytest.param(CONV, 6.0, [], [], id="nothing is stretched"),
        pytest.param(stretched(CONV, 60.0, 7), 8.0, [ONE], [ONE], id="one sample"),
        pytest.param(stretched(CONV, 60.0, 7), 40.0, [], [ONE], id="scored samples reach it, too"),
        pytest.param(stretched(CONV, 20.0, 7), 5.0, [], [], id="by less than two bits"),
    ],
)
def test_what_is_told_of_samples_that_stretch_ranges_inside(inner, reached, told, alone):
    check = checked(inner)
    assert told_inside(check) == []  # nothing is known of the scored samples
    assert told_inside_alone(check) == alone
    assert told_inside(compared(check, layer("int8", (0.0, 6.0), (0.0, reached)))) == told


def test_a_sample_that_stretches_an_input_is_told_of_there_alone():
    check = compared(checked(stretched(CONV, 60.0, 7)), layer("int8", (0.0, 6.0), (0.0, 6.0)))
    (name,) = check.ranges[0].stretched_by
    of_input = TensorRange(
        "x", "calibration", None, 0, 9, 1, 50, stretched_by=(name,), usual_minimum=0, usual_maximum=1
    )
    assert told_inside(dataclasses.replace(check, ranges=(of_input, *check.ranges))) == []
    of_other = dataclasses.replace(of_input, stretched_by=("another sample",))
    assert told_inside(dataclasses.replace(check, ranges=(of_other, *check.ranges))) == [ONE]


CLIPPED = (
    "mine records 0…0.05 for layer 'conv', and the scored samples reach 0…12.5 there in the model: it covers 0.4 % of "
    "that range, and 60 % of the values are clipped; calibrate on samples like those that are scored"
)
WIDE = (
    "mine records 0…240 for layer 'conv', and the scored samples reach 0…6 there in the model: every step is 40 times "
    "as large as it need be (5.3 bits are lost), and the like of 1 more of 3 recorded tensors; calibrate on samples "
    "like those that are scored"
)


@pytest.mark.parametrize(
    ("rows", "sentences"),
    [
        pytest.param([layer("mine", (0.0, 6.0), (0.0, 6.2), clipped=1e-4)], [], id="as the data"),
        pytest.param([layer("mine", (0.0, 0.05), (0.0, 12.5), clipped=0.6)], [CLIPPED], id="far too narrow"),
        pytest.param([layer("mine", (0.0, 0.05), (0.0, 12.5), clipped=0.001)], [], id="next to nothing is clipped"),
        pytest.param(
            [
                layer("mine", (0.0, 240.0), (0.0, 6.0)),
                layer("mine", (0.0, 90.0), (0.0, 9.0), tensor="dense"),
                layer("mine", (0.0, 9.0), (0.0, 9.0), tensor="pool"),
            ],
            [WIDE],
            id="far too wide",
        ),
        pytest.param([layer("mine", (0.0, 240.0), (0.0, 6.0), bits=16)], [], id="too wide, but of 16 bits"),
        pytest.param([layer("mine", (0.0, 255 / 256), (0.0, 0.01))], [], id="a range that the format prescribes"),
        pytest.param([layer("int8", (0.0, 240.0), (0.0, 6.0))], [], id="too wide, and not a file of the user"),
    ],
)
def test_what_is_told_of_recorded_ranges(rows, sentences):
    check = compared(None, *rows)
    assert told_of_files(check, ["mine"], {}) == sentences
    assert told_of_files(check, ["mine"], {"mine": True}) == []  # its input is told of


MOVES = (
    "! the range of 'moving/Relu' differs by 60 % between two random halves of the calibration samples: a few samples "
    "decide it, so calibrate on more"
)


def test_text_has_the_tensors_whose_ranges_stand_out():
    moving = dataclasses.replace(CONV, tensor="model/moving/Relu", layer="moving", moved=0.6)
    few = [stretched(dataclasses.replace(CONV, tensor=f"t{number}", layer=""), 60.0, 7) for number in range(7)]
    rows = [layer("mine", (0.0, 6.0), (0.0, 6.0)), layer("mine", (0, 40), (0, 4), tensor="wide")]
    check = compared(checked(CONV, moving, *few), *rows)
    table = calibration_table(check, Selection())
    assert [(row[0], row[1]) for row in table.cells] == [
        ("moving/Relu", "calibration"),
        *((f"t{number}", "calibration") for number in range(7)),
        ("wide/Relu", "scored"),
        ("wide/Relu", "mine"),
    ]
    assert {record["tensor"] for record in table.records} == {row.tensor for row in check.ranges}
    assert table.below[1:] == (
        *(
            f"! stretches the range of 't{number}' from 0…6 to 0…60: sample 7 (counted from 0) of 'x.npz'"
            for number in range(5)
        ),
        "! and so in 2 other tensors inside the model",
        MOVES,
        "Not shown: 1 tensor of 10 inside the model, of which no range stands out; --format json has all",
    )
    fewer = calibration_table(dataclasses.replace(check, samples=19), Selection())
    assert fewer.below == tuple(line for line in table.below if line != MOVES)


@pytest.mark.parametrize(
    ("theirs", "matched"),
    [
        pytest.param(["Conv", "Pool", "Dense"], {"0": "a", "1": "b", "3": "c"}, id="an op that keeps values is added"),
        pytest.param(["Conv", "Dense", "Pool"], {}, id="another order"),
        pytest.param(["Conv", "RESHAPE", "Pool", "Dense"], {"0": "a", "1": "c", "3": "d"}, id="both in other places"),
    ],
)
def test_tensors_of_a_file_that_another_converter_wrote(theirs, matched):
    ops = ["Conv", "Pool", "RESHAPE", "Dense"]
    ours = [TapSpec(str(place), (1, 4), "int8", op) for place, op in enumerate(ops)]
    float32 = [TapSpec(name, (1, 4), "float32", op) for name, op in zip("abcd", theirs, strict=False)]
    assert carry_over(ours, float32) == matched


def test_the_codes_that_the_first_op_of_a_file_makes_of_its_input(tmp_path):
    constants = {"scale": np.float32(0.5), "zero": np.int8(-128), "other": np.float32(9)}
    nodes = [
        node("Relu", ["y"], "r"),
        node("Transpose", ["x"], "t", perm=[1, 0]),
        node("QuantizeLinear", ["t", "scale", "zero"], "q"),
        node("QuantizeLinear", ["x", "other", "zero"], "unused"),
        node("DequantizeLinear", ["q", "scale", "zero"], "d"),
        node("QuantizeLinear", ["r", "other", "zero"], "z"),
    ]
    ports = ([port("x", ["batch", 3]), port("y", ["batch", 3])], [port("d", [3, "batch"])])
    file = write(tmp_path / "model.onnx", nodes, ports, constants)
    assert FORMATS["onnx"].recorded_inputs(file) == {"x": Codes(0.5, -128, -128, 127)}
    variant = dataclasses.replace(
        a_study(tmp_path).trials[0].variant,
        format="onnx",
        path=file,
        inputs=(Port("image", "x", 0, (None, 3), "float32"), Port("mask", "y", 1, (None, 3), "float32")),
    )
    assert [input_.codes for input_ in with_input_codes(variant, FORMATS).inputs] == [Codes(0.5, -128, -128, 127), None]
    damaged = dataclasses.replace(variant, path=tmp_path / "absent.onnx")
    assert with_input_codes(damaged, FORMATS) == damaged

    write_for_javascript(INT8, tmp_path / "floats.tflite")
    (whole,) = FORMATS["tflite"].inspect(INT8).inputs
    assert FORMATS["tflite"].recorded_inputs(tmp_path / "floats.tflite") == {
        f"quantlab/input/{whole.tensor}": whole.codes
    }
    assert FORMATS["tflite"].recorded_inputs(INT8) == {}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A study calibrated on samples of which no. 17 is within the range of pixels, and far outside that of a layer."""
    folder = tmp_path_factory.mktemp("planted")
    model, x, y = made(folder, Clean((16, 16, 3), 0, 255, 2), n=200)
    kernel = constant_of(onnx.load(model), "kernel")
    calibration = x[:50].copy()
    calibration[17] = np.where(kernel[:, 0] > 0, 255, 0).reshape(x.shape[1:])
    np.savez(folder / "test.npz", x=x[50:], y=y[50:])
    np.savez(folder / "calibration.npz", x=calibration)
    analyzed(folder, "--calibration", "calibration.npz", "--settings", "onnx-int8", "--out", "study")
    return folder


def analyzed(folder, *arguments):
    given = ("model.onnx", "--data", "test.npz", "--runtimes", "python", "--no-costs")
    assert quantlab_in_process("analyze", *given, *arguments, cwd=folder).status == 0


def constant_of(model, name):
    return onnx.numpy_helper.to_array(next(one for one in model.graph.initializer if one.name == name))


def warnings_of(folder):
    return json.loads((folder / "study.json").read_text())["warnings"]


def ranges_of(folder, study):
    rows = json.loads(quantlab_in_process("show", "calibration", study, "--json", cwd=folder).stdout)
    return {(row["tensor"], row["of"]): row for row in rows if row["channel"] is None}


@pytest.mark.starts_children
def test_a_planted_sample_is_named_and_the_ranges_are_those_of_the_samples(planted):
    told = [text for text in warnings_of(planted / "study") if "calibration sample" in text]
    (sentence,) = told
    assert sentence.startswith("1 calibration sample stretches the ranges of ")
    assert " inside the model: sample 17 (counted from 0) of 'calibration.npz'; most that of " in sentence, sentence
    ranges = ranges_of(planted, "study")
    model = onnx.load(planted / "model.onnx")
    x = np.load(planted / "calibration.npz")["x"].reshape(50, -1)
    sums = x @ constant_of(model, "kernel") + constant_of(model, "bias")
    row = ranges["sum", "calibration"]
    assert (row["minimum"], row["maximum"]) == pytest.approx((sums.min(), sums.max()), rel=1e-4)
    others = np.delete(sums, 17, axis=0)
    assert row["stretched_by"] == ["sample 17 (counted from 0) of 'calibration.npz'"]
    assert (row["usual_minimum"], row["usual_maximum"]) == pytest.approx((others.min(), others.max()), rel=1e-4)
    assert (row["kind"], row["n"], ranges["x", "calibration"]["kind"]) == ("inside", 50, "input")
    assert ranges["relu", "onnx-int8"]["maximum"] == pytest.approx(ranges["relu", "calibration"]["maximum"], rel=0.01)
    assert ranges["relu", "onnx-int8"]["bits_lost"] > 2
    shown = quantlab_in_process("show", "calibration", "study", cwd=planted).stdout
    assert "! stretches the range of 'relu' from 0…" in shown
    assert "Not shown: " in shown


@pytest.mark.starts_children
def test_convert_names_the_planted_sample_too(planted):
    given = ("--calibration", "calibration.npz", "--settings", "onnx-int8", "--out", "artifacts")
    done = quantlab_in_process("convert", "model.onnx", *given, cwd=planted)
    assert done.status == 0
    said = "warning: 1 calibration sample stretches the ranges of 1 of 7 tensors inside the model: sample 17 (counted"
    assert [line[: len(said)] for line in done.stderr.splitlines() if "stretches" in line] == [said]


@pytest.mark.starts_children
def test_the_ranges_of_a_planted_file_are_named_without_its_calibration(planted):
    """The same file twice: as it is, calibrated on the planted sample, and with another scale of one tensor inside."""
    (file,) = (planted / "study" / "variants" / "onnx-int8").rglob("*.onnx")
    shutil.copy(file, planted / "mine.onnx")
    model = onnx.load(file)
    behind = next(one for one in model.graph.node if one.op_type == "QuantizeLinear" and "relu" in one.input[0])
    for constant in model.graph.initializer:
        if constant.name == behind.input[1]:
            constant.CopyFrom(
                onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(constant) / np.float32(400), constant.name)
            )
    onnx.save(model, planted / "narrow.onnx")
    given = ("--variant", "mine=mine.onnx", "--variant", "narrow=narrow.onnx", "--settings", "onnx-float32")
    analyzed(planted, *given, "--out", "given")
    ranges = ranges_of(planted, "given")
    assert ("relu", "calibration") not in ranges
    assert ranges["x", "mine"]["covered"] == pytest.approx(1, abs=0.01)
    assert ranges["relu", "narrow"]["covered"] < 0.05
    wide, narrow = (text for text in warnings_of(planted / "given") if " records " in text)
    assert wide.startswith("mine records 0…")
    assert "every step is" in wide, wide
    assert narrow.startswith("narrow records 0…"), narrow
    assert "it covers 2.2 % of that range, and" in narrow, narrow
