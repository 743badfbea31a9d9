"""Arrays on disk, opened from several threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from quantlab.npy import mapped


def test_many_threads_open_what_lies_there(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6).reshape(2, 3))
    with ThreadPoolExecutor(8) as pool:
        arrays = list(pool.map(lambda _: mapped(tmp_path / "x.npy"), range(400)))
    assert all(isinstance(array, np.memmap) and not array.flags.writeable for array in arrays)
    assert {array.sum() for array in arrays} == {15}


def test_objects_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.array([None, 1]), allow_pickle=True)
    with pytest.raises(ValueError, match="Array can't be memory-mapped"):
        mapped(tmp_path / "x.npy")
