"""Models of which int8 keeps one output or column and loses another, analyzed, gated and shown."""

import json
from pathlib import Path

import numpy as np
import pytest
from onnx_models import node, port, write

from quantlab import AnalyzeOptions, analyze
from quantlab.cli import run
from quantlab.store import Store
from quantlab_reports.views.trials import heading

pytestmark = pytest.mark.starts_children

N = 160


def detector(path):
    """Boxes of 0 to 640 and scores of 0 to 1, side by side in one tensor: one scale of int8 has no room for both."""
    random = np.random.default_rng(0)
    weights = {
        "stem": random.normal(size=(8, 3, 3, 3), scale=0.3),
        "box": random.normal(size=(4, 8, 1, 1), scale=0.5),
        "score": random.normal(size=(3, 8, 1, 1), scale=0.5),
        "pixels": np.array(640.0),
    }
    nodes = [
        node("Conv", ["x", "stem"], "found", pads=[1, 1, 1, 1]),
        node("Relu", ["found"], "features"),
        node("Conv", ["features", "box"], "box_logits"),
        node("Sigmoid", ["box_logits"], "share"),
        node("Mul", ["share", "pixels"], "boxes"),
        node("Conv", ["features", "score"], "score_logits"),
        node("Sigmoid", ["score_logits"], "scores"),
        node("Concat", ["boxes", "scores"], "all", axis=1),
        node("Transpose", ["all"], "detections", perm=[0, 2, 3, 1]),
    ]
    ports = ([port("x", ("n", 3, 8, 8))], [port("detections", ("n", 8, 8, 7))])
    write(path, nodes, ports, {name: array.astype(np.float32) for name, array in weights.items()})
    return {"x": random.uniform(size=(N, 3, 8, 8)).astype(np.float32)}


def two_outputs(path):
    """Boxes, and a mask whose logits are a thousandth of them before they are scaled up."""
    random = np.random.default_rng(0)
    matrix = random.normal(size=(8, 12)).astype(np.float32)
    matrix[:, 4:] *= 1e-3
    nodes = [
        node("Gemm", ["x", "matrix"], "shared"),
        node("Slice", ["shared", "zero", "four", "one"], "boxes"),
        node("Slice", ["shared", "four", "twelve", "one"], "logits"),
        node("Mul", ["logits", "gain"], "large"),
        node("Sigmoid", ["large"], "mask"),
    ]
    places = {name: np.array([value]) for name, value in (("zero", 0), ("one", 1), ("four", 4), ("twelve", 12))}
    ports = ([port("x", ("n", 8))], [port("boxes", ("n", 4)), port("mask", ("n", 8))])
    write(path, nodes, ports, {"matrix": matrix, "gain": np.array(1000, np.float32), **places})
    return {"x": random.normal(size=(2 * N, 8)).astype(np.float32)}


def two_units(path):
    """A price in thousands and a share in one output, with labels."""
    random = np.random.default_rng(0)
    matrix = (random.normal(size=(8, 2)) * [1000, 0.2]).astype(np.float32)
    ports = ([port("x", ("n", 8))], [port("out", ("n", 2))])
    write(path, [node("Gemm", ["x", "matrix"], "out")], ports, {"matrix": matrix})
    x = random.normal(size=(2 * N, 8)).astype(np.float32)
    return {"x": x, "y": (x @ matrix + random.normal(size=(2 * N, 2)) * [100, 0.02]).astype(np.float32)}


def boxes_alone(path):
    """The detector's columns of one unit: nothing is lost."""
    random = np.random.default_rng(0)
    matrix = random.normal(size=(8, 4)).astype(np.float32)
    write(
        path,
        [node("Gemm", ["x", "matrix"], "boxes")],
        ([port("x", ("n", 8))], [port("boxes", ("n", 4))]),
        {"matrix": matrix},
    )
    return {"x": random.normal(size=(2 * N, 8)).astype(np.float32)}


