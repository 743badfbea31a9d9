"""Names of classes: where they come from, what they must be, and where they are shown."""

import json

import numpy as np
import pytest
from command_line import quantlab_in_process
from onnx_models import node, port, write
from PIL import Image

from quantlab.errors import SamplesError, UsageError
from quantlab.samples import class_names_beside, read_class_names
from quantlab.store import Store

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
"""In the order of the model's outputs, which is not that of the alphabet."""


@pytest.fixture
def colours(tmp_path):
    """A model that answers the colour of an image, and folders of images of each."""
    nodes = [node("ReduceMean", ["x"], "y", axes=[1, 2], keepdims=0)]
    path = write(tmp_path / "colours.onnx", nodes, ([port("x", ["n", 8, 8, 3])], [port("y", ["n", 3])]))
    random = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(20):
            pixels = np.clip(np.array(colour) + random.integers(-60, 60, (8, 8, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    return path


def analyze(folder, *arguments):
    given = ("--settings", "onnx-float32", "--runtimes", "python", "--no-layers", "--no-costs")
    return quantlab_in_process("analyze", "colours.onnx", "--data", "images", *given, *arguments, cwd=folder)


def study_in(folder):
    return Store(folder / "colours.study").read_study()


@pytest.mark.starts_children
@pytest.mark.usefixtures("colours")
@pytest.mark.parametrize("file", ["class_names.txt", "labels.txt", "class_names.json"])
def test_a_file_beside_the_model_orders_the_class_folders(file, tmp_path):
    names = list(COLOURS)
    (tmp_path / file).write_text(json.dumps(names) if file.endswith("json") else "\n".join(names) + "\n")
    assert analyze(tmp_path).status == 0
    study = study_in(tmp_path)
    assert (study.samples.classes, study.reference.scores.top1) == (("red", "green", "blue"), 100.0)


@pytest.mark.starts_children
@pytest.mark.usefixtures("colours")
def test_without_names_the_order_of_the_alphabet_is_found_to_be_wrong(tmp_path):
    done = analyze(tmp_path)
    study = study_in(tmp_path)
    assert study.samples.classes == ("blue", "green", "red")
    assert study.reference.scores.top1 < 50
    assert "--classes" in done.stdout


@pytest.mark.starts_children
@pytest.mark.usefixtures("colours")
def test_names_that_are_given_replace_those_of_folders(tmp_path):
    assert analyze(tmp_path, "--class-names", "bleu,vert,rouge").status == 0
    assert study_in(tmp_path).samples.classes == ("bleu", "vert", "rouge")
    assert analyze(tmp_path, "--class-names", "red,green,blue").status == 0
    study = study_in(tmp_path)
    assert (study.samples.classes, study.reference.scores.top1) == (("red", "green", "blue"), 100.0)
    (tmp_path / "class_names.txt").write_text("rosso\nverde\nblu\n")
    assert analyze(tmp_path).status == 0
    assert study_in(tmp_path).samples.classes == ("blue", "green", "red")


@pytest.mark.starts_children
@pytest.mark.usefixtures("colours")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            ["--class-names", "red,green,azure"],
            "--class-names has 'red' as class 0, and it is class 2 of the samples; name the class folders in the order "
            "of the outputs with --classes, or correct the names",
            id="a folder at another place",
        ),
        pytest.param(
            ["--classes", "red,green,blue", "--class-names", "red,blue,green"],
            "--class-names has 'blue' as class 1, and it is class 2 of the samples; name the class folders in the "
            "order of the outputs with --classes, or correct the names",
            id="another order than that of the folders",
        ),
        pytest.param(
            ["--class-names", "rouge,vert"],
            "--class-names names 2 classes, and the output has 3; write one name for each class, in the order of the "
            "outputs",
            id="too few",
        ),
    ],
)
def test_names_that_contradict_the_folders(options, message, tmp_path):
    done = analyze(tmp_path, *options)
    assert (done.status, done.last) == (2, f"quantlab: {message}")


@pytest.mark.starts_children
@pytest.mark.usefixtures("colours")
def test_arrays_have_the_names_that_are_given(tmp_path):
    random = np.random.default_rng(1)
    labels = random.integers(0, 3, 60)
    images = np.array(list(COLOURS.values()), np.float32)[labels][:, None, None] + random.normal(0, 9, (60, 8, 8, 3))
    np.savez(tmp_path / "data.npz", x=images.astype(np.float32), y=labels)
    given = ("--data", "data.npz", "--class-names", "red,green,blue")
    assert analyze(tmp_path, *given).status == 0
    assert study_in(tmp_path).samples.classes == ("red", "green", "blue")
    refused = analyze(tmp_path, "--data", "data.npz", "--class-names", "red,green")
    assert refused.status == 2
    assert (
        "--class-names names 2 classes, and the output has 3; write one name for each class, in the order of the "
        "outputs"
    ) in refused.stderr
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\nyellow\n")
    warned = analyze(tmp_path, "--data", "data.npz")
    assert warned.status == 0
    assert "names 4 classes, and the output has 3; write one name for each class" in warned.stderr
    assert study_in(tmp_path).samples.classes == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "is no list of names of classes; write one name per line, and none empty", id="empty"),
        pytest.param(
            b"a\n\nb\n", "is no list of names of classes; write one name per line, and none empty", id="a gap"
        ),
        pytest.param(b"\xff\xfe\x00", "cannot be read (it is no text or JSON); write one name per line", id="no text"),
    ],
)
def test_files_that_name_no_classes(content, message, tmp_path):
    (tmp_path / "class_names.txt").write_bytes(content)
    with pytest.raises(SamplesError, match=r"class_names\.txt") as refused:
        class_names_beside(tmp_path / "model.keras")
    assert str(refused.value).endswith(message)


@pytest.mark.parametrize("lines", [["4", "2", "4"], ["0", "1", "2"], ["cat", "dog", "cat"]], ids=" ".join)
def test_labels_of_samples_are_no_names_of_classes(lines, tmp_path):
    """A file for --labels may lie beside the model, too."""
    (tmp_path / "labels.txt").write_text("\n".join(lines))
    assert class_names_beside(tmp_path / "model.keras") is None
    (tmp_path / "class_names.json").write_text('["a", "b"]')
    assert class_names_beside(tmp_path / "model.keras").names == ("a", "b")


def test_a_class_that_is_named_twice(tmp_path):
    (tmp_path / "names.txt").write_text("a\nb\na\n")
    with pytest.raises(UsageError, match=r"names the class 'a' twice; write one name for each class$"):
        read_class_names(str(tmp_path / "names.txt"))


@pytest.mark.parametrize("content", ['{"a": 1}', "[1, 2]", "[]", "[", '["a", " "]'])
def test_json_that_names_no_classes(content, tmp_path):
    (tmp_path / "names.json").write_text(content)
    with pytest.raises(UsageError, match=r"names\.json"):
        read_class_names(str(tmp_path / "names.json"))


def test_names_are_read_line_by_line(tmp_path):
    (tmp_path / "names.txt").write_text("a b, c\n ü \u2028 d\n", encoding="utf-8-sig")
    assert read_class_names(str(tmp_path / "names.txt")).names == ("a b, c", "ü \u2028 d")
    assert read_class_names("a, b").names == ("a", "b")
    with pytest.raises(UsageError, match=r"^--class-names is 'a,,b', and a name in it is empty"):
        read_class_names("a,,b")
    with pytest.raises(UsageError, match=r"^the names of classes in '.*gone\.txt' cannot be read \(No such file"):
        read_class_names(str(tmp_path / "gone.txt"))
    assert class_names_beside(tmp_path / "model.keras") is None
