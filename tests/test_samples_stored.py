"""Samples that were written before are copied, and only others are read."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from record_files import DIGIT, WRITERS, digits, png

from quantlab.errors import SamplesError
from quantlab.samples import SampleOptions, intact_samples, open_source, split
from quantlab.samples.write import write_parts
from quantlab.types import Preprocessing

SHARDS = ((0, 31), (31, 60))


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_shards(suffix, x, y):
    for shard, (begin, end) in enumerate(SHARDS):
        WRITERS[suffix](Path(f"{shard}{suffix}"), x[begin:end], y[begin:end])


def written(data, limit, folder="study", **options):
    """The scored samples, the calibration samples, and the positions that were read."""
    asked, reads = SampleOptions(limit=limit, **options), []
    source = open_source(data, inputs=(DIGIT,), options=asked)

    def read(indices):
        reads.extend(indices.tolist())
        return source.read(indices)

    parts = split(source, options=asked, calibrate=10)
    done = write_parts(replace(source, read=read), parts, inputs=(DIGIT,), folder=Path(folder))
    return *done.samples, sorted(reads)


def positions(*sets):
    return np.sort(np.concatenate([np.load(one.folder / "indices.npy") for one in sets])).tolist()


def test_it_is_told_once_when_new_samples_are_read():
    write_shards(".tar", *digits())
    told = []
    for limit in (20, 35, 35):
        asked = SampleOptions(limit=limit, reading=lambda: told.append(limit))  # noqa: B023 (called in this pass)
        source = open_source("*.tar", inputs=(DIGIT,), options=asked)
        parts = split(source, options=asked, calibrate=10)
        write_parts(source, parts, inputs=(DIGIT,), folder=Path("study"), options=asked)
    assert told == [20, 35]


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_higher_limit_reads_the_new_samples_only(suffix):
    write_shards(suffix, *digits())
    scored, calibration, first = written(f"*{suffix}", 20)
    assert first == positions(scored, calibration)
    longer, again, second = written(f"*{suffix}", 35)
    assert again == calibration
    assert second == sorted({*positions(longer)} - {*positions(scored)})
    assert len(second) == 15
    fresh, _, every = written(f"*{suffix}", 35, folder="fresh")
    assert every == positions(longer, calibration)
    assert longer.sha256 == fresh.sha256
    assert intact_samples(longer) == "intact"
    assert longer.input_file("image").read_bytes() == fresh.input_file("image").read_bytes()
    assert written(f"*{suffix}", 35)[2] == []
    assert written(f"*{suffix}", 20)[0] == scored


def test_files_may_be_renamed_and_others_be_added():
    x, y = digits(90)
    write_shards(".tar", x, y)
    scored, calibration, first = written("*.tar", None)
    Path("1.tar").rename("one.tar")
    WRITERS[".tar"](Path("more.tar"), x[60:], y[60:])
    longer, aside, second = written("*.tar", None)
    assert second == list(range(31, 61))  # the new file, between the others
    np.testing.assert_array_equal(
        np.load(longer.input_file("image")), x[[*range(31), *range(60, 90), *range(31, 60)]][positions(longer)]
    )
    assert positions(longer, aside) == list(range(90))
    assert len(first) == scored.n + calibration.n == 60


@pytest.mark.parametrize("suffix", [".tar", ".tfrecord"])
def test_other_preprocessing_reads_all_again(suffix):
    write_shards(suffix, *digits())
    scored, calibration, first = written(f"*{suffix}", 20)
    assert written(f"*{suffix}", 20, preprocessing=Preprocessing(scale=0.5))[2] == first
    assert written(f"*{suffix}", 20)[:2] == (scored, calibration)


def test_another_file_is_read_again_and_the_others_are_not():
    x, y = digits()
    write_shards(".tar", x, y)
    first = written("*.tar", 30)[2]
    x[40] = 255 - x[40]
    write_shards(".tar", x, y)
    scored, calibration, second = written("*.tar", 30)
    assert second == [index for index in first if index >= 31]
    for one in (scored, calibration):
        np.testing.assert_array_equal(np.load(one.input_file("image")), x[positions(one)])


def _flip(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def _turn(file):
    np.save(file, np.load(file)[::-1])


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda folder: _flip(folder / "input-image.npy"), id="a bit of a sample"),
        pytest.param(lambda folder: (folder / "input-image.npy").unlink(), id="no samples"),
        pytest.param(lambda folder: (folder / "made-of.npy").write_bytes(b""), id="no hashes"),
        pytest.param(lambda folder: np.save(folder / "made-of.npy", np.zeros((3, 2), np.uint64)), id="too few hashes"),
        pytest.param(lambda folder: np.save(folder / "made-of.npy", np.zeros(20)), id="no such hashes"),
        pytest.param(lambda folder: _turn(folder / "made-of.npy"), id="hashes of other samples"),
        pytest.param(lambda folder: (folder / "made-of.json").write_text("["), id="no record"),
        pytest.param(lambda folder: (folder / "made-of.json").write_text("[]"), id="an empty record"),
        pytest.param(lambda folder: (folder / "made-of.json").write_text(json.dumps([[1, 2]])), id="another record"),
    ],
)
def test_a_damaged_set_is_not_used(damage):
    write_shards(".tar", *digits())
    scored = written("*.tar", 20)[0]
    damage(scored.folder)
    again, _, reads = written("*.tar", 20)
    assert reads == positions(again)
    assert again.sha256 == scored.sha256
    assert intact_samples(again) == "intact"
    assert written("*.tar", 20)[2] == []


def test_a_table_of_paths_is_read_again():
    x, y = digits(20)
    for place, one in enumerate(x):
        Path(f"{place}.png").write_bytes(png(one))
    lines = ["file,label", *(f"{place}.png,{label}" for place, label in enumerate(y))]
    Path("x.csv").write_text("\n".join(lines))
    first = written("x.csv", 10)[2]
    assert written("x.csv", 10)[2] == first != []


def write_photos(n):
    for place, one in enumerate(digits(n)[0]):
        folder = Path(f"photos/{place % 2}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{place:03d}.png").write_bytes(png(one))


def test_images_of_a_folder_are_copied_wherever_they_are_now():
    write_photos(40)
    scored, calibration, first = written("photos", 16)
    assert len(first) == 26
    longer, again, second = written("photos", 25)
    assert again == calibration
    assert second == sorted({*positions(longer)} - {*positions(scored)})
    assert written("photos", 25, folder="fresh")[0].sha256 == longer.sha256
    Path("photos/0/038.png").rename("photos/0/001.png")  # now the second of its class
    assert len(written("photos", 25)[2]) < 25


def test_an_image_that_was_edited_is_read_again():
    write_photos(40)
    scored = written("photos", 16)[0]
    name = json.loads((scored.folder / "files.json").read_text())[3]
    Path("photos", name).write_bytes(png(255 - digits(1)[0][0]))
    again, _, second = written("photos", 16)
    assert second == [np.load(scored.folder / "indices.npy")[3]]
    np.testing.assert_array_equal(np.load(again.input_file("image"))[3], 255 - digits(1)[0][0])


def test_an_image_that_changes_while_it_is_read_is_refused():
    write_photos(10)
    source = open_source("photos", inputs=(DIGIT,), options=SampleOptions())
    assert source.made_of(np.arange(10)).shape == (10, 2)
    Path("photos/0/004.png").write_bytes(png(255 - digits(1)[0][0]))
    with pytest.raises(SamplesError) as refusal:
        list(source.read(np.arange(10)))
    assert str(refusal.value) == (
        "the image 'photos/0/004.png' changed while it was read, but every runtime must be fed the same samples; run "
        "the command again when nothing writes to it"
    )


def test_an_image_that_vanishes_while_it_is_read_is_named():
    write_photos(10)
    source = open_source("photos", inputs=(DIGIT,), options=SampleOptions())
    Path("photos/0/004.png").unlink()
    assert source.made_of(np.arange(10)).shape == (10, 2)
    with pytest.raises(SamplesError, match=r"the image 'photos/0/004.png' cannot be decoded"):
        list(source.read(np.arange(10)))