MODELS = {
    "detector": (detector, None),
    "two outputs": (two_outputs, "boxes"),
    "two units": (two_units, None),
    "one unit": (boxes_alone, None),
}


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """Name → the study of a model, made once."""
    made = {}

    def study(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("study")
            make, scored = MODELS[name]
            np.savez(folder / "test.npz", **make(folder / "model.onnx"))
            options = AnalyzeOptions(
                settings=("onnx-int8",),
                runtimes=("python",),
                score_output=scored,
                layers=False,
                costs=False,
                limit=100,
                out=folder / "model.study",
            )
            made[name] = analyze(folder / "model.onnx", data=str(folder / "test.npz"), options=options)
        return made[name], folder_of(made[name])

    return study


def folder_of(study):
    return study.samples.folder.parents[2]


def reference_range(study, output, channel=slice(None)):
    values = np.load(study.reference.outputs[output])[..., channel]
    return f"{values.min():.3g} to {values.max():.3g}".replace("e-0", "e-").replace("-", "−")


def int8_of(study):
    return next(trial for trial in study.trials if trial.setting == "onnx-int8")


MEND = "scale all channels of the output to one range, or make them outputs of their own"


def clause_of(study, name):
    """What is said of each case, with the figures of its reference."""
    if name == "detector":
        told = reference_range(study, "detections", 4)
        return (
            f"channels 4, 5 and 6 of output 'detections' are constant (channel 4: 0 for every sample, and {told} in "
            f"the model)"
        )
    if name == "two units":
        told = reference_range(study, "out", 1)
        return f"channel 1 of output 'out' is constant (0 for every sample, and {told} in the model)"
    given = np.load(int8_of(study).outputs["mask"]).max()
    told = reference_range(study, "mask")
    return f"output 'mask' is constant ({given:.3g} for every sample, and {told} in the model)"


CASES = [
    pytest.param(
        "detector",
        "channels 4, 5 and 6 of output 'detections' are constant",
        f"so what the model says there is lost; {MEND}",
        ["detections[4]", "detections[5]", "detections[6]"],
        id="yolo-static-onnx",
    ),
    pytest.param(
        "two outputs",
        "output 'mask' is constant",
        "so it tells nothing; 'quantlab show layers --setting onnx-int8' shows where it is lost",
        ["mask"],
        id="second-output-dead",
    ),
    pytest.param(
        "two units",
        "channel 1 of output 'out' is constant",
        f"so what the model says there is lost; {MEND}",
        ["out[1]"],
        id="two-units-regression",
    ),
]


@pytest.mark.parametrize(("name", "note", "advice", "constant"), CASES)
def test_what_is_dead_is_above_the_table_and_in_the_row(name, note, advice, constant, studied):
    study, _ = studied(name)
    sentence = f"onnx-int8 in python: {clause_of(study, name)}, {advice}"
    assert study.warnings == (sentence,)
    assert heading(study)[0] == f"! {sentence}"
    assert int8_of(study).notes[-1] == note
    assert int8_of(study).constant_outputs == tuple(constant)
    assert next(trial for trial in study.trials if trial.setting == "onnx-float32").constant_outputs == ()


@pytest.mark.parametrize(("name", "note", "advice", "constant"), CASES)
def test_what_is_dead_breaks_a_gate(name, note, advice, constant, studied, capsys):
    del note, advice
    study, folder = studied(name)
    asked = [str(folder), "--max-size", "100KB"]
    options = [text for part in constant for text in ("--allow-constant", part)]
    quoted = " ".join(f"--allow-constant '{part}'" for part in constant)
    assert run(["gate", *asked]) == 1
    assert capsys.readouterr().out.splitlines()[-3:-1] == [
        f"model  onnx-int8  BREAKS  {clause_of(study, name)}; to accept that, give {quoted}",
        "BREAKS: 1 of 1 setting",
    ]
    assert run(["recommend", *asked]) == 1
    assert "No quantized setting fits the budget" in capsys.readouterr().out
    assert run(["gate", *asked, *options]) == 0
    assert run(["recommend", *asked, *options]) == 0


def test_one_unit_is_no_warning(studied, capsys):
    study, folder = studied("one unit")
    assert study.warnings == ()
    assert int8_of(study).notes == ()
    assert run(["gate", str(folder), "--max-size", "100KB"]) == 0
    capsys.readouterr()


def test_figures_of_every_output(studied, capsys):
    """Scored or not, and each channel as NumPy has it."""
    study, folder = studied("two outputs")
    run(["show", "outputs", str(folder), "--json"])
    rows = json.loads(capsys.readouterr().out)
    names = [(row["setting"], row["output"], row["channel"]) for row in rows]
    assert names == [
        (setting, output, channel)
        for setting in ("onnx-float32", "onnx-int8")
        for output, channels in (("boxes", 4), ("mask", 8))
        for channel in (None, *range(channels))
    ]
    assert {row["output"] for row in rows if row["scored"]} == {"boxes"}
    boxes = next(row for row in rows if (row["setting"], row["output"], row["channel"]) == ("onnx-int8", "boxes", 2))
    reference, candidate = (
        np.load(trial.outputs["boxes"])[:, 2].astype(np.float64) for trial in (study.reference, int8_of(study))
    )
    error = candidate - reference
    assert boxes["max_abs_error"] == np.abs(error).max()
    assert boxes["rms_error"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-12)
    assert boxes["mean_abs_error"] == pytest.approx(np.abs(error).mean(), rel=1e-12)
    assert boxes["bias"] == pytest.approx(error.mean(), rel=1e-9)
    assert boxes["sqnr_db"] == pytest.approx(10 * np.log10((reference**2).sum() / (error**2).sum()), rel=1e-12)
    assert boxes["cosine"] == pytest.approx(
        reference @ candidate / np.linalg.norm(reference) / np.linalg.norm(candidate), rel=1e-12
    )
    assert (boxes["reference_minimum"], boxes["maximum"]) == (reference.min(), candidate.max())
    assert (boxes["n"], boxes["count"], boxes["shape"]) == (100, 100, [4])


def test_the_scored_output_has_the_figures_of_the_table(studied):
    study, folder = studied("two units")
    scores = int8_of(study).scores
    row = next(row for row in Store(folder).read_outputs().rows if row.setting == "onnx-int8" and row.scored)
    assert row.sqnr_db == pytest.approx(scores.sqnr_db, rel=1e-12)
    assert (row.max_abs_error, row.rms_error) == (scores.max_abs_error, pytest.approx(scores.rms_error, rel=1e-12))
    assert row.cosine == pytest.approx(scores.cosine, rel=1e-12)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_the_size_of_a_batch_changes_no_figure(batch_size, studied, tmp_path):
    _, folder = studied("two units")
    source: Path = folder.parent
    options = AnalyzeOptions(
        settings=("onnx-int8",),
        runtimes=("python",),
        layers=False,
        costs=False,
        limit=100,
        batch_size=batch_size,
        out=tmp_path / "model.study",
    )
    analyze(source / "model.onnx", data=str(source / "test.npz"), options=options)
    assert Store(tmp_path / "model.study").read_outputs() == Store(folder).read_outputs()
