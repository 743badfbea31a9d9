"""A detector, a recognizer and a tagger of several labels: analyzed with ground truth of their own form, and gated."""

import json
import textwrap
from pathlib import Path

import numpy as np
import pytest
from onnx_models import node, port, write

from quantlab.cli import run
from quantlab.samples import labels_of
from quantlab.statistics.paired.edit_rates import Decoding, edit_distances
from quantlab.store import Store

pytestmark = pytest.mark.starts_children

N = 240

BOXES = """
    import numpy as np

    def boxes(output):
        kept = output[output[:, 4] > 0]
        return np.column_stack([kept[:, :5], kept[:, 5] > 0])
"""


def detector(place):
    """Boxes and scores in one tensor (n, 4, 6), of which the sign of the last column is the class."""
    random = np.random.default_rng(0)
    weights = random.normal(size=(16, 24), scale=0.3).astype(np.float32)
    weights *= np.tile([12, 12, 3, 3, 1, 1], 4).astype(np.float32)
    bias = np.tile([60, 60, 25, 25, 0.5, 0], 4).astype(np.float32)
    nodes = [
        node("MatMul", ["x", "weights"], "flat"),
        node("Add", ["flat", "bias"], "moved"),
        node("Reshape", ["moved", "shape"], "found"),
    ]
    constants = {"weights": weights, "bias": bias, "shape": np.array([-1, 4, 6], np.int64)}
    write(place / "model.onnx", nodes, ([port("x", ("n", 16))], [port("found", ("n", 4, 6))]), constants)
    x = random.normal(size=(N, 16)).astype(np.float32)
    found = (x @ weights + bias).reshape(N, 4, 6)
    near = found[:, :, :4] + random.normal(size=(N, 4, 4))
    truth = [
        [
            {"bbox": [float(value) for value in box], "category_id": int(row[5] > 0)}
            for box, row in zip(boxes, rows, strict=True)
            if row[4] > 0 and min(box[2:]) > 0
        ]
        for boxes, rows in zip(near, found, strict=True)
    ]
    (place / "labels.jsonl").write_text("\n".join(map(json.dumps, truth)))
    np.save(place / "test.npy", x)
    (place / "own_boxes.py").write_text(textwrap.dedent(BOXES))
    return ["--data", str(place / "test.npy"), "--labels", str(place / "labels.jsonl")], "coco-map:own_boxes:boxes"


def recognizer(place):
    """Scores (n, 12, 6) of a sequence with blanks, and ground truth of several lengths by offsets."""
    random = np.random.default_rng(0)
    weights = random.normal(size=(8, 6)).astype(np.float32)
    nodes = [node("MatMul", ["x", "weights"], "raw"), node("Softmax", ["raw"], "scores", axis=-1)]
    ports = ([port("x", ("n", 12, 8))], [port("scores", ("n", 12, 6))])
    write(place / "model.onnx", nodes, ports, {"weights": weights})
    x = random.normal(size=(N, 12, 8)).astype(np.float32)
    decoded = Decoding.of("cer").decode(x @ weights)
    truth = [np.where(random.uniform(size=len(row)) < 0.9, row, 0)[row >= 0] for row in decoded]
    offsets = np.cumsum([0, *map(len, truth)])
    np.savez(place / "test.npz", x=x, y=np.concatenate(truth), y_offsets=offsets)
    return ["--data", str(place / "test.npz")], "cer"


def several_labels(place):
    random = np.random.default_rng(0)
    weights = random.normal(size=(8, 5), scale=0.8).astype(np.float32)
    nodes = [node("MatMul", ["x", "weights"], "raw"), node("Sigmoid", ["raw"], "tags")]
    write(place / "model.onnx", nodes, ([port("x", ("n", 8))], [port("tags", ("n", 5))]), {"weights": weights})
    x = random.normal(size=(N, 8)).astype(np.float32)
    labels = x @ weights + random.normal(size=(N, 5)) > 0
    np.savez(place / "test.npz", x=x, y=labels.astype(np.int64))
    return ["--data", str(place / "test.npz")], "micro-f1"


MODELS = {"detector": detector, "recognizer": recognizer, "several labels": several_labels}


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """Name → the folder of the study of a model, made once; the user's own files are gone afterwards."""
    made = {}

    def study(name):
        if name not in made:
            place = tmp_path_factory.mktemp("place")
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(place)
                data, metric = MODELS[name](place)
                asked = ["--settings", "onnx-int8,onnx-dynamic", "--runtimes", "python", "--no-layers", "--no-costs"]
                command = ["analyze", "model.onnx", *data, "--metric", metric, *asked, "--out", "model.study"]
                assert run(command) == 0
            for file in place.glob("*.np?"):
                file.unlink()
            (place / "labels.jsonl").unlink(missing_ok=True)
            made[name] = place / "model.study"
        return made[name]

    return study


def printed(capsys, *arguments):
    """The exit status and the lines of a command."""
    capsys.readouterr()
    status = run([str(argument) for argument in arguments])
    return status, capsys.readouterr().out.splitlines()


def outputs_of(study, trial):
    return np.load(trial.outputs[study.scored_output])


