"""Sets of which few samples are kept: hashed as whole sets, and read again shard by shard."""

import itertools
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_files import DIGIT, WRITERS, digits

from quantlab.errors import SamplesError, StudyError, UsageError
from quantlab.runtimes import input_files
from quantlab.samples import (
    FIRST_KEPT,
    Cut,
    SampleOptions,
    intact_samples,
    kept_places,
    kept_subset,
    open_parts,
    open_source,
    place_in_kept,
    refuse_few,
)
from quantlab.samples.cut import _ShardFiles
from quantlab.samples.few import MOST_FEW, few_places
from quantlab.study.shards.cutting import cut
from quantlab.study.shards.results import hash_rows_of
from quantlab.types import SampleSet, Shard, TensorSpec

TWO = (TensorSpec("a", (None, 3), "float32"), TensorSpec("b", (None,), "int32"))


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def by(size: int, batch: int = 4):
    return Cut(lambda n: cut(n, batch_size=batch, shards=None, shard_size=size), 4)


def opened(data: str, folder: str, *, size: int | None = 16, inputs=(DIGIT,), **options):
    asked = SampleOptions(cut=None if size is None else by(size), **options)
    return open_parts(data, None, model_inputs=inputs, folder=Path(folder), options=asked, calibrate=10)


def write_two(n: int = 60) -> str:
    random = np.random.default_rng(3)
    a, b = random.normal(size=(n, 3)).astype(np.float32), random.integers(0, 9, n, np.int32)
    np.savez("two.npz", a=a, b=b, y=random.integers(0, 3, n))
    return "two.npz"


def write_digits() -> str:
    x, y = digits()
    WRITERS[".tar"](Path("digits.tar"), x, y)
    return "digits.tar"


@pytest.mark.parametrize(
    ("write", "inputs"),
    [pytest.param(write_digits, (DIGIT,), id="a tar"), pytest.param(write_two, TWO, id="two inputs")],
)
def test_the_set_has_the_hashes_and_records_of_one_with_all_samples(write, inputs):
    data = write()
    whole, few = (opened(data, name, size=size, inputs=inputs) for name, size in (("whole", None), ("few", 16)))
    assert replace(few.scored, few=None, folder=whole.scored.folder) == whole.scored
    assert (whole.cut_samples, few.cut_samples is None) == (None, False)
    assert few.calibration is not None
    assert few.calibration.few is None
    assert few.calibration.sha256 == whole.calibration.sha256
    for name in ("labels.npy", "indices.npy"):
        assert (few.scored.folder / name).read_bytes() == (whole.scored.folder / name).read_bytes()
    assert not any(few.scored.input_file(spec.name).exists() for spec in inputs)
    assert few.duplicates == whole.duplicates
    assert intact_samples(few.scored) == "intact"
    assert sorted(path.name for path in Path("few").iterdir()) == ["calibration", "data"]


@pytest.mark.parametrize("write", [pytest.param(write_digits, id="a tar"), pytest.param(write_two, id="two inputs")])
@pytest.mark.parametrize("wanted", [[0, 1, 2, 3], [1, 3], [2]], ids=["all shards", "some", "one"])
def test_shards_that_are_read_again_are_those_of_the_whole_set(write, wanted):
    inputs = (DIGIT,) if write is write_digits else TWO
    data = write()
    whole, few = (opened(data, name, size=size, inputs=inputs) for name, size in (("whole", None), ("few", 16)))
    assert few.cut_samples is not None
    assert [shard.start for shard in few.cut_samples.shards] == [0, 16, 32, 48]
    Path("rounds").mkdir()
    files, seen = input_files(whole.scored, None), []
    for number, own in few.cut_samples.read(wanted, Path("rounds")):
        shard = few.cut_samples.shards[number]
        for spec in inputs:
            expected = np.load(whole.scored.input_file(spec.name))[shard.start : shard.stop]
            np.testing.assert_array_equal(np.load(own.input_file(spec.name)), expected)
        # Tasks of both studies have the same keys, so that each takes the results of the other.
        assert few.cut_samples.sha256[number] == hash_rows_of(files, shard.start, shard.stop)
        seen.append(number)
    assert seen == wanted


