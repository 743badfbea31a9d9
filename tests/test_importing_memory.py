"""Outputs of another program are read in blocks: memory does not grow with the number of samples."""

import json
import tracemalloc
import zipfile

import numpy as np
import pytest

from quantlab.errors import QuantlabError
from quantlab.study.importing.arrays import write_rows
from quantlab.study.importing.dumps import read_dump
from quantlab.types import TensorSpec

WIDTH = 1000
FEW, MANY = 3_000, 12_000
"""Samples of 4 KB each; 24 MB and 96 MB as float64 numbers, and blocks of 4 MB."""


def values(n):
    """Rows that differ from each other, and that zlib packs in a fraction of the time that other numbers take."""
    return np.add.outer(np.arange(n, dtype=np.float32) * 8, np.arange(WIDTH, dtype=np.float32) % 8)


def write_lines(path, n):
    row = json.dumps([1] * WIDTH)  # no objects of its own for tracemalloc to follow, which takes seconds
    with path.open("w") as file:
        for sample in range(n):
            file.write(f'{{"sample": {n - 1 - sample}, "outputs": {{"a": {row}}}}}\n')


WRITERS = {
    "stored.npz": lambda path, n: np.savez(path, a=values(n)),
    "deflated.npz": lambda path, n: np.savez_compressed(path, a=values(n)),
    "plain.npy": lambda path, n: np.save(path, values(n)),
    "lines.jsonl": write_lines,
}


def peak_of_import(path, n):
    """Bytes that Python and NumPy hold at most while a file is read and written as outputs of a study."""
    tracemalloc.start()
    dump = read_dump(path, [TensorSpec("a", (None, WIDTH), "float32")], n)
    write_rows(path.with_suffix(".kept.npy"), dump.outputs["a"], np.float32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.starts_children
@pytest.mark.parametrize("name", WRITERS)
def test_memory_does_not_grow_with_the_samples(name, tmp_path):
    few, many = (FEW, MANY) if not name.endswith("jsonl") else (600, 2_400)
    peaks = []
    for n in (few, many):
        path = tmp_path / f"{n}-{name}"
        WRITERS[name](path, n)
        peaks.append(peak_of_import(path, n))
    assert peaks[1] < peaks[0] + 6e6, "one block more at most: the arrays grow by 14 MB at least"
    assert peaks[1] < 40e6


@pytest.mark.parametrize("name", ["stored.npz", "deflated.npz", "plain.npy"])
def test_what_is_written_is_what_was_read(name, tmp_path):
    path = tmp_path / name
    WRITERS[name](path, FEW)
    dump = read_dump(path, [TensorSpec("a", (None, WIDTH, 1), "float32")], FEW)
    write_rows(tmp_path / "kept.npy", dump.outputs["a"], np.float32)
    np.testing.assert_array_equal(np.load(tmp_path / "kept.npy"), values(FEW)[..., None])


def test_some_rows_of_several_blocks(tmp_path):
    np.save(tmp_path / "a.npy", values(FEW))
    dump = read_dump(tmp_path / "a.npy", [TensorSpec("a", (None, WIDTH), "float32")], FEW)
    places = np.array([0, 5, 1_100, 2_999])
    np.testing.assert_array_equal(dump.outputs["a"].chosen(places).whole(), values(FEW)[places])


def test_a_member_that_is_damaged_in_the_middle_is_told(tmp_path):
    path = tmp_path / "app.npz"
    np.savez(path, a=values(FEW))
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("a.npy").header_offset + 8_000_000
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 8)
    dump = read_dump(path, [TensorSpec("a", (None, WIDTH), "float32")], FEW)
    with pytest.raises(QuantlabError) as refused:
        write_rows(tmp_path / "kept.npy", dump.outputs["a"], np.float32)
    assert str(refused.value) == (
        f"'{path}' cannot be read (Bad CRC-32 for file 'a.npy'); it is truncated or does not hold plain arrays, so "
        "write it again with numpy.savez"
    )
