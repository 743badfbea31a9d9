"""Labels beside the images of a folder: a COCO file of boxes, and a folder of masks."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.errors import SamplesError
from quantlab.foreign import reading
from quantlab.ragged import objects
from quantlab.samples.labels import read_labels
from quantlab.samples.source import Array, Source
from quantlab.samples.truth import JSON_LINES, read_json_lines

__all__ = ["labels_beside"]


def labels_beside(path: Path, source: Source) -> Array:
    """Labels from what `--labels` names, for the samples of a source, in their order.

    A `.npy` file or text with a number per line, JSON lines, a COCO `.json` file, or a folder of masks.

    Raises:
        SamplesError: If the file is missing or damaged, or does not fit the samples; the message names the first.
    """
    if path.is_dir():
        return _masks(path, source)
    if path.suffix in JSON_LINES:
        return read_json_lines(path, n=source.n, text=source.text)
    return _coco(path, source) if path.suffix == ".json" else read_labels(path)


def _names(path: Path, source: Source, kind: str) -> tuple[str, ...]:
    if not source.files:
        raise SamplesError(
            f"'{path}' is {kind}, which belongs to a folder of images, and '{source.text}' holds arrays; give labels "
            f"as arrays, or JSON lines (.jsonl) with a value for each sample"
        )
    return source.files


def _coco(path: Path, source: Source) -> Array:
    """Boxes of each image: a list of annotations with bbox, category_id, area and iscrowd.

    Boxes are in the pixels of the model's input: they are scaled as the image is resized, from the width and height
    that the file gives. An image without annotations has none.
    """
    names = _names(path, source, "a COCO file")
    with reading(path, SamplesError, "give a COCO file with the lists 'images' and 'annotations'"):
        document = json.loads(path.read_text(encoding="utf-8"))
        images = _images(document["images"])
        by_image: dict[Any, list[Mapping[str, Any]]] = {image["id"]: [] for image in images.values()}
        for annotation in document["annotations"]:
            if annotation["image_id"] in by_image:
                by_image[annotation["image_id"]].append(annotation)
    shape = source.tensors[0].shape[1:3]
    truth, by_last_part = [], _by_last_part(images, names)
    for place, name in enumerate(names):
        image = images.get(name) or by_last_part.get(Path(name).name)
        if image is None:
            raise SamplesError(
                f"'{path}' has no image with the file_name '{name}' (sample {place}, counted from 0); add it, or "
                f"remove that file from '{source.text}'"
            )
        with reading(f"the boxes of '{name}' (sample {place}) in '{path}'", SamplesError, "correct them"):
            scale = _scale(image, shape)
            truth.append([_scaled(annotation, scale) for annotation in by_image[image["id"]]])
    return objects(truth)


def _images(listed: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The images by their file name.

    Raises:
        ValueError: If two have the same name or the same id, of which the boxes of one would be lost.
    """
    for key in ("file_name", "id"):
        value, count = next(iter(Counter(image[key] for image in listed).most_common(1)), ("", 0))
        if count > 1:
            raise ValueError(f"{count} images have the {key} {value!r}")
    return {str(image["file_name"]): image for image in listed}


def _by_last_part(images: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The image for each name of a file in whatever folder, if there is one of that name on both sides."""
    of_files, of_images = (Counter(Path(name).name for name in side) for side in (names, images))
    found = {Path(name).name: image for name, image in images.items()}
    return {last: image for last, image in found.items() if of_files[last] == of_images[last] == 1}


def _scale(image: Mapping[str, Any], shape: Sequence[int]) -> Array:
    """Factors of x and y from the pixels of an image to those of the input.

    Raises:
        ValueError: If the size of the image is none.
    """
    size = np.array([image["width"], image["height"]], np.float64)
    if not np.isfinite(size).all() or size.min() <= 0:
        raise ValueError(f"the size {image['width']}×{image['height']} is none of an image")
    return np.array([shape[1], shape[0]]) / size


def _scaled(annotation: Mapping[str, Any], scale: Array) -> dict[str, Any]:
    box, category = np.array(annotation["bbox"], np.float64), annotation["category_id"]
    if box.shape != (4,) or not np.isfinite(box).all() or box[2:].min() < 0:
        raise ValueError(f"the box {annotation['bbox']} is no finite x, y, width, height")
    if float(category) != int(category):
        raise ValueError(f"the category_id {category} is no whole number")
    area, crowd = float(annotation.get("area", box[2] * box[3])), annotation.get("iscrowd", 0)
    if not np.isfinite(area) or area < 0:
        raise ValueError(f"the area {area} is no finite number from 0")
    if crowd not in {0, 1}:
        raise ValueError(f"iscrowd is {crowd} and neither 0 nor 1")
    return {
        "bbox": (box * np.tile(scale, 2)).tolist(),
        "category_id": int(category),
        "area": area * float(scale.prod()),
        "iscrowd": int(crowd),
    }


def _masks(folder: Path, source: Source) -> Array:
    """The class of each pixel, (n, height, width), from PNG files that are named as the images.

    A mask holds class numbers: grey values, or the indices of a palette. They are uint8, uint16 if a file has 16 bits,
    or bool if all have one; `to_labels` stores them as any class numbers.
    """
    names = _names(folder, source, "a folder of masks")
    masks: list[Array] = []
    for place, name in enumerate(names):
        file = folder / Path(name).with_suffix(".png")
        if not file.is_file():
            raise SamplesError(f"there is no mask '{file}' for the image '{name}' (sample {place}, counted from 0)")
        mask = _mask(file)
        if masks and mask.shape != masks[0].shape:
            raise SamplesError(
                f"the mask '{file}' (sample {place}, counted from 0) is {_pixels(mask)} pixels, and the first is "
                f"{_pixels(masks[0])}; resize the masks to the output of the model, by the nearest pixel"
            )
        masks.append(mask)
    return np.stack(masks)


def _pixels(mask: Array) -> str:
    return f"{mask.shape[1]}×{mask.shape[0]}"


def _mask(file: Path) -> Array:
    from PIL import Image

    with reading(file, SamplesError, "give a PNG file of grey values or palette indices"), Image.open(file) as opened:
        if opened.mode not in {"L", "P", "1", "I;16"}:
            raise SamplesError(
                f"the mask '{file}' has pixel mode {opened.mode}, and a mask holds one class number for each pixel; "
                f"save it with grey values or a palette"
            )
        pixels: Array = np.array(opened)
    return pixels
