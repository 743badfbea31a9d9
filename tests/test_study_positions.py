"""A U-Net, a tagger, an embedding and an autoencoder: analyzed, shown and gated."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from onnx_models import node, port, write

from quantlab.cli import run
from quantlab.store import Store

pytestmark = pytest.mark.starts_children

N = 300


def label_maps(place, own_models):
    """The U-Net's image holds the class of each pixel, with noise."""
    shutil.copy(own_models / "unet.keras", place / "model.keras")
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, (N, 4, 4)).repeat(2, axis=1).repeat(2, axis=2)
    image = np.eye(3)[labels] + random.normal(size=(N, 8, 8, 3), scale=0.3)
    labels[:, 0, 0] = 255
    np.savez(place / "test.npz", x=image.astype(np.float32), y=labels.astype(np.uint8))
    return "model.keras", ["--settings", "tfjs-uint8,tflite-dynamic"]


def tagger(place, _):
    """Words of sentences of 4 to 9, each with a tag; 0 pads."""
    random = np.random.default_rng(0)
    table = random.normal(size=(20, 8)).astype(np.float32)
    tag = random.normal(size=(8, 4)).astype(np.float32)
    nodes = [
        node("Gather", ["table", "words"], "meanings"),
        node("MatMul", ["meanings", "tag"], "scores"),
        node("Softmax", ["scores"], "tags", axis=-1),
    ]
    ports = ([port("words", ("n", 9), TensorProto.INT64)], [port("tags", ("n", 9, 4))])
    write(place / "model.onnx", nodes, ports, {"table": table, "tag": tag})
    words = random.integers(0, 20, (N, 9))
    right = (table @ tag).argmax(axis=1)[words]
    answers = np.where(random.uniform(size=words.shape) < 0.9, right, random.integers(0, 4, words.shape))
    padding = np.arange(9) >= random.integers(4, 10, N)[:, None]
    np.savez(place / "test.npz", x=words, y=np.where(padding, 9, answers))
    return "model.onnx", ["--settings", "onnx-int8,onnx-dynamic", "--ignore-label", "9"]


def embedding(place, _):
    random = np.random.default_rng(0)
    matrices = {"first": random.normal(size=(16, 32), scale=0.3), "second": random.normal(size=(32, 8), scale=0.2)}
    nodes = [
        node("MatMul", ["x", "first"], "hidden"),
        node("Relu", ["hidden"], "active"),
        node("MatMul", ["active", "second"], "raw"),
        node("LpNormalization", ["raw"], "embedding", axis=1, p=2),
    ]
    constants = {name: matrix.astype(np.float32) for name, matrix in matrices.items()}
    write(place / "model.onnx", nodes, ([port("x", ("n", 16))], [port("embedding", ("n", 8))]), constants)
    np.savez(place / "test.npz", x=random.normal(size=(N, 16)).astype(np.float32))
    return "model.onnx", ["--settings", "onnx-int8,onnx-dynamic"]


def autoencoder(place, _):
    random = np.random.default_rng(0)
    down = random.normal(size=(12, 4), scale=0.3).astype(np.float32)
    nodes = [node("MatMul", ["signal", "down"], "code"), node("MatMul", ["code", "up"], "again")]
    ports = ([port("signal", ("n", 12))], [port("code", ("n", 4)), port("again", ("n", 12))])
    write(place / "model.onnx", nodes, ports, {"down": down, "up": np.ascontiguousarray(down.T)})
    np.savez(place / "test.npz", x=random.normal(size=(N, 12)).astype(np.float32))
    return "model.onnx", ["--settings", "onnx-int8,onnx-dynamic", "--score-output", "again"]


MODELS = {"u-net": label_maps, "tagger": tagger, "embedding": embedding, "autoencoder": autoencoder}


@pytest.fixture(scope="module")
def studied(tmp_path_factory, own_models):
    """Name → the folder of the study of a model, made once."""
    made = {}

    def study(name):
        if name not in made:
            place = tmp_path_factory.mktemp("place")
            model, options = MODELS[name](place, own_models)
            made[name] = place / "model.study"
            asked = ["--data", str(place / "test.npz"), "--runtimes", "python", "--no-layers", "--no-costs"]
            assert run(["analyze", str(place / model), *asked, "--out", str(made[name]), *options]) == 0
        return made[name]

    return study


def printed(capsys, *arguments):
    """The exit status and the lines of a command."""
    capsys.readouterr()
    status = run([str(argument) for argument in arguments])
    return status, capsys.readouterr().out.splitlines()


def answers_of(study, setting):
    trial = next(one for one in (study.reference, *study.trials) if one.setting == setting)
    return np.load(trial.outputs[study.scored_output]).argmax(axis=-1), trial.scores


