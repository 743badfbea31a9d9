"""Folders of images as samples."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quantlab.errors import SamplesError, UsageError
from quantlab.samples import SampleOptions, names_of, open_samples
from quantlab.types import Preprocessing, SampleNames, TensorSpec

RGB = TensorSpec("image", (None, 4, 6, 3), "float32")
GREY = TensorSpec("image", (None, 4, 6, 1), "float32")
COLOURS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def opened(spec=RGB, *, data="images", limit=None, **preprocessing):
    options = SampleOptions(preprocessing=Preprocessing(**preprocessing), limit=limit)
    samples, _ = open_samples(data, None, model_inputs=(spec,), folder=Path("study"), options=options, calibrate=0)
    return samples


def tensor(samples):
    return np.load(samples.input_file("image"))


def save(path, pixels=COLOURS, **options):
    path = Path("images", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def test_pictures_are_the_arrays_they_were_made_from():
    here = Path(__file__).resolve().parents[1]
    fashion = Path(os.environ.get("QUANTLAB_DATA", here.parent / "shared" / "data")) / "fashion-mnist"
    if not fashion.is_dir():
        pytest.skip("needs Fashion-MNIST as data/README.md describes it; name the folder with QUANTLAB_DATA")
    with np.load(fashion / "test.npz") as data:
        x, y = data["x"], data["y"]
    first60 = np.concatenate([np.flatnonzero(y == label)[:60] for label in range(10)])
    np.savez("first60.npz", x=x[first60], y=y[first60])
    spec = TensorSpec("image", (None, 28, 28, 1), "float32")
    pictures = opened(spec, data=str(fashion / "images"))
    arrays = opened(spec, data="first60.npz")
    assert pictures.sha256 == arrays.sha256
    assert tensor(pictures).tobytes() == tensor(arrays).tobytes()
    assert pictures.preprocessing == (
        "grey 28×28, Pillow's bilinear for files of another size; values 0–255 unchanged; "
        "classes in the order '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'"
    )


@pytest.mark.parametrize(
    ("names", "order"),
    [
        pytest.param(["10", "9", "11"], ["9", "10", "11"], id="numbers in their own order"),
        pytest.param(["dog", "cat", "10"], ["10", "cat", "dog"], id="names in the alphabet's"),
    ],
)
def test_the_order_of_classes(names, order):
    for name in names:
        save(f"{name}/a.png", np.full((4, 6, 3), order.index(name), np.uint8))
    Path("images/.hidden").mkdir()
    samples = opened()
    np.testing.assert_array_equal(np.load(samples.labels_file), [0, 1, 2])
    np.testing.assert_array_equal(tensor(samples)[:, 0, 0, 0], [0, 1, 2])
    assert samples.preprocessing.endswith("classes in the order " + ", ".join(f"'{name}'" for name in order))


def test_the_files_of_samples_are_known():
    for value, file in enumerate(("dog/2.png", "dog/1.png", "cat/9.png")):
        save(file, np.full((4, 6, 3), value, np.uint8))
    samples = opened()
    assert names_of(samples, np.array([0, 2])) == SampleNames("images", (0, 2), ("cat/9.png", "dog/2.png"))
    Path("images/dog/1.png").rename("images/dog/0.png")  # the bytes are the same
    assert names_of(opened(), np.arange(3)).files == ("cat/9.png", "dog/0.png", "dog/2.png")


def test_an_empty_class_keeps_its_label():
    save("0/a.png")
    save("2/a.png")
    Path("images/1").mkdir()
    np.testing.assert_array_equal(np.load(opened().labels_file), [0, 2])


def test_images_straight_in_the_folder_are_unlabelled():
    save("b.png")
    save("a.BMP", COLOURS[::-1])
    Path("images/notes.txt").write_text("ignored")
    samples = opened()
    assert not samples.labelled
    np.testing.assert_array_equal(tensor(samples), np.stack([COLOURS[::-1], COLOURS]))
    assert samples.preprocessing == "rgb 4×6, Pillow's bilinear for files of another size; values 0–255 unchanged"


@pytest.mark.parametrize(
    ("spec", "preprocessing", "expected"),
    [
        pytest.param(RGB, {}, COLOURS, id="as they are"),
        pytest.param(RGB, {"colour": "bgr"}, COLOURS[..., ::-1], id="blue first"),
        pytest.param(GREY, {}, np.asarray(Image.fromarray(COLOURS).convert("L"))[..., None], id="grey"),
        pytest.param(
            TensorSpec("image", (None, 4, 6), "float32"),
            {"colour": "grey"},
            np.asarray(Image.fromarray(COLOURS).convert("L")),
            id="grey without a channel dimension",
        ),
        pytest.param(
            RGB,
            {"scale": 1 / 127.5, "offset": -1.0},
            (COLOURS.astype(np.float64) / 127.5 - 1).astype(np.float32),
            id="scaled to minus one to one",
        ),
        pytest.param(
            TensorSpec("image", (None, 4, 6, 3), "int8"),
            {"offset": -128.0},
            COLOURS.astype(int) - 128,
            id="integers moved",
        ),
        pytest.param(
            TensorSpec("image", (None, None, None, 3), "float32"),
            {"size": (8, 3), "resize": "area"},
            np.asarray(Image.fromarray(COLOURS).resize((3, 8), Image.Resampling.BOX)),
            id="resized",
        ),
    ],
)
def test_preprocessing(spec, preprocessing, expected):
    save("a.png")
    np.testing.assert_allclose(tensor(opened(spec, **preprocessing))[0], expected, rtol=1e-6, atol=1e-7)


def test_the_words_for_a_scale():
    save("a.png")
    samples = opened(scale=1 / 255, offset=-0.5, colour="bgr", resize="lanczos")
    assert samples.preprocessing == (
        "bgr 4×6, Pillow's lanczos for files of another size; values 0–255 × 0.00392156862745098 − 0.5"
    )


def test_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    save("a.png", np.rot90(COLOURS).copy(), exif=exif)
    np.testing.assert_array_equal(tensor(opened())[0], COLOURS)


def test_only_what_is_drawn_is_decoded():
    for number in range(20):
        save(f"{number:02}.png", np.full((4, 6, 3), number, np.uint8))
    drawn = np.load(opened(limit=5).folder / "indices.npy")
    for number in set(range(20)) - set(drawn.tolist()):
        Path(f"images/{number:02}.png").write_bytes(b"broken")
    np.testing.assert_array_equal(tensor(opened(limit=5))[:, 0, 0, 0], drawn)


def _truncated():
    save("a.png", np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8))
    whole = Path("images/a.png").read_bytes()
    Path("images/a.png").write_bytes(whole[: len(whole) // 2])


def _no_image():
    Path("images").mkdir()
    Path("images/a.png").write_text("not at all")


def _files(*names):
    Path("images").mkdir()
    for name in names:
        Path("images", name).touch()


def _mixed():
    save("a.png")
    save("cat/a.png")


@pytest.mark.parametrize(
    ("make", "spec", "message"),
    [
        pytest.param(
            lambda: Path("images").mkdir(),
            RGB,
            "'images' holds no images (.png, .jpg, .jpeg, .bmp, .webp); "
            "give a folder with one folder of images for each class",
            id="empty",
        ),
        pytest.param(
            lambda: _files("a.tar", "b.tar", "about.csv"),
            RGB,
            "'images' holds no images (.png, .jpg, .jpeg, .bmp, .webp); give a folder with one folder of images for "
            "each class, or name the files in this one by a pattern in quotes: 'images/*.tar'",
            id="shards",
        ),
        pytest.param(
            lambda: _files("a.tfrecord-00000-of-00002", "a.tfrecord-00001-of-00002"),
            RGB,
            "'images' holds no images (.png, .jpg, .jpeg, .bmp, .webp); give a folder with one folder of images for "
            "each class, or name the files in this one by a pattern in quotes: 'images/*.tfrecord*'",
            id="numbered shards",
        ),
        pytest.param(
            lambda: save("train/cat/a.png"),
            RGB,
            "'images' holds no images (.png, .jpg, .jpeg, .bmp, .webp) in subfolders, but "
            "'train/cat/a.png'; give the folder that directly holds the class folders",
            id="too deep",
        ),
        pytest.param(
            _mixed,
            RGB,
            "'images' holds 1 images directly and 1 in subfolders, so their classes are ambiguous; "
            "move the former into class folders, or remove them",
            id="both straight and by class",
        ),
        pytest.param(
            lambda: [save(f"{number}/a.png") for number in (1, 2, 4)],
            RGB,
            "the class folders of 'images' are numbers, and '2' is followed by '4'; add an empty "
            "folder for every class without images, so that the labels are correct",
            id="a class left out",
        ),
        pytest.param(
            _no_image,
            RGB,
            "the image 'images/a.png' has no format that Pillow can read; repair or remove it",
            id="no image inside",
        ),
        pytest.param(
            lambda: save("a.png", np.zeros((4, 6), np.uint16)),
            GREY,
            "the image 'images/a.png' has pixel mode I;16, and only 8 bits per channel are "
            "supported; convert it to 8 bits",
            id="sixteen bits",
        ),
        pytest.param(
            lambda: save("a.png"),
            TensorSpec("image", (None, 3, 4, 6), "float32"),
            "images become samples of shape (height, width, 1 or 3), but the input 'image' expects "
            "(3, 4, 6), with channels first; give the samples as arrays in a .npz file",
            id="channels first",
        ),
        pytest.param(
            lambda: save("a.png"),
            TensorSpec("v", (None, 640), "float32"),
            "images become samples of shape (height, width, 1 or 3), but the input 'v' expects "
            "(640,); give the samples as arrays in a .npz file",
            id="no images taken",
        ),
        pytest.param(
            lambda: save("a.png"),
            TensorSpec("image", (None, None, None, 3), "float32"),
            "the input 'image' accepts images of any size, (?, ?, 3); give the height and width to "
            "resize to in the preprocessing",
            id="any size",
        ),
    ],
)
def test_folders_that_do_not_fit(make, spec, message):
    make()
    with pytest.raises(SamplesError) as refusal:
        opened(spec)
    assert str(refusal.value) == message


def test_a_truncated_image_is_named():
    _truncated()
    with pytest.raises(SamplesError, match=r"^the image 'images/a\.png' cannot be decoded \(.+\); repair or remove"):
        opened()


def test_a_folder_that_vanishes_during_the_search_is_passed_over(monkeypatch):
    save("train/cat/a.png")
    Path("images/gone/deep").mkdir(parents=True)
    scandir = os.scandir

    def vanishing(place):
        if Path(place).name == "deep":
            raise FileNotFoundError(2, "No such file or directory", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", vanishing)
    with pytest.raises(SamplesError, match=r"in subfolders, but 'train/cat/a\.png'; give the folder"):
        opened()


@pytest.mark.parametrize(
    ("preprocessing", "spec", "error", "message"),
    [
        pytest.param(
            {"resize": "bilnear"},
            RGB,
            UsageError,
            "there is no resampling filter 'bilnear'; did you mean 'bilinear'?",
            id="resize method",
        ),
        pytest.param(
            {"colour": "gray"}, RGB, UsageError, "there is no colour order 'gray'; did you mean 'grey'?", id="colour"
        ),
        pytest.param(
            {"colour": "grey"},
            RGB,
            SamplesError,
            "the colour order 'grey' gives 1 channels, but the input 'image' expects (4, 6, 3); leave it at 'auto'",
            id="channels",
        ),
        pytest.param(
            {"size": (8, 8)},
            RGB,
            SamplesError,
            "the preprocessing makes images of 8×8, but the input 'image' expects (4, 6, 3); leave "
            "the size out to use the model's input size",
            id="size",
        ),
        pytest.param(
            {"scale": 0.5},
            TensorSpec("image", (None, 4, 6, 3), "uint8"),
            SamplesError,
            "the input 'image' expects uint8, but scale 0.5 and offset 0.0 give fractional values; give whole numbers",
            id="fractions for integers",
        ),
        pytest.param(
            {"scale": 2.0},
            TensorSpec("image", (None, 4, 6, 3), "int8"),
            SamplesError,
            "sample 0 (counted from 0) of 'images' holds 254 in the input 'image', which expects "
            "int8, exact for integers from -128 to 127; scale the values to that range",
            id="out of range",
        ),
    ],
)
def test_preprocessing_that_does_not_fit(preprocessing, spec, error, message):
    save("a.png", np.full((4, 6, 3), 127, np.uint8))
    with pytest.raises(error) as refusal:
        opened(spec, **preprocessing)
    assert str(refusal.value) == message


# The order of the classes


def test_classes_are_in_the_order_that_is_named():
    for number, name in enumerate(("moon", "star", "sun")):
        save(f"{name}/a.png", np.full((4, 6, 3), number, np.uint8))
    Path("images", "comet").mkdir()
    samples = opened(classes=("sun", "comet", "moon", "star"))
    assert np.load(samples.labels_file).tolist() == [0, 2, 3]
    assert tensor(samples)[:, 0, 0, 0].tolist() == [2, 0, 1]
    assert samples.classes == ("sun", "comet", "moon", "star")
    assert samples.preprocessing.endswith("; classes in the order 'sun', 'comet', 'moon', 'star'")


def test_without_one_they_are_sorted_and_known_by_name():
    for name in ("star", "moon"):
        save(f"{name}/a.png")
    assert opened().classes == ("moon", "star")


def test_folders_of_numbers_may_be_in_any_order_too():
    for name in ("0", "2"):
        save(f"{name}/a.png")
    assert opened(classes=("2", "0")).classes == ("2", "0")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        pytest.param(
            ("mon", "star", "sun"),
            "there is no class folder 'mon' in 'images'; did you mean 'moon'? (for a class without images, add an "
            "empty folder)",
            id="unknown, and like another",
        ),
        pytest.param(
            ("moon", "star", "sun", "xyz"),
            "there is no class folder 'xyz' in 'images'; choose from 'moon', 'star', 'sun' (for a class without "
            "images, add an empty folder)",
            id="unknown",
        ),
        pytest.param(
            ("sun", "moon"),
            "the classes do not name the class folder 'star' of 'images'; name every class folder once, in the order "
            "of the model's outputs",
            id="missing",
        ),
        pytest.param(
            ("sun", "moon", "star", "sun"),
            "the class 'sun' is named twice; name every class folder of 'images' once",
            id="twice",
        ),
    ],
)
def test_classes_that_are_not_the_folders(classes, message):
    for name in ("moon", "star", "sun"):
        save(f"{name}/a.png")
    with pytest.raises(UsageError) as refusal:
        opened(classes=classes)
    assert str(refusal.value) == message


def test_classes_of_images_without_folders():
    save("a.png")
    with pytest.raises(UsageError) as refusal:
        opened(classes=("a", "b"))
    assert str(refusal.value) == (
        "classes are named, and 'images' holds images without class folders; leave --classes out"
    )


def test_calibration_images_may_lack_classes():
    for name in ("moon", "star"):
        save(f"{name}/a.png")
    save("../others/moon/a.png", 255 - COLOURS)
    options = SampleOptions(preprocessing=Preprocessing(classes=("star", "moon")))
    _, calibration = open_samples(
        "images", "others", model_inputs=(RGB,), folder=Path("study"), options=options, calibrate=0
    )
    assert calibration is not None
    assert calibration.n == 1
