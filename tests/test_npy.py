"""Arrays on disk, opened from several threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from quantlab.npy import mapped, selected, writable


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
