"""`quantlab lint` as a command: its table, its exit status, and what it writes for programs."""

import json
import shutil
from pathlib import Path

import h5py
import junitparser
import numpy as np
import pytest
from command_line import Done, quantlab_in_process
from onnx import NodeProto
from onnx_models import node, port, write
from tfjs_graphs import node as graph_node
from tfjs_graphs import write as write_graph_model

from quantlab.demo import MODEL
from quantlab.errors import UsageError
from quantlab.lint import HAZARDS, choose_hazards
from quantlab.lint import lint as examine
from quantlab.study import find_hazards


def product(path: Path, weights: object, opset: int = 17) -> Path:
    """An ONNX file that multiplies by these weights."""
    ports = [port("x", [1, 2])], [port("y", [1, 2])]
    held = {"kernel": np.asarray(weights, np.float32)}
    return write(path, [node("MatMul", ["x", "kernel"], "y")], ports, held, opsets={"": opset})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files: with an error, with a warning and a note, and with nothing."""
    product(tmp_path / "broken.onnx", [[1, np.nan], [1, 1]])
    product(tmp_path / "large.onnx", [[1, 1e5], [1, 1]], opset=11)
    product(tmp_path / "fine.onnx", [[1, 2], [3, 4]])
    return tmp_path


def test_a_file_that_is_given_twice_is_examined_once(folder: Path) -> None:
    once = find_hazards([folder / "broken.onnx", folder / "large.onnx"])
    assert len(once.findings) == 3
    assert find_hazards([folder / "broken.onnx", str(folder / "large.onnx"), folder / "broken.onnx"]) == once


def spread_kernel() -> np.ndarray:
    """Codes of a depthwise kernel, of which one of four channels is coarse."""
    kernel = np.full((4, 1, 3, 3), 100, np.int8)
    kernel[2] = 2
    return kernel


X, Y = [port("x", [1, 4, 5, 5])], [port("y", [1, 4, 3, 3])]
SCALES = {"scale": np.array(0.1, np.float32), "zero": np.array(0, np.int8)}
DEQUANTIZED = node("DequantizeLinear", ["codes", "scale", "zero"], "kernel")
NORM = {name: np.ones(4, np.float32) for name in ("gamma", "beta", "mean", "variance")}

PLANTED = {
    "a converter that cut": (
        [node("Conv", ["x", "kernel"], "y", group=4)],
        {"kernel": np.full((4, 1, 3, 3), 65504, np.float16)},
        ["error F16-OVERFLOW kernel"],
    ),
    "a depthwise kernel with one scale": (
        [DEQUANTIZED, node("Conv", ["x", "kernel"], "y", group=4)],
        {"codes": spread_kernel(), **SCALES},
        ["warning PER-TENSOR-DEPTHWISE codes", "note ALREADY-QUANTIZED kernel", "note UNSUPPORTED-OP kernel"],
    ),
    "a scale of zero": (
        [DEQUANTIZED, node("Conv", ["x", "kernel"], "y", group=4)],
        {"codes": np.full((4, 1, 3, 3), 100, np.int8), "scale": np.array(0, np.float32), "zero": SCALES["zero"]},
        ["error ZERO-SCALE codes", "note ALREADY-QUANTIZED kernel", "note UNSUPPORTED-OP kernel"],
    ),
    "a norm in training": (
        [node("BatchNormalization", ["x", *NORM], "y", training_mode=1)],
        NORM,
        ["error TRAINING-TRUE y"],
    ),
    "an epsilon": ([node("BatchNormalization", ["x", *NORM], "y", epsilon=1e-12)], NORM, ["note F16-EPSILON y"]),
    "an unknown op": ([node("Relux", ["x"], "y")], {}, ["error UNSUPPORTED-OP y"]),
    "an op of ONNX Runtime": (
        [node("QuickGelu", ["x"], "y", domain="com.microsoft")],
        {},
        ["note UNSUPPORTED-OP y"],
    ),
    "random numbers": (
        [node("RandomNormalLike", ["x"], "y")],
        {},
        ["warning RANDOM-OP y", "note UNSUPPORTED-OP y"],
    ),
    "two softmaxes": (
        [node("Softmax", ["x"], "one"), node("Softmax", ["one"], "y")],
        {},
        ["warning SOFTMAX-TWICE y"],
    ),
    "a mask of infinity": (
        [node("Add", ["x", "mask"], "y")],
        {"mask": np.array(-np.inf, np.float32)},
        ["warning NONFINITE-WEIGHT mask"],
    ),
    "nothing": ([node("Relu", ["x"], "y")], {}, []),
}
"""Nodes and constants of an ONNX file, and its findings."""


@pytest.mark.parametrize(
    ("nodes", "constants", "findings"), [pytest.param(*case, id=name) for name, case in PLANTED.items()]
)
def test_onnx(nodes: list[NodeProto], constants: dict[str, np.ndarray], findings: list[str], tmp_path: Path) -> None:
    result = examine([write(tmp_path / "model.onnx", nodes, (X, Y), constants)])
    assert result.unread == ()
    assert [f"{found.severity} {found.hazard} {found.where}" for found in result.findings] == findings


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param([graph_node("a", "Identity", "a")], id="itself"),
        pytest.param([graph_node("a", "Identity", "b"), graph_node("b", "Identity", "a")], id="each other"),
        pytest.param(
            [graph_node("a", "Identity", "b"), graph_node("b", "Identity", "c"), graph_node("c", "Identity", "b")],
            id="a ring behind another",
        ),
    ],
)
def test_identities_that_read_themselves_end(nodes: list[dict[str, object]], tmp_path: Path) -> None:
    write_graph_model(tmp_path, [*nodes, graph_node("y", "Softmax", "a")], {"w": np.ones(2, np.float32)})
    result = examine([tmp_path])
    assert result.unread == ()
    assert [found.hazard for found in result.findings] == ["OLD-CONVERTER"]


def lint(folder: Path, *arguments: str) -> Done:
    return quantlab_in_process("lint", *arguments, cwd=folder)


def test_the_table(folder: Path) -> None:
    done = lint(folder, "broken.onnx")
    assert (done.status, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        "hazard            severity    where    notes",
        "----------------  ----------  -------  ---------------------",
        "NONFINITE-WEIGHT  error       kernel   1 of 4 values are NaN",
        "",
        "1 error in 1 file.",
        "What happens, how to see it and what to do: 'quantlab lint --explain NONFINITE-WEIGHT'.",
        "Terms: quantlab glossary",
    ]


EXPLAINED = "What happens, how to see it and what to do: 'quantlab lint --explain F16-OVERFLOW'."
OVERFLOW = "1 of 4 values are beyond the range of float16 (the largest"
OLD = "its opset 11 has no scale for each channel, which opset 13"


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        pytest.param(["fine.onnx"], ["No hazard in 1 file."], id="nothing"),
        pytest.param(["fine.onnx", "broken.onnx", "--select", "F16"], ["No hazard in 2 files."], id="nothing in two"),
        pytest.param(["gone.onnx"], ["No file was examined."], id="no file"),
        pytest.param(
            ["fine.onnx", "large.onnx", "./large.onnx", "broken.onnx"],
            [
                "file         hazard            severity    where       notes",
                "-----------  ----------------  ----------  ----------  " + "-" * len(OVERFLOW),
                f"large.onnx   F16-OVERFLOW      warning     kernel      {OVERFLOW}",
                f"{'':55}is 1e+05)",
                f"             OLD-CONVERTER     note        whole file  {OLD}",
                f"{'':55}brought",
                "broken.onnx  NONFINITE-WEIGHT  error       kernel      1 of 4 values are NaN",
                "",
                "1 error, 1 warning, 1 note in 3 files.",
                EXPLAINED,
            ],
            id="several files, one of them twice",
        ),
        pytest.param(
            ["a/large.onnx", "a/b/broken.onnx", "--ignore", "OLD"],
            [
                "Files in 'a':",
                "",
                "file           hazard            severity    where    notes",
                "-------------  ----------------  ----------  -------  " + "-" * len(OVERFLOW),
                f"large.onnx     F16-OVERFLOW      warning     kernel   {OVERFLOW}",
                f"{'':54}is 1e+05)",
                "b/broken.onnx  NONFINITE-WEIGHT  error       kernel   1 of 4 values are NaN",
                "",
                "1 error, 1 warning in 2 files.",
                EXPLAINED,
            ],
            id="files of one folder",
        ),
    ],
)
def test_what_is_printed(folder: Path, arguments: list[str], lines: list[str]) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    for name, place in (("large", "a"), ("broken", "a/b")):
        shutil.copy(folder / f"{name}.onnx", folder / place)
    assert lint(folder, *arguments).stdout.splitlines() == [*lines, "Terms: quantlab glossary"]


@pytest.mark.parametrize(
    ("arguments", "status", "hazards"),
    [
        pytest.param(["fine.onnx"], 0, [], id="nothing"),
        pytest.param(["large.onnx"], 0, ["F16-OVERFLOW", "OLD-CONVERTER"], id="a warning and a note"),
        pytest.param(["fine.onnx", "broken.onnx"], 1, ["NONFINITE-WEIGHT"], id="an error in the second"),
        pytest.param(["broken.onnx", "gone.onnx"], 2, ["NONFINITE-WEIGHT"], id="one that is not there"),
        pytest.param(["large.onnx", "--select", "f16"], 0, ["F16-OVERFLOW"], id="the beginning of an id"),
        pytest.param(["large.onnx", "--ignore", "F16-*,NOT"], 0, ["OLD-CONVERTER"], id="a glob that is ignored"),
        pytest.param(["broken.onnx", "--ignore", "NONFINITE-WEIGHT"], 0, [], id="an error that is ignored"),
        pytest.param([str(MODEL)], 0, [], id="the model of the demo"),
    ],
)
def test_findings_and_exit_status(folder: Path, arguments: list[str], status: int, hazards: list[str]) -> None:
    done = lint(folder, *arguments, "--json")
    assert done.status == status
    assert [finding["hazard"] for finding in json.loads(done.stdout)["findings"]] == hazards


def test_a_damaged_file_costs_its_own_line(folder: Path) -> None:
    damaged = folder / "cut.onnx"
    damaged.write_bytes((folder / "fine.onnx").read_bytes()[:-20])
    (folder / "notes.txt").write_text("no model")
    done = lint(folder, "cut.onnx", "notes.txt", "broken.onnx")
    assert done.status == 2
    assert "NONFINITE-WEIGHT" in done.stdout
    cut, other = done.stderr.splitlines()
    assert cut.startswith("quantlab: 'cut.onnx' is not a complete ONNX file (")
    assert other == (
        "quantlab: 'notes.txt' is no model and no artifact that quantlab knows; give a .keras or .h5 file of a whole "
        "model, a SavedModel folder, an .onnx or .tflite file, or the folder or model.json of a tfjs model"
    )


def test_a_file_that_would_fill_the_memory_is_refused(folder: Path) -> None:
    with h5py.File(folder / "huge.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": []}})
        file.attrs["keras_version"] = "2.15.0"
        file.create_dataset("model_weights/d/kernel:0", (200_000, 200_000), "f4", chunks=(1000, 1000))
    assert lint(folder, "huge.h5").stderr == (
        "quantlab: 'huge.h5' cannot be read (its weights would take 160,000 MB, which no Keras writes into such a "
        "file); it may be damaged, so copy or save it again\n"
    )


def test_json(folder: Path) -> None:
    document = json.loads(lint(folder, "broken.onnx", "gone.onnx", "--json").stdout)
    (found,) = document.pop("findings")
    assert document == {
        "files": ["broken.onnx", "gone.onnx"],
        "counts": {"error": 1, "warning": 0, "note": 0},
        "unread": [
            {
                "path": "gone.onnx",
                "reason": "there is no file or folder at 'gone.onnx'; give a model or an artifact",
            }
        ],
    }
    hazard = HAZARDS["NONFINITE-WEIGHT"]
    assert found == {
        "hazard": "NONFINITE-WEIGHT",
        "severity": "error",
        "path": "broken.onnx",
        "where": "kernel",
        "sentence": "1 of 4 values are NaN",
        "see": hazard.see,
        "remedy": hazard.remedy,
        "docs": "hazards.md#nonfinite-weight",
        "measured": "",
    }


def test_junit(folder: Path) -> None:
    lint(folder, "broken.onnx", "large.onnx", "fine.onnx", "gone.onnx", "--junit", "lint.xml")
    suites = {suite.name: suite for suite in junitparser.JUnitXml.fromfile(str(folder / "lint.xml"))}
    assert {name: (suite.tests, suite.failures, suite.errors) for name, suite in suites.items()} == {
        "broken.onnx": (1, 1, 0),
        "large.onnx": (2, 0, 0),
        "fine.onnx": (1, 0, 0),
        "gone.onnx": (1, 0, 1),
    }
    (case,) = suites["broken.onnx"]
    assert (case.name, case.result[0].message) == ("NONFINITE-WEIGHT kernel", "1 of 4 values are NaN")


def test_explain(folder: Path) -> None:
    done = lint(folder, "--explain", "elu-alpha")
    assert done.status == 0
    assert done.stdout.splitlines()[:1] == ["ELU-ALPHA (error): tfjs does not load an ELU whose alpha is not 1."]


def test_all_ids(folder: Path) -> None:
    lines = lint(folder, "--explain", "all").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(HAZARDS)
    assert "ELU-ALPHA                error    tfjs does not load an ELU whose alpha is not 1" in lines


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param([], "'quantlab lint' needs a model or an artifact; give one or several paths", id="no path"),
        pytest.param(["fine.onnx", "--select", "F17"], "no hazard has an id like 'F17'; ", id="an unknown id"),
        pytest.param(
            ["fine.onnx", "--ignore", "ELU-ALFA,OUTLIR"],
            "no hazard has an id like 'ELU-ALFA'; did you mean 'ELU-ALPHA'?",
            id="a typo of what is ignored",
        ),
        pytest.param(
            ["fine.onnx", "--select", "NOSUCH"],
            "no hazard has an id like 'NOSUCH'; 'quantlab lint --explain all' lists the ids",
            id="no id that is like it",
        ),
        pytest.param(
            ["--explain", "RELU-SLOP"], "there is no hazard 'RELU-SLOP'; did you mean 'RELU-SLOPE'", id="a typo"
        ),
        pytest.param(
            ["fine.onnx", "--junit", "gone/lint.xml"],
            "'gone/lint.xml' could not be written (No such file or directory); give another path with --junit",
            id="a folder that is not there",
        ),
    ],
)
def test_refusals(folder: Path, arguments: list[str], said: str) -> None:
    done = lint(folder, *arguments)
    assert done.status == 2
    assert done.last.startswith(f"quantlab: {said}")


@pytest.mark.parametrize(
    ("select", "ignore", "message"),
    [
        pytest.param(
            ["F16-OVERFLOW"],
            ["F16-OVERFLOW"],
            "--ignore leaves out all that --select looks for (F16-OVERFLOW), so nothing would be checked; leave one of "
            "them out",
            id="the same one",
        ),
        pytest.param(
            [], ["*"], "--ignore leaves out all hazards, so nothing would be checked; leave it out", id="all of them"
        ),
    ],
)
def test_nothing_left_to_look_for_is_refused(select: list[str], ignore: list[str], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        choose_hazards(select, ignore)
    assert str(refused.value) == message


def test_of_a_study_the_baselines_that_are_left_out_are_named(place: Path) -> None:
    done = quantlab_in_process("lint", "digits.study", cwd=place)
    assert (
        "Not examined in 'digits.study': tfjs-float32 and tflite-float32; what is wrong with a float32 baseline is "
        "told of the model and of the settings that were made from it"
    ) in done.stderr


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in HAZARDS])
def test_each_can_be_selected_alone(name: str) -> None:
    assert [hazard.id for hazard in choose_hazards([name], []) if hazard.id == name] == [name]
    assert name not in {hazard.id for hazard in choose_hazards([], [name])}
