"""Labels beside the images of a folder: COCO files and masks."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from quantlab.errors import SamplesError
from quantlab.samples import SampleOptions, open_source
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
