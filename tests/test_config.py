"""`quantlab.toml`, and the options that override it."""

import re

import pytest

from quantlab.cli.config import read_preprocessing as read
from quantlab.errors import UsageError
from quantlab.types import Preprocessing


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read_preprocessing(config, declared):
    """As for a folder of images, which this one is."""
    return read(config, declared, data=".")


def toml(tmp_path, text, name="quantlab.toml"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


NOTHING = {"size": None, "resize": None, "colour": None, "scale": None, "offset": None}


def test_without_a_file_or_an_option_images_are_taken_as_they_are():
    assert read_preprocessing(None, NOTHING) == Preprocessing()


def test_the_file_in_this_folder_is_read(tmp_path):
    toml(tmp_path, '[preprocessing]\nsize = "96x128"\nresize = "area"\ncolour = "bgr"\nscale = 0.5\noffset = -1\n')
    assert read_preprocessing(None, NOTHING) == Preprocessing((96, 128), "area", "bgr", 0.5, -1)


def test_an_option_goes_before_its_key_and_leaves_the_others(tmp_path):
    toml(tmp_path, '[preprocessing]\nresize = "area"\nscale = 0.5\n')
    assert read_preprocessing(None, {**NOTHING, "scale": 0.25}) == Preprocessing(resize="area", scale=0.25)


def test_a_scale_of_zero_is_an_option_too(tmp_path):
    toml(tmp_path, "[preprocessing]\noffset = 3\n")
    assert read_preprocessing(None, {**NOTHING, "offset": 0.0}) == Preprocessing(offset=0.0)


def test_a_file_that_is_named_is_read_and_the_one_here_is_not(tmp_path):
    toml(tmp_path, "[preprocessing]\nscale = 0.5\n")
    other = toml(tmp_path, "[preprocessing]\noffset = 2\n", "other.toml")
    assert read_preprocessing(other, NOTHING) == Preprocessing(offset=2)


def test_a_table_that_there_is_not_is_refused(tmp_path):
    toml(tmp_path, "[preprocesing]\nscale = 1\n")
    with pytest.raises(UsageError) as refusal:
        read_preprocessing(None, NOTHING)
    assert str(refusal.value) == ("'quantlab.toml' has the unknown table [preprocesing]; did you mean 'preprocessing'?")


def test_arrays_are_left_alone_by_the_file_in_this_folder_but_not_by_one_that_is_named(tmp_path):
    path = toml(tmp_path, "[preprocessing]\nscale = 0.5\n")
    assert read(None, NOTHING, data="x.npz") == Preprocessing()
    assert read(path, NOTHING, data="x.npz") == Preprocessing(scale=0.5)


@pytest.mark.parametrize(
    ("value", "size"),
    [('"224x160"', (224, 160)), ('"224X160"', (224, 160)), ("224", (224, 224)), ("[224, 160]", (224, 160))],
)
def test_ways_to_write_a_size(value, size, tmp_path):
    toml(tmp_path, f"[preprocessing]\nsize = {value}\n")
    assert read_preprocessing(None, NOTHING) == Preprocessing(size=size)


def test_the_keys_of_a_pipeline(tmp_path):
    text = """
mode = "torch"
decoder = "opencv"
resizer = "torchvision"
aspect = "crop"
shorter_side = 256
pad_value = 114
central_crop = 0.875
layout = "channels-first"
dtype = "float32"
"""
    toml(tmp_path, f"[preprocessing]\n{text}")
    assert read_preprocessing(None, NOTHING) == Preprocessing(
        mode="torch",
        decoder="opencv",
        resizer="torchvision",
        aspect="crop",
        shorter_side=256,
        pad_value=114,
        central_crop=0.875,
        layout="channels-first",
        dtype="float32",
    )


def test_numbers_for_each_channel(tmp_path):
    toml(tmp_path, "[preprocessing]\nscale = [0.5, 0.25, 1]\noffset = [1, 2, 3]\n")
    assert read_preprocessing(None, NOTHING) == Preprocessing(scale=(0.5, 0.25, 1), offset=(1, 2, 3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            '[preprocessing]\nsize = "big"\n',
            "the size is 'big' and must be HEIGHTxWIDTH in pixels; write for example 224x224",
            id="no size",
        ),
        pytest.param(
            "[preprocessing]\nsize = [1, 2, 3]\n",
            "the size is [1, 2, 3] and must be HEIGHTxWIDTH in pixels; write for example 224x224",
            id="three sizes",
        ),
        pytest.param(
            "[preprocessing]\nsize = 0\n",
            "the size is 0 and must be HEIGHTxWIDTH in pixels; write for example 224x224",
            id="no pixels",
        ),
        pytest.param(
            "[preprocessing]\nsize = 22.5\n",
            "the size is 22.5 and must be HEIGHTxWIDTH in pixels; write for example 224x224",
            id="half a pixel",
        ),
        pytest.param(
            "[preprocessing]\nsize = true\n",
            "the size is True and must be HEIGHTxWIDTH in pixels; write for example 224x224",
            id="truth for a size",
        ),
        pytest.param(
            "[preprocessing]\ncolor = 'bgr'\n",
            "[preprocessing] has no key 'color'; did you mean 'colour'?",
            id="a key that there is not",
        ),
        pytest.param(
            f"[preprocessing]\n{'x' * 5000} = 'bgr'\n",
            f"[preprocessing] has no key '{'x' * 80}…'; choose from size, resize, colour, scale, offset, classes, "
            "mode, decoder, resizer, aspect, shorter_side, pad_value, central_crop, layout, dtype",
            id="an endless key",
        ),
        pytest.param(
            f"[preprocessing]\nscale = {'9' * 900}\n",
            f"scale is {'9' * 80}… and must be a number, for example 0.5; correct it in [preprocessing]",
            id="an endless number",
        ),
        pytest.param(
            "[preprocessing]\nscale = '1/255'\n",
            "scale is '1/255' and must be a number, for example 0.5; correct it in [preprocessing]",
            id="text for a number",
        ),
        pytest.param(
            "[preprocessing]\nscale = true\n",
            "scale is True and must be a number, for example 0.5; correct it in [preprocessing]",
            id="truth for a number",
        ),
        pytest.param(
            "[preprocessing]\nscale = [0.5, '1/255']\n",
            "scale is '1/255' and must be a number, for example 0.5; correct it in [preprocessing]",
            id="text for a channel",
        ),
        pytest.param(
            "[preprocessing]\nshorter_side = 256.5\n",
            "shorter_side is 256.5 and must be a whole number of pixels, for example 256; correct it in "
            "[preprocessing]",
            id="half a pixel",
        ),
        pytest.param(
            "[preprocessing]\nresize = 3\n",
            "resize is 3 and must be text in quotes; correct it in [preprocessing]",
            id="a number for text",
        ),
        pytest.param(
            "preprocessing = 3\n",
            "'preprocessing' in 'quantlab.toml' is not a table; write [preprocessing] on a line and its keys below",
            id="no table",
        ),
        pytest.param(
            "[preprocessing\n",
            "'quantlab.toml' is not a valid TOML file (Expected ']' at the end of a table declaration (at line 1, "
            "column 15)); correct it, or name another file",
            id="no TOML",
        ),
    ],
)
def test_what_is_refused(text, message, tmp_path):
    toml(tmp_path, text)
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        read_preprocessing(None, NOTHING)