def test_a_label_map_is_scored_by_its_pixels(studied, capsys):
    study = Store(studied("u-net")).read_study()
    assert (study.task, study.positions, study.classes, study.warnings) == ("positions", True, False, ())
    labels = np.load(study.samples.labels_file)
    scored = labels < 255
    for setting in ("reference", "tfjs-uint8"):
        answers, scores = answers_of(study, setting)
        pairs = [((answers == label) & scored, labels == label) for label in range(3)]
        iou = np.mean([(ours & truth).sum() / (ours | truth).sum() for ours, truth in pairs])
        assert scores.mean_iou == pytest.approx(100 * iou)
        assert scores.position_accuracy == pytest.approx(100 * (answers == labels)[scored].mean())
    assert study.reference.scores.mean_iou > 80
    _, lines = printed(capsys, "show", studied("u-net"))
    headings = next(line for line in lines if line.startswith("setting"))
    assert headings.split("  ")[0] == "setting"
    assert all(
        name in headings for name in ("mean IoU %", "mean IoU loss [95 %]", "accuracy %", "accuracy loss [95 %]")
    )
    assert "top-1" not in headings


def test_a_label_map_is_gated(studied, capsys):
    folder = studied("u-net")
    status, lines = printed(capsys, "gate", folder, "--max-accuracy-loss", "5pt", "--min-agreement", "95%")
    rule = "2 settings judged in a fixed sequence from tflite-dynamic to tfjs-uint8"
    assert (status, lines[-2]) == (0, f"FITS: 2 of 2 settings; one quantized setting that fits is enough; {rule}")
    status, lines = printed(capsys, "gate", folder, "--max-accuracy-loss", "0.1pt", "--metric", "position-accuracy")
    assert (status, "too few samples: 225 of at least" in lines[0]) == (3, True)
    status, lines = printed(capsys, "recommend", folder, "--max-accuracy-loss", "5pt")
    assert (status, lines[0].startswith("Ship t")) == (0, True)


def test_a_sequence_is_scored_without_its_padding(studied, capsys):
    study = Store(studied("tagger")).read_study()
    labels = np.load(study.samples.labels_file)
    assert (labels.min(), labels.max(), labels.shape[1:]) == (-1, 3, (9,))
    answers, scores = answers_of(study, "onnx-int8")
    assert scores.position_accuracy == pytest.approx(100 * (answers == labels)[labels >= 0].mean())
    assert 80 < scores.position_accuracy < 97
    assert (scores.mean_iou, study.samples.drawn) == (None, "random, seed 0")
    status, lines = printed(capsys, "gate", studied("tagger"), "--max-accuracy-loss", "4pt", "--format", "json")
    rows = json.loads("\n".join(lines))
    assert (status, {(row["metric"], row["method"], row["n"]) for row in rows}) == (
        0,
        {("position-accuracy", "BCa bootstrap, or what unseen samples may do", 225)},
    )


def test_an_embedding_is_gated_by_its_cosine(studied, capsys):
    folder = studied("embedding")
    assert Store(folder).read_study().task == "similarity"
    status, lines = printed(capsys, "gate", folder, "--min-cosine", "0.99", "--setting", "onnx-int8")
    assert (status, lines[0].split("  ")[1:3]) == (0, ["onnx-int8", "FITS"])
    assert lines[0].split("  ")[3].startswith("cosine of 'embedding' is at least 0.99")
    assert printed(capsys, "gate", folder, "--min-cosine", "embedding=0.999999")[0] == 1
    _, lines = printed(capsys, "show", "outputs", folder)
    assert any("cosine" in line for line in lines)


def test_an_autoencoder_is_gated_by_its_sqnr(studied, capsys, tmp_path):
    folder = studied("autoencoder")
    assert printed(capsys, "gate", folder, "--min-sqnr", "25dB")[0] == 0
    assert printed(capsys, "gate", folder, "--min-sqnr", "25dB", "--max-rmse", "code[2]=0.5")[0] == 0
    status, lines = printed(capsys, "gate", folder, "--min-sqnr", "90dB", "--min-sqnr", "again=25dB")
    assert status == 1
    assert ["SQNR of 'code' is at most" in line for line in lines[:2]] == [True, True]
    lock = tmp_path / "quantlab.lock"
    assert printed(capsys, "accept", folder, "--min-sqnr", "25dB", "--lock", lock)[0] == 0
    accepted = json.loads(Path(lock).read_text())["studies"]["model"]["settings"]["onnx-int8"]["outputs"]["python"]
    assert [(one["figure"], one["output"]) for one in accepted] == [("sqnr", "code"), ("sqnr", "again")]
    assert printed(capsys, "gate", folder, "--lock", lock)[0] == 0