def test_the_samples_that_are_kept_are_those_at_their_places():
    data = write_two(3000)
    whole, few = (opened(data, name, size=size, inputs=TWO) for name, size in (("whole", None), ("few", 400)))
    held, places = kept_subset(few.scored), kept_places(few.scored)
    assert (held.n, held.labelled, held.few) == (len(places), False, None)
    assert places[:FIRST_KEPT].tolist() == [*range(FIRST_KEPT)]
    for spec in TWO:
        expected = np.load(whole.scored.input_file(spec.name))[places]
        np.testing.assert_array_equal(np.load(held.input_file(spec.name)), expected)
    rows = [place_in_kept(few.scored, row) for row in range(few.scored.n)]
    assert [row for row, place in enumerate(rows) if place is not None] == places.tolist()
    assert [place for place in rows if place is not None] == [*range(len(places))]


@pytest.mark.parametrize("n", [1, 5, FIRST_KEPT, FIRST_KEPT + 1, MOST_FEW, 5000])
@pytest.mark.parametrize("labelled", [True, False])
def test_the_first_samples_and_some_of_each_class_are_kept(n, labelled):
    labels = np.arange(n) * 10 // n if labelled else None  # sorted, as in a folder of images
    places = few_places(n, labels)
    assert np.all(np.diff(places) > 0)
    assert len(places) <= MOST_FEW
    assert set(range(min(n, FIRST_KEPT))) <= set(places.tolist())
    assert 0 <= places[0] <= places[-1] < n
    if labelled:
        assert set(labels[places]) == set(labels)
    assert places.tolist() == few_places(n, labels).tolist()


@pytest.mark.parametrize(
    ("damage", "state"),
    [
        pytest.param(lambda held: (held.folder / "places.npy").unlink(), "missing", id="places are missing"),
        pytest.param(lambda held: held.input_file("a").unlink(), "missing", id="an input is missing"),
        pytest.param(lambda held: (held.folder.parent / "labels.npy").unlink(), "missing", id="labels are missing"),
        pytest.param(lambda held: _change(held.input_file("a")), "damaged", id="an input is damaged"),
        pytest.param(lambda held: _change(held.folder / "places.npy"), "damaged", id="places are damaged"),
        pytest.param(lambda held: _change(held.folder.parent / "labels.npy"), "damaged", id="labels are damaged"),
    ],
)
def test_damage_is_found(damage, state):
    scored = opened(write_two(), "few", inputs=TWO).scored
    damage(kept_subset(scored))
    assert intact_samples(scored) == state