def test_a_file_that_is_named_and_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError) as refused:
        read_preprocessing(tmp_path / "nowhere.toml", NOTHING)
    assert str(refused.value) == (
        f"there is no file '{tmp_path}/nowhere.toml' to read [preprocessing] from; name an existing TOML file"
    )


@pytest.mark.parametrize(
    ("text", "declared"),
    [
        ('classes = ["sun", "new moon"]', {}),
        ("", {"classes": "sun, new moon"}),
        ('classes = ["star"]', {"classes": "sun,new moon"}),
    ],
)
def test_the_order_of_classes(text, declared, tmp_path):
    toml(tmp_path, f"[preprocessing]\n{text}\n")
    assert read_preprocessing(None, {**NOTHING, **declared}) == Preprocessing(classes=("sun", "new moon"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[preprocessing]\nclasses = 3", 'classes is 3 and must be a list of names: classes = ["…"]'),
        ("[preprocessing]\nclasses = []", 'classes is [] and must be a list of names: classes = ["…"]'),
        ('[preprocessing]\nclasses = ["a", 2]', """classes is ['a', 2] and must be a list of names: classes = ["…"]"""),
        ("[preprocessing]\nclases = []", "[preprocessing] has no key 'clases'; did you mean 'classes'?"),
        (
            'classes = ["a"]',
            "'classes' in 'quantlab.toml' belongs to a table; write it below a line [preprocessing]",
        ),
    ],
)
def test_an_order_of_classes_that_is_none(text, message, tmp_path):
    toml(tmp_path, f"{text}\n")
    with pytest.raises(UsageError) as refusal:
        read_preprocessing(None, NOTHING)
    assert str(refusal.value) == message
