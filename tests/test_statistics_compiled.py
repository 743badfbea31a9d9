"""The compiled loops: where they are kept, and what becomes of their buckets."""

import subprocess
import sys

import numpy as np
import pytest

from quantlab.statistics import LayerError, _compiled

SUM = """
import numpy as np
{before}
from quantlab.statistics import LayerError
print(LayerError.of(np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32), channels=True).error.sum_error)
"""
NOWHERE = "import numba.core.caching; numba.core.caching.CacheImpl._locator_classes = []"


@pytest.mark.parametrize(
    "before", [pytest.param("", id="kept on disk"), pytest.param(NOWHERE, id="no folder that can be written")]
)
def test_a_process_sums_whether_the_loops_can_be_kept_or_not(before):
    ran = subprocess.run([sys.executable, "-c", SUM.format(before=before)], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "6.0\n", "")


def test_numba_is_not_loaded_before_a_layer_is_compared():
    loaded = "import sys, quantlab.statistics, quantlab.study; print('numba' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_what_was_counted_before_an_interruption_is_not_counted_again(monkeypatch):
    expected = LayerError.of(np.zeros(5), np.ones(5))

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(_compiled, "drain", interrupt)
        with pytest.raises(KeyboardInterrupt):
            LayerError.of(np.zeros(5), np.full(5, 7.0))
    assert LayerError.of(np.zeros(5), np.ones(5)) == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 127, 128, 129, _compiled.BLOCK - 1, _compiled.BLOCK + 129])
def test_tensors_of_any_size_are_summed_whole(size, dtype):
    """Lanes, the rest of a row and the rest of a block: every element is in each sum once."""
    baseline = np.arange(size, dtype=dtype)
    error = LayerError.of(baseline, baseline + 2)
    assert (error.error.count, error.error.different, error.error.sum_error) == (size, size, 2 * size)
    assert (error.range.minimum, error.range.maximum) == (2, size + 1)
    assert (error.sketch.count, error.sketch.quantile(0), error.sketch.quantile(1)) == (size, 2, 2)
