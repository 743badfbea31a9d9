"""Labels beside the images of a folder: COCO files and masks."""

import json
import math
import re
import time

import numpy as np
import pytest
from PIL import Image

from quantlab.errors import SamplesError
from quantlab.samples import SampleOptions, open_source
from quantlab.samples.beside import labels_beside
from quantlab.samples.source import HeldTensor, Source
from quantlab.types import TensorSpec

SPECS = (TensorSpec("image", (None, 8, 8, 3), "float32"),)
SIZES = {"a.png": (16, 8), "b.jpg": (8, 8), "c.png": (8, 4)}
"""Width and height of each file."""


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for name, size in SIZES.items():
        Image.new("RGB", size).save(tmp_path / "photos" / name)
    return str(tmp_path / "photos")


def opened(photos, labels):
    return open_source(photos, inputs=SPECS, options=SampleOptions(labels=str(labels))).labels


def coco(place, **changed):
    images = [
        {"id": 10 + number, "file_name": name, "width": width, "height": height}
        for number, (name, (width, height)) in enumerate(SIZES.items())
    ]
    document = {
        "images": images[::-1],
        "annotations": [
            {"id": 1, "image_id": 10, "category_id": 3, "bbox": [2, 4, 8, 2], "area": 10, "iscrowd": 1},
            {"id": 2, "image_id": 12, "category_id": 4, "bbox": [1, 1, 2, 2]},
            {"id": 3, "image_id": 99, "category_id": 4, "bbox": [1, 1, 2, 2]},
        ],
        **changed,
    }
    (place / "boxes.json").write_text(json.dumps(document))
    return place / "boxes.json"


def test_boxes_are_scaled_as_their_images_are(photos, tmp_path):
    assert opened(photos, coco(tmp_path)).tolist() == [
        [{"bbox": [1.0, 4.0, 4.0, 2.0], "category_id": 3, "area": 5.0, "iscrowd": 1}],
        [],
        [{"bbox": [1.0, 2.0, 2.0, 4.0], "category_id": 4, "area": 8.0, "iscrowd": 0}],
    ]


def test_a_file_in_another_folder_is_found_by_its_name(photos, tmp_path):
    images = [
        {"id": 10 + number, "file_name": f"val/{name}", "width": 8, "height": 8} for number, name in enumerate(SIZES)
    ]
    assert [len(boxes) for boxes in opened(photos, coco(tmp_path, images=images))] == [1, 0, 1]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param(
            {"images": [{"id": 10, "file_name": "a.png", "width": 8, "height": 8}]},
            "boxes.json' has no image with the file_name 'b.jpg' (sample 1, counted from 0); add it, or remove",
            id="an image that it does not know",
        ),
        pytest.param(
            {"annotations": [{"image_id": 11, "category_id": 3, "bbox": [2, 4, 8]}]},
            "the boxes of 'b.jpg' (sample 1) in '",
            id="a box without a height",
        ),
        pytest.param({"annotations": None}, "boxes.json' cannot be read ('NoneType' object is not", id="no list"),
    ],
)
def test_a_coco_file_that_does_not_fit(photos, tmp_path, changed, message):
    with pytest.raises(SamplesError, match=re.escape(message)):
        opened(photos, coco(tmp_path, **changed))


BOX = {"image_id": 11, "category_id": 3, "bbox": [2, 4, 8, 1]}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({"category_id": 3.7}, "the category_id 3.7 is no whole number", id="a part of a class"),
        pytest.param({"area": math.nan}, "the area nan is no finite number from 0", id="an area of NaN"),
        pytest.param({"area": -1}, "the area -1.0 is no finite number from 0", id="a negative area"),
        pytest.param({"iscrowd": 0.5}, "iscrowd is 0.5 and neither 0 nor 1", id="half a crowd"),
        pytest.param(
            {"bbox": [2, 4, -8, 1]}, "the box [2, 4, -8, 1] is no finite x, y, width, height", id="a negative width"
        ),
        pytest.param(
            {"bbox": [2, 4, math.inf, 1]},
            "the box [2, 4, inf, 1] is no finite x, y, width, height",
            id="an infinite width",
        ),
    ],
)
def test_a_box_that_is_none_is_named(photos, tmp_path, changed, reason):
    path = coco(tmp_path, annotations=[{**BOX, **changed}])
    message = f"the boxes of 'b.jpg' (sample 1) in '{path}' cannot be read ({reason}); correct them"
    with pytest.raises(SamplesError, match=f"^{re.escape(message)}$"):
        opened(photos, path)


def test_a_class_that_is_written_as_a_float_is_a_class(photos, tmp_path):
    (_, (box,), _) = opened(photos, coco(tmp_path, annotations=[{**BOX, "category_id": 3.0, "iscrowd": True}]))
    assert (box["category_id"], box["iscrowd"]) == (3, 1)


SQUARE = {"width": 8, "height": 8}