def _change(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(("first", "then"), [(None, 16), (16, None)], ids=["few after all", "all after few"])
def test_a_set_of_the_other_kind_is_replaced_without_a_word(first, then):
    data, said = write_two(), list[str]()
    before = opened(data, "study", size=first, inputs=TWO, warn=said.append).scored
    after = opened(data, "study", size=then, inputs=TWO, warn=said.append).scored
    assert before.folder == after.folder
    assert (before.few is None, after.few is None) == (first is None, then is None)
    assert intact_samples(after) == "intact"
    assert said == []
    kept = sorted(path.name for path in after.folder.iterdir() if path.name.startswith(("few", "input")))
    assert kept == (["few"] if then else ["input-a.npy", "input-b.npy"])


def test_a_damaged_set_is_written_again():
    data, said = write_two(), list[str]()
    before = opened(data, "study", inputs=TWO).scored
    _change(kept_subset(before).input_file("a"))
    after = opened(data, "study", inputs=TWO, warn=said.append).scored
    assert intact_samples(after) == "intact"
    assert said == [f"the samples in '{before.folder}' are damaged, so they are written again"]


def test_samples_that_changed_since_they_were_hashed_are_refused():
    few = opened(write_two(), "few", inputs=TWO)
    assert few.cut_samples is not None
    with np.load("two.npz") as arrays:
        held = dict(arrays)
    held["a"][few.cut_samples.indices[20]] += 1
    np.savez("two.npz", **held)
    again = replace(few.cut_samples, source=open_source("two.npz", inputs=TWO, options=SampleOptions()))
    Path("rounds").mkdir()
    reading = again.read([0, 1], Path("rounds"))
    assert next(reading)[0] == 0
    assert [path.name for path in Path("rounds").iterdir()] == ["0"]
    with pytest.raises(SamplesError) as refused:
        next(reading)
    assert [path.name for path in Path("rounds").iterdir()] == ["0"]  # the other one is removed
    assert str(refused.value) == (
        "'two.npz' gave other samples when it was read again: those of shard 2 of 4 (16 to 31); it must give the same "
        "each time, so run 'quantlab analyze' again when it does not change any more, or without --keep-samples few"
    )


def test_a_reading_that_ends_early_leaves_no_part_of_a_shard():
    few = opened(write_two(), "few", inputs=TWO)
    assert few.cut_samples is not None
    source = few.cut_samples.source
    fewer = replace(source, read=lambda indices: source.read(indices[:20]))
    Path("rounds").mkdir()
    numbers = list[int]()
    with pytest.raises(SamplesError) as refused:
        numbers.extend(number for number, _ in replace(few.cut_samples, source=fewer).read([0, 1], Path("rounds")))
    assert str(refused.value) == (
        "'two.npz' gave fewer samples when it was read again; it must give the same each time, so run 'quantlab "
        "analyze' again when it does not change any more"
    )
    assert [path.name for path in Path("rounds").iterdir()] == ["0"]


def test_a_random_order_is_refused():
    np.save("x.npy", np.random.default_rng(0).normal(size=(3000, 3)).astype(np.float32))
    few = opened("x.npy", "few", inputs=TWO[:1], limit=1000)  # one block, which is in the order of the source
    assert few.scored.n == 1000
    with pytest.raises(UsageError) as refused:
        opened("x.npy", "other", inputs=TWO[:1], limit=1001)
    assert str(refused.value) == (
        "--keep-samples few reads 'x.npy' from its beginning to its end, and --limit draws samples at random; leave "
        "one of them out"
    )
    assert not list(Path("other").glob("*/*"))


def test_what_reads_any_sample_is_refused():
    few = opened(write_two(), "few", inputs=TWO)
    with pytest.raises(StudyError) as refused:
        refuse_few(few.scored, "'quantlab export inputs'")
    assert str(refused.value) == (
        "'quantlab export inputs' reads any sample of the study, which keeps 50 of 50; run 'quantlab analyze' again "
        "without --keep-samples few"
    )
    refuse_few(opened("two.npz", "whole", size=None, inputs=TWO).scored, "this")


@given(st.data())
def test_any_blocks_give_the_same_shards(data):
    n = data.draw(st.integers(1, 60))
    edges = sorted({0, n, *data.draw(st.lists(st.integers(1, n), max_size=5))})
    shards = [Shard(start, stop) for start, stop in itertools.pairwise(edges)]
    starts = sorted({0, n, *data.draw(st.lists(st.integers(1, n), max_size=8))})
    values = np.arange(3 * n, dtype=np.float32).reshape(n, 3)
    with tempfile.TemporaryDirectory() as folder:
        samples = SampleSet(Path(folder), TWO[:1], n, False, "", "", n, "all")
        files = _ShardFiles(Path(folder), samples, [*enumerate(shards)])
        found = {}
        for start, stop in itertools.pairwise(starts):
            for number, own, sha256 in files.add({"a": values[start:stop]}):
                found[number] = np.load(own.input_file("a"))
                assert sha256 == hash_rows_of(input_files(own, None), 0, own.n)
        assert [*found] == [*range(len(shards))]
        np.testing.assert_array_equal(np.concatenate([*found.values()]), values)
