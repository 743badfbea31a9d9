"""A user's function that yields without an end: the first samples are taken, and it is closed."""

import itertools
import textwrap
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process

from quantlab.errors import SamplesError, UsageError
from quantlab.samples import SampleOptions, open_parts, open_source, samples_sha256
from quantlab.samples.loaders import open_loader
from quantlab.samples.source import HeldTensor, Source
from quantlab.samples.streams import split_stream, stream_length
from quantlab.types import TensorSpec

pytestmark = pytest.mark.starts_children

INPUT = TensorSpec("x", (None, 2), "float32")

MODULE = """
    import itertools
    import numpy as np

    def told(text):
        with open("told", "a") as file:
            file.write(text + " ")

    def sample(number):
        return np.array([number, number % 7], np.float32), number % 3

    def singles():
        try:
            for number in itertools.count():
                told(str(number))
                yield sample(number)
        finally:
            told("closed")

    def batches():
        try:
            for number in itertools.count():
                told(str(number))
                xs, ys = zip(*(sample(8 * number + k) for k in range(8)))
                yield {"x": np.stack(xs), "y": np.array(ys)}
        finally:
            told("closed")

    class Iterable:
        def __iter__(self):
            return singles()

    def iterable(): return Iterable()

    class Dataset:  # as tf.data has it, with .repeat()
        def cardinality(self): return -1
        def as_numpy_iterator(self): return singles()

    def dataset(): return Dataset()

    def repeated():
        for number in itertools.count():
            yield sample(number % 40)

    def noise():
        random = np.random.default_rng()
        while True:
            yield random.random(2).astype(np.float32), 0

    def short():
        for number in range(30):
            yield sample(number)

    def bad_end():
        try:
            yield from singles()
        finally:
            raise OSError("the camera is gone")

    def batch(rows):
        return np.ones((rows, 2), np.float32), np.ones(rows, np.int64)

    def gaps():
        for number in itertools.count():
            yield batch(1 if number % 1000 == 999 else 0)

    def empties():
        yield batch(3)
        while True:
            yield batch(0)

    for function in (singles, batches, iterable, dataset, repeated, noise, short, bad_end, gaps, empties):
        function.endless = True

    def finite():
        for number in range(500):
            yield sample(number)

    def unmarked():
        for number in range(300):
            yield sample(number)
    unmarked.endless = 0
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("streams.py").write_text(textwrap.dedent(MODULE))


def opened(function, calibration=None, *, calibrate=0, **options):
    return open_parts(
        f"streams:{function}",
        calibration,
        model_inputs=(INPUT,),
        folder=Path("study"),
        options=SampleOptions(**options),
        calibrate=calibrate,
    )


def numbers(samples):
    return np.load(samples.input_file("x"))[:, 0].tolist()


@pytest.mark.parametrize(
    ("function", "elements"),
    [
        pytest.param("singles", 20, id="samples"),
        pytest.param("batches", 3, id="batches, of which the last one is cut"),
        pytest.param("iterable", 20, id="an iterable"),
        pytest.param("dataset", 20, id="a repeated dataset"),
    ],
)
def test_no_element_more_is_taken_and_the_generator_is_closed(function, elements):
    samples = opened(function, limit=20).scored
    assert numbers(samples) == list(range(20))
    assert np.load(samples.labels_file).tolist() == [number % 3 for number in range(20)]
    assert (samples.n, samples.available, samples.drawn) == (20, 20, "the first of a stream")
    one_pass = [*map(str, range(elements)), "closed"]
    assert Path("told").read_text().split() == one_pass * 2


def test_parts_lie_one_behind_the_other():
    parts = opened("singles", limit=20, calibrate=10, search=True, seed=5)
    assert numbers(parts.calibration) == list(range(10))
    assert numbers(parts.search) == list(range(10, 20))
    assert numbers(parts.scored) == list(range(20, 40))
    assert (parts.calibration.drawn, parts.search.drawn, parts.scored.drawn, parts.scored.available) == (
        "the first of a stream",
        "the first of a stream after 10 set aside",
        "the first of a stream after 20 set aside",
        40,
    )


def test_a_higher_limit_continues_a_lower_one():
    one, other = (opened("batches", limit=limit, calibrate=5) for limit in (30, 70))
    assert numbers(other.scored)[:30] == numbers(one.scored) == list(range(5, 35))
    assert other.calibration.sha256 == one.calibration.sha256
    assert samples_sha256(other.scored) == other.scored.sha256


@pytest.mark.parametrize(
    ("lower", "begins", "higher", "then"),
    [
        pytest.param(20, 15, 60, 35, id="a longer search moves what is scored"),
        pytest.param(2000, 1005, 2600, 1005, id="a search of full length does not"),
    ],
)
def test_where_a_stream_with_a_search_is_scored(lower, begins, higher, then):
    for limit, begin in ((lower, begins), (higher, then)):
        options = SampleOptions(limit=limit, search=True)
        n = stream_length(options, calibrate=5)
        source = Source("made", n, (HeldTensor("x", (n, 2), np.dtype(np.float32)),), None, lambda _: iter(()))
        scored = split_stream(source, None, options=options, calibrate=5).scored.indices
        np.testing.assert_array_equal(scored, np.arange(begin, begin + limit))


def test_equal_samples_are_in_one_part():
    parts = opened("repeated", limit=60, calibrate=10, group="duplicates")
    assert numbers(parts.scored) == [*range(10, 40), *range(10, 30)]
    assert parts.scored.groups == 30
    assert numbers(opened("repeated", limit=60, calibrate=10).scored) == numbers(parts.scored)


def test_calibration_samples_of_a_stream_are_its_first():
    np.savez("x.npz", x=-np.arange(8.0).reshape(4, 2), y=np.arange(4))
    parts = open_parts(
        "x.npz",
        "streams:singles",
        model_inputs=(INPUT,),
        folder=Path("study"),
        options=SampleOptions(limit=4),
        calibrate=6,
    )
    assert (numbers(parts.calibration), parts.calibration.drawn) == (list(range(6)), "the first of a stream")
    assert parts.scored.drawn == "all"


@pytest.mark.parametrize(
    ("function", "options", "error", "message"),
    [
        pytest.param(
            "singles",
            {},
            UsageError,
            "the loader 'streams:singles' has no end, as its attribute 'endless' says; say with --limit how many "
            "samples are scored, or give a loader that ends",
            id="no limit",
        ),
        pytest.param(
            "singles",
            {"limit": 0},
            UsageError,
            "the limit is 0, and at least 1 sample must be scored; give more, or no limit",
            id="limit 0",
        ),
        pytest.param(
            "noise",
            {"limit": 3},
            SamplesError,
            "the loader 'streams:noise' gave other samples on its second pass, but every runtime must be fed the same; "
            "turn off shuffling and augmentation, or seed them",
            id="another second pass",
        ),
        pytest.param(
            "short",
            {"limit": 3, "calibrate": 30},
            SamplesError,
            "'streams:short' ended after 30 samples, of which the first 30 are set aside, so that none are left to "
            "score; give more samples, or remove the attribute 'endless' of a loader that ends",
            id="an end before the samples to score",
        ),
        pytest.param(
            "bad_end",
            {"limit": 3},
            SamplesError,
            "the loader 'streams:bad_end' raised OSError (the camera is gone); call it directly to see where",
            id="an error on closing",
        ),
        pytest.param(
            "empties",
            {"limit": 5},
            SamplesError,
            "the loader 'streams:empties' gave 1,000 batches without samples in a row, and has no end, as its "
            "attribute 'endless' says; give samples, or a loader that ends",
            id="empty batches without an end",
        ),
    ],
)
def test_what_cannot_be(function, options, error, message):
    with pytest.raises(error) as refusal:
        opened(function, **options)
    assert str(refusal.value) == message
    assert not list(Path().rglob("input-*.npy"))


def test_999_empty_batches_in_a_row_are_skipped():
    assert numbers(opened("gaps", limit=3).scored) == [1, 1, 1]


def test_a_stream_that_ends_early_is_scored_as_far_as_it_goes():
    scored = opened("short", limit=100, calibrate=10).scored
    assert numbers(scored) == list(range(10, 30))


def test_a_function_that_is_not_marked_is_counted_and_drawn_from_at_random():
    scored = opened("unmarked", limit=20, calibrate=10).scored
    assert (scored.available, scored.drawn) == (300, "stratified, seed 0")


def test_a_count_that_takes_long_is_told():
    warned, clock = [], itertools.count(0.0, 0.5)
    source = open_loader(
        "streams:finite",
        inputs=[INPUT],
        options=SampleOptions(warn=warned.append),
        clock=lambda: next(clock),
    )
    assert source.n == 500
    assert warned == [
        f"the loader 'streams:finite' gave {count} samples so far, and all are counted first; if it has no end, set "
        f"'finite.endless = True' behind the function, and give --limit"
        for count in (120, 240, 480)
    ]


def test_a_short_count_is_not_told():
    warned = []
    open_source("streams:finite", inputs=[INPUT], options=SampleOptions(warn=warned.append))
    assert warned == []


def test_a_study_of_a_stream(place, monkeypatch):
    monkeypatch.chdir(place)
    Path("streams.py").write_text(
        textwrap.dedent("""
            import numpy as np
            def noisy():
                random = np.random.default_rng(0)
                with np.load("digits.npz") as arrays:
                    x, y = arrays["x"], arrays["y"]
                while True:
                    for image, label in zip(x, y):
                        yield image + random.normal(0, 0.01, image.shape).astype(x.dtype), label
            noisy.endless = True
        """)
    )
    options = ("--settings", "tfjs-uint8", "--runtimes", "python", "--no-layers", "--no-costs", "--out", "new.study")
    done = quantlab_in_process(
        "analyze", "digits.keras", "--data", "streams:noisy", "--limit", "96", *options, cwd=place
    )
    assert done.status == 0, done.stderr
    assert "n = 96 samples of streams:noisy, the first of a stream after 256 set aside; SHA-256" in done.stdout
