"""The compiled loops: where they are cached, and how their buckets are converted."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest

from quantlab.statistics import LayerError
from quantlab.statistics.layers import compiled

COUNT = """
import numpy as np
{before}
from quantlab.statistics.layers import compiled
print(compiled.count_beyond(compiled.read_only(np.float32([1, 2, 3, 4])), 1.5, 3.5))
count = compiled.count_beyond if hasattr(compiled.count_beyond, "_cache") else compiled.count_beyond.__wrapped__
print(type(count._cache).__name__)
"""
"""It uses the loop that compiles fastest, in a tenth of the time of the slowest; one function caches all loops."""
NOWHERE = "import numba.core.caching; numba.core.caching.CacheImpl._locator_classes = []"
FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
"""


@pytest.mark.parametrize(
    ("before", "cache"),
    [
        pytest.param("", "FunctionCache", id="kept on disk"),
        pytest.param(NOWHERE, "NullCache", id="no folder that can be written"),
        pytest.param(FULL, "FunctionCache", id="a disk without room"),
    ],
)
def test_a_process_counts_whether_the_loops_can_be_kept_or_not(before, cache, tmp_path):
    command = [sys.executable, "-c", COUNT.format(before=before)]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"(1, 1)\n{cache}\n", "")


def test_numba_is_not_loaded_before_a_layer_is_compared():
    loaded = "import sys, quantlab.statistics, quantlab.study; print('numba' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_what_was_counted_before_an_interruption_is_not_counted_again():
    expected = LayerError.of(np.zeros(5), np.ones(5))
    buckets = compiled.take_buckets()
    zeros, sevens = (compiled.read_only(np.full(5, value)) for value in (0.0, 7.0))
    compiled.compare(zeros, sevens, 0, buckets)
    assert buckets.sum() == 5  # and whoever counted them went away
    assert LayerError.of(np.zeros(5), np.ones(5)) == expected


def test_buckets_are_empty_when_they_are_given_back():
    equal = np.arange(10, dtype=np.float32)
    LayerError.of(equal, equal)
    LayerError.of(equal, equal + np.float32([0, 1e-45, 1, 2, 0, 0, 3, np.nan, 0, 0]))
    buckets = compiled.take_buckets()
    assert not buckets.any()
    compiled.give_back(buckets)


BIG = np.full(3 * compiled.BLOCK, 9e151)


@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [
        pytest.param(BIG, BIG * 1.1, id="blocks that are finite, and together are not"),
        pytest.param(BIG * 1e50, np.concatenate([BIG[:5], -BIG[5:]]) * 1e50, id="infinities of both signs"),
    ],
)
def test_what_leaves_the_range_of_float64_spoils_the_figures(baseline, candidate):
    error = LayerError.of(baseline, candidate).error
    assert (error.count, error.rms, error.sqnr_db, error.max_abs) == (BIG.size, math.inf, -math.inf, math.inf)
    assert math.isnan(error.cosine)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 127, 128, 129, compiled.BLOCK - 1, compiled.BLOCK + 129])
def test_tensors_of_any_size_are_summed_whole(size, dtype):
    """Lanes, the rest of a row and the rest of a block: every element is in each sum once."""
    baseline = np.arange(size, dtype=dtype)
    error = LayerError.of(baseline, baseline + 2)
    assert (error.error.count, error.error.different, error.error.sum_error) == (size, size, 2 * size)
    assert (error.range.minimum, error.range.maximum) == (2, size + 1)
    assert (error.sketch.count, error.sketch.quantile(0), error.sketch.quantile(1)) == (size, 2, 2)
