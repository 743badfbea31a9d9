"""Arrays on disk, opened from several threads."""

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from quantlab.npy import Vectors, mapped, room, selected, writable, write_vectors
from tests.memory import anonymous_bytes


def test_many_threads_open_what_lies_there(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6).reshape(2, 3))
    with ThreadPoolExecutor(8) as pool:
        arrays = list(pool.map(lambda _: mapped(tmp_path / "x.npy"), range(400)))
    assert all(isinstance(array, np.memmap) and not array.flags.writeable for array in arrays)
    assert {array.sum() for array in arrays} == {15}


def test_many_threads_write_into_what_lies_there(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((400, 2)))

    def write(row):
        array = writable(tmp_path / "x.npy")
        array[row] = row
        array.flush()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(400)))
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), np.arange(400)[:, None] * np.ones(2))


@pytest.mark.parametrize("opened", [mapped, writable])
def test_objects_are_refused(opened, tmp_path):
    np.save(tmp_path / "x.npy", np.array([None, 1]), allow_pickle=True)
    with pytest.raises(ValueError, match="Array can't be memory-mapped"):
        opened(tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("shape", "rows"),
    [
        pytest.param((5, 2), [0, 3, 4], id="some rows"),
        pytest.param((5, 2), [], id="no rows"),
        pytest.param((5, 0), [1, 2], id="rows of nothing"),
        pytest.param((5,), [4], id="a number a row"),
        pytest.param((3, 1200, 1300), [0, 2], id="more than a block"),
    ],
)
def test_selected_rows_are_those_of_an_index(shape, rows, tmp_path):
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.save(tmp_path / "array.npy", array)
    chosen = np.zeros(shape[0], bool)
    chosen[rows] = True
    np.testing.assert_array_equal(selected(mapped(tmp_path / "array.npy"), chosen), array[chosen])


def test_a_choice_for_each_row_is_needed():
    with pytest.raises(ValueError, match="there are 3 rows to select from and 2 choices"):
        selected(np.zeros((3, 1)), np.ones(2, bool))


@pytest.mark.parametrize("shape", [(0,), (0, 5), (3,), (400_000,), (200_000, 5)], ids=str)
def test_room_holds_what_is_put_there(shape):
    held = room(shape, np.float64)
    values = np.random.default_rng(0).normal(size=shape)
    held[...] = values
    assert type(held) is np.ndarray
    assert held.dtype == np.float64
    np.testing.assert_array_equal(held, values)


def test_room_for_much_is_no_memory_of_the_process():
    before = anonymous_bytes()
    held = room((8_000_000,), np.float64)
    for start in range(0, len(held), 100_000):
        held[start : start + 100_000] = start
    assert anonymous_bytes() - before < held.nbytes / 8
    assert held[-1] == 7_900_000


def test_a_full_disk_is_an_error_and_kills_no_process(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match="No space left") as refused:
        room((1_000_000,), np.float64)
    assert (refused.value.strerror, refused.value.filename) == (
        "No space left on device for 8 MB of temporary files, whose folder TMPDIR names",
        tempfile.gettempdir(),
    )
    assert room((10,), np.float64).shape == (10,)


def test_room_is_reserved_where_the_system_has_no_call_for_it(monkeypatch):
    monkeypatch.delattr("os.posix_fallocate")
    held = room((3_000_001,), np.float64)
    assert not held.any()
    held[-1] = 3
    assert held[-1] == 3


def test_equal_vectors_give_equal_bytes_and_come_back(tmp_path):
    numbers = np.random.default_rng(0).normal(size=1000)
    vectors = {
        "numbers": numbers,
        "again": numbers.copy(),
        "halves": numbers.astype(np.float32).astype(np.float64),
        "flags": numbers > 0,
        "equal rows": np.full((1000, 2), 7),
        "negative": np.arange(-3, 3),
        "none": np.zeros((0, 5)),
    }
    for name in ("one", "other"):
        write_vectors(tmp_path / name, vectors)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    read = Vectors(tmp_path / "one")
    assert list(read) == list(vectors)
    for name, values in vectors.items():
        assert read[name].dtype == values.dtype
        np.testing.assert_array_equal(read[name], values)
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_vectors_that_differ_behind_their_beginning_come_back(tmp_path):
    """What is looked at first does not decide about the rest."""
    numbers = np.random.default_rng(0).normal(size=(10_000, 2))
    single = numbers.astype(np.float32).astype(np.float64)
    vectors = {
        "numbers": numbers,
        "one zero": numbers.copy(),
        "columns": np.asfortranarray(numbers),
        "single precision": single,
        "all but one in single precision": single.copy(),
        "equal rows": np.zeros((10_000, 2)),
        "all but one equal": np.zeros((10_000, 2)),
        "negative zeros": np.full((10_000, 2), -0.0),
        "no numbers": np.full((10_000, 2), np.nan),
        "other dtype": numbers.astype(np.float32),
        "other shape": numbers.reshape(-1),
    }
    for name in ("one zero", "all but one in single precision", "all but one equal"):
        vectors[name][-1, -1] = 0.1
    write_vectors(tmp_path / "file", vectors)
    read = Vectors(tmp_path / "file")
    layout = json.loads(np.load(tmp_path / "file")["layout"].tobytes())
    assert [name for name, how in layout.items() if "equals" in how] == ["columns"]
    for name, values in vectors.items():
        assert (read[name].dtype, read[name].shape) == (values.dtype, values.shape)
        assert read[name].tobytes() == values.tobytes()
    with np.load(tmp_path / "file") as file:
        sizes = {
            name: file[f"v{place}"].nbytes for place, name in enumerate(name for name in layout if name != "columns")
        }
    assert sizes == {
        "numbers": 160_000,
        "one zero": 160_000,
        "single precision": 80_000,
        "all but one in single precision": 160_000,
        "equal rows": 8,
        "all but one equal": 160_000,
        "negative zeros": 8,
        "no numbers": 8,
        "other dtype": 80_000,
        "other shape": 160_000,
    }


def test_long_vectors_that_are_read_are_no_memory_of_the_process(tmp_path):
    random = np.random.default_rng(0)
    write_vectors(tmp_path / "file", {str(place): random.normal(size=1_000_000) for place in range(6)})
    before = anonymous_bytes()
    read = Vectors(tmp_path / "file")
    held = [read[name] for name in read]
    assert anonymous_bytes() - before < 2 * held[0].nbytes
    assert len(held) == 6