@pytest.mark.parametrize(
    ("images", "message"),
    [
        pytest.param(
            [{"id": number, "file_name": "a.png", **SQUARE} for number in (1, 2)],
            "'{path}' cannot be read (2 images have the file_name 'a.png'); give a COCO file with the lists 'images' "
            "and 'annotations'",
            id="one name of two images",
        ),
        pytest.param(
            [{"id": 1, "file_name": name, **SQUARE} for name in SIZES],
            "'{path}' cannot be read (3 images have the id 1); give a COCO file with the lists 'images' and "
            "'annotations'",
            id="one id of three images",
        ),
        pytest.param(
            [{"id": place, "file_name": name, "width": -8, "height": 8} for place, name in enumerate(SIZES)],
            "the boxes of 'a.png' (sample 0) in '{path}' cannot be read (the size -8×8 is none of an image); correct "
            "them",
            id="a negative size",
        ),
    ],
)
def test_images_that_are_none_are_named(photos, tmp_path, images, message):
    path = coco(tmp_path, images=images)
    with pytest.raises(SamplesError, match=f"^{re.escape(message.format(path=path))}$"):
        opened(photos, path)


def test_names_in_other_folders_are_looked_up_once(tmp_path):
    """Of 20,000 images: to compare each name with each other took minutes."""
    names = tuple(f"{place}.png" for place in range(20_000))
    images = [{"id": place, "file_name": f"val/{name}", **SQUARE} for place, name in enumerate(names)]
    boxes = [{"image_id": place, "category_id": place, "bbox": [0, 0, 1, 1]} for place in range(20_000)]
    tensors = (HeldTensor("image", (20_000, 8, 8, 3), np.dtype(np.uint8)),)
    source = Source(text="photos", n=20_000, tensors=tensors, labels=None, read=lambda _: iter(()), files=names)
    began = time.process_time()
    truth = labels_beside(coco(tmp_path, images=images, annotations=boxes), source)
    assert [box["category_id"] for (box,) in truth] == list(range(20_000))
    assert time.process_time() - began < 20


def masks(place, sizes=((6, 4),) * 3, mode="P"):
    folder = place / "masks"
    folder.mkdir()
    for number, (name, size) in enumerate(zip(SIZES, sizes, strict=True)):
        mask = Image.new(mode, size, 0)
        if mode == "P":
            mask.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
        mask.putpixel((1, 2), (1, 2, 3) if mode == "RGB" else number)
        mask.save((folder / name).with_suffix(".png"))
    return folder


@pytest.mark.parametrize("mode", ["P", "L"])
def test_a_mask_is_the_class_of_each_pixel(photos, tmp_path, mode):
    labels = opened(photos, masks(tmp_path, mode=mode))
    expected = np.zeros((3, 4, 6), np.int16)
    expected[:, 2, 1] = [0, 1, 2]
    assert labels.dtype == np.int16
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize(
    ("mode", "dtype"),
    [
        pytest.param("L", np.uint8, id="grey values"),
        pytest.param("I;16", np.uint16, id="16 bits"),
        pytest.param("1", np.bool_, id="black and white"),
    ],
)
def test_masks_are_read_as_they_are_stored(photos, tmp_path, mode, dtype):
    folder = tmp_path / "masks"
    folder.mkdir()
    for name in SIZES:
        Image.new(mode, (2, 2), 1).save((folder / name).with_suffix(".png"))
    source = open_source(photos, inputs=SPECS, options=SampleOptions())
    assert labels_beside(folder, source).dtype == dtype
    assert opened(photos, folder).dtype == np.int16


def test_masks_of_two_sizes_are_refused(photos, tmp_path):
    folder = masks(tmp_path, sizes=((6, 4), (6, 4), (4, 6)))
    message = f"the mask '{folder / 'c.png'}' (sample 2, counted from 0) is 4×6 pixels, and the first is 6×4; resize"
    with pytest.raises(SamplesError, match=f"^{re.escape(message)}"):
        opened(photos, folder)


def test_a_mask_that_is_missing_or_no_mask_is_named(photos, tmp_path):
    folder = masks(tmp_path, mode="RGB")
    with pytest.raises(SamplesError, match=re.escape(f"the mask '{folder / 'a.png'}' has pixel mode RGB, and a mask")):
        opened(photos, folder)
    (folder / "a.png").unlink()
    message = f"there is no mask '{folder / 'a.png'}' for the image 'a.png' (sample 0, counted from 0)"
    with pytest.raises(SamplesError, match=f"^{re.escape(message)}$"):
        opened(photos, folder)


def test_arrays_have_no_files_to_match(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 8, 8, 3), np.float32))
    message = (
        f"'{coco(tmp_path)}' is a COCO file, which belongs to a folder of images, and '{tmp_path / 'x.npy'}' holds"
    )
    with pytest.raises(SamplesError, match=f"^{re.escape(message)}"):
        opened(str(tmp_path / "x.npy"), tmp_path / "boxes.json")