def test_a_recognizer_is_scored_by_its_error_rate(studied, capsys):
    study = Store(studied("recognizer")).read_study()
    assert (study.task, study.metric, study.samples.truth, study.warnings) == ("metric", "cer", "ragged", ())
    truth = list(labels_of(study.samples))
    decoding = Decoding.of("cer")
    for trial in (study.reference, *study.trials):
        decoded = [row[row >= 0] for row in decoding.decode(outputs_of(study, trial))]
        rate = 100 * edit_distances(truth, decoded).sum() / sum(map(len, truth))
        assert trial.scores.metric_value == pytest.approx(rate)
    assert 5 < study.reference.scores.metric_value < 15
    _, lines = printed(capsys, "show", studied("recognizer"))
    heading = next(line for line in lines if line.startswith("setting"))
    assert "cer %" in heading
    assert "loss, points [95 %]" in heading
    loss, read = (next(line for line in lines if line.startswith(start)) for start in ("loss = ", "cer: "))
    in_points = "loss = variant − reference, in percentage points of cer; positive is worse"
    assert loss == f"{in_points}; 95 % interval by a bootstrap of samples"
    decoded = "greedy CTC: repeated steps are one, and the blank is the last class of scores"
    assert read == f"cer: {decoded}; class numbers are taken as they are"


def test_a_recognizer_is_gated_from_stored_files_alone(studied, capsys):
    folder = studied("recognizer")
    status, lines = printed(capsys, "gate", folder, "--max-accuracy-loss", "8pt", "--format", "json")
    rows = json.loads("\n".join(lines))
    assert (status, {(row["metric"], row["n"]) for row in rows}) == (0, {("cer", 180)})
    assert all("bootstrap" in row["method"] for row in rows)
    assert printed(capsys, "gate", folder, "--max-accuracy-loss", "8pt", "--metric", "wer:space=0")[0] in {0, 3}
    assert printed(capsys, "recommend", folder, "--max-accuracy-loss", "8pt")[1][0].startswith("Ship onnx-")


def test_several_labels_are_scored_above_one_half(studied, capsys):
    study = Store(studied("several labels")).read_study()
    labels = np.asarray(labels_of(study.samples))
    assert (study.task, study.threshold, study.probabilities) == ("metric", 0.5, True)
    for trial in (study.reference, *study.trials):
        answers = outputs_of(study, trial) > 0.5
        f1 = 2 * (answers & (labels == 1)).sum() / (answers.sum() + labels.sum())
        assert trial.scores.metric_value == pytest.approx(100 * f1)
    _, lines = printed(capsys, "show", studied("several labels"))
    assert "micro-f1: a class is answered above 0.5, because the output holds probabilities" in lines
    for metric in ("map", "multilabel-macro-f1"):
        status, _ = printed(
            capsys, "gate", studied("several labels"), "--max-accuracy-loss", "20pt", "--metric", metric
        )
        assert status == 0


def test_a_detector_is_scored_and_gated_by_its_mean_average_precision(studied, capsys, monkeypatch):
    pytest.importorskip("pycocotools", reason="needs pycocotools, of the extra 'detection'")
    folder = studied("detector")
    monkeypatch.chdir(folder.parent)
    study = Store(folder).read_study()
    assert (study.task, study.samples.truth) == ("metric", "json")
    scores = {trial.setting: trial.scores for trial in study.trials}
    assert 30 < study.reference.scores.metric_value < 99
    for one in scores.values():
        assert one.metric_loss_interval.lower < one.metric_loss < one.metric_loss_interval.upper
    status, lines = printed(capsys, "gate", folder, "--max-accuracy-loss", "30pt", "--format", "json")
    rows = json.loads("\n".join(lines))
    assert {(row["metric"], row["n"]) for row in rows} == {("coco-map:own_boxes:boxes", 180)}
    assert status == 0
    assert printed(capsys, "gate", folder, "--max-accuracy-loss", "0.01pt")[0] in {1, 3}
    lock = folder.parent / "quantlab.lock"
    assert printed(capsys, "accept", folder, "--max-accuracy-loss", "30pt", "--lock", lock)[0] == 0
    assert printed(capsys, "gate", folder, "--lock", lock)[0] == 0


def test_a_loss_without_a_metric_is_refused(tmp_path, capsys):
    detector(tmp_path)
    data = ["--data", str(tmp_path / "test.npy"), "--labels", str(tmp_path / "labels.jsonl")]
    asked = ["--settings", "onnx-dynamic", "--runtimes", "python", "--no-layers", "--no-costs", "--limit", "50"]
    folder = tmp_path / "model.study"
    assert run(["analyze", str(tmp_path / "model.onnx"), *data, *asked, "--out", str(folder)]) == 0
    capsys.readouterr()
    assert run(["gate", str(folder), "--max-accuracy-loss", "5pt"]) == 2
    told = capsys.readouterr().err
    assert told == (
        "quantlab: the budget limits the loss to 5pt, and the ground truth of the samples has no metric of its own; "
        "name one with --metric, for example cer, or a function: module:function:higher\n"
    )
    assert run(["gate", str(folder), "--min-sqnr", "5dB"]) == 0
    assert Path(folder / "study.json").is_file()
