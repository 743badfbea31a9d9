"""Files of records of every format, made of the demo's digits: the same samples as a `.npz` of them."""

import csv
import importlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from quantlab.demo import MODEL
from quantlab.samples.records.crc32c import crc32c, masked
from quantlab.types import TensorSpec

__all__ = [
    "DIGIT",
    "WRITERS",
    "Pixels",
    "arrow",
    "digits",
    "example",
    "framed",
    "message",
    "npy",
    "png",
    "varint",
    "write_csv",
    "write_tar",
]

DIGIT = TensorSpec("image", (None, 8, 8, 1), "float32")
Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


def digits(n: int = 60) -> tuple[Pixels, Labels]:
    """Pixels (n, 8, 8, 1) and classes (n,)."""
    with np.load(MODEL.with_name("digits.npz")) as held:
        return held["x"][:n, ..., None], held["y"][:n].astype(np.int64)


def png(pixels: Pixels) -> bytes:
    """A grey image (height, width, 1) as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0]).save(buffer, "png")
    return buffer.getvalue()


def npy(values: npt.NDArray[Any]) -> bytes:
    """An array as a `.npy` file."""
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def write_csv(path: Path, x: Pixels, y: Labels | None, delimiter: str = ",") -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file, delimiter=delimiter)
        labels = [[]] * len(x) if y is None else y[:, None].tolist()
        rows.writerow([*(f"pixel{place}" for place in range(x[:1].size or 64)), *(["label"] if y is not None else [])])
        rows.writerows([*sample.ravel().tolist(), *label] for sample, label in zip(x, labels, strict=True))


def write_jsonl(path: Path, x: Pixels, y: Labels) -> None:
    lines = [json.dumps({"image": sample.tolist(), "label": int(label)}) for sample, label in zip(x, y, strict=True)]
    path.write_text("\n".join(lines) + "\n")


def write_tar(path: Path, samples: Mapping[str, Mapping[str, bytes]]) -> None:
    """A WebDataset: key → suffix → content."""
    with tarfile.open(path, "w") as archive:
        for key, parts in samples.items():
            for suffix, content in parts.items():
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def write_webdataset(path: Path, x: Pixels, y: Labels) -> None:
    pairs = enumerate(zip(x, y, strict=True))
    write_tar(path, {f"{place:05d}": {"png": png(one), "cls": str(label).encode()} for place, (one, label) in pairs})


def varint(number: int) -> bytes:
    """An integer of variable length, as protobuf has it."""
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*parts, number))


def message(field: int, content: bytes) -> bytes:
    """A field of protobuf that holds bytes or a message."""
    return varint(field << 3 | 2) + varint(len(content)) + content


def example(features: Mapping[str, bytes | int | npt.NDArray[np.float32]]) -> bytes:
    """A tf.train.Example of bytes, integers and floats."""
    entries = b""
    for name, value in features.items():
        if isinstance(value, bytes):
            feature = message(1, message(1, value))
        elif isinstance(value, int):
            feature = message(3, message(1, varint(value)))
        else:
            feature = message(2, message(1, value.astype("<f4").tobytes()))
        entries += message(1, message(1, name.encode()) + message(2, feature))
    return message(1, entries)


def framed(content: bytes) -> bytes:
    """A record of a TFRecord file."""
    length = len(content).to_bytes(8, "little")
    checksums = [masked(crc32c(part)).to_bytes(4, "little") for part in (length, content)]
    return length + checksums[0] + content + checksums[1]


def write_tfrecord(path: Path, x: Pixels, y: Labels) -> None:
    records = (example({"image": png(sample), "label": int(label)}) for sample, label in zip(x, y, strict=True))
    path.write_bytes(b"".join(map(framed, records)))


def arrow() -> Any:
    """The module pyarrow, with `pyarrow.parquet`; the test is skipped without it."""
    pytest.importorskip("pyarrow.parquet", reason="needs pyarrow, of the extra 'parquet'")
    return importlib.import_module("pyarrow")


def write_parquet(path: Path, x: Pixels, y: Labels) -> None:
    pa = arrow()
    pa.parquet.write_table(pa.table({"image": x.tolist(), "label": pa.array(y)}), path, row_group_size=17)


WRITERS: Mapping[str, Callable[[Path, Any, Any], None]] = {
    ".csv": write_csv,
    ".tsv": lambda path, x, y: write_csv(path, x, y, "\t"),
    ".jsonl": write_jsonl,
    ".tar": write_webdataset,
    ".tfrecord": write_tfrecord,
    ".parquet": write_parquet,
}
"""Suffix → function that writes samples with labels to a file."""
