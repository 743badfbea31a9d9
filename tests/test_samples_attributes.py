"""Attributes of samples: read from tables, stored for the scored samples, checked by their hashes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quantlab.errors import SamplesError, UsageError
from quantlab.samples import SampleOptions, intact_attributes, open_samples
from quantlab.samples.attributes import MOST_SLICES
from quantlab.types import TensorSpec

NUMBER = TensorSpec("v", (None,), "float32")
SITES = [f"S{number % 3}" for number in range(12)]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def opened(*, slices=("meta.csv:site",), labels=True, n=12, data="x.npz", inputs=(NUMBER,), calibrate=0, **options):
    if data == "x.npz":
        np.savez("x.npz", x=np.arange(n), **({"y": np.arange(n) % 2} if labels else {}))
    warnings = []
    asked = SampleOptions(slices=slices, warn=warnings.append, **options)
    samples, _ = open_samples(data, None, model_inputs=inputs, folder=Path("study"), options=asked, calibrate=calibrate)
    return samples, warnings


def table(values=SITES, column="site", name="meta.csv"):
    Path(name).write_text("\n".join([column, *map(str, values)]) + "\n")


def values_of(samples, place=0):
    attribute = samples.attributes[place]
    return [attribute.values[code] for code in np.load(samples.attribute_file(attribute))]


def test_the_values_of_scored_samples_are_stored():
    table()
    samples, _ = opened(calibrate=256, limit=6)
    assert samples.n == 6
    assert values_of(samples) == [SITES[place] for place in np.load(samples.folder / "indices.npy")]
    (attribute,) = samples.attributes
    assert (attribute.name, attribute.values, attribute.source) == ("site", ("S0", "S1", "S2"), "meta.csv:site")
    assert opened()[1] == []


def test_rows_of_files_are_found_by_their_names():
    lines = ["file,light"]
    for folder, name in (("cat", "1"), ("cat", "2"), ("dog", "1")):
        Path("shots", folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(Path("shots", folder, f"{name}.png"))
        lines.insert(1, f"{folder}/{name}.png,{'day' if name == '1' else 'night'}")
    Path("meta.csv").write_text("\n".join(lines))
    image = TensorSpec("image", (None, 2, 2, 3), "float32")
    samples, warnings = opened(slices=("meta.csv:light",), data="shots", inputs=(image,))
    assert values_of(samples) == ["day", "night", "day"]
    (warning,) = warnings
    assert warning == (
        "'night' is a slice of 'light' with one scored sample, which decides nothing; merge values, or give more "
        "samples"
    )


@pytest.mark.parametrize(
    ("values", "order"),
    [
        pytest.param(["10", "9", "2"] * 4, ("2", "9", "10"), id="numbers"),
        pytest.param(["10", "9", "b"] * 4, ("10", "9", "b"), id="text"),
        pytest.param(["nan", "1", "2"] * 4, ("1", "2", "nan"), id="no number"),
    ],
)
def test_values_are_sorted(values, order):
    table(values)
    assert opened()[0].attributes[0].values == order


def test_the_samples_are_the_same_with_and_without_slices():
    table()
    with_slices, _ = opened(limit=5)
    without, _ = opened(slices=(), limit=5)
    assert replace(with_slices, attributes=()) == without


def test_a_study_that_was_made_before_keeps_its_slices():
    table()
    first, _ = opened()
    table([*SITES[1:], "S0"])
    second, _ = opened()
    assert first.folder == second.folder
    assert intact_attributes(first) == intact_attributes(second) == "intact"
    assert values_of(first) == SITES


def test_several_columns_of_several_tables():
    table()
    table(range(12), "age", "more.csv")
    samples, _ = opened(slices=("meta.csv:site", "more.csv:age", "meta.csv:site"))
    assert [attribute.name for attribute in samples.attributes] == ["site", "age"]
    assert values_of(samples, 1) == [str(number) for number in range(12)]


@pytest.mark.parametrize(
    ("change", "state"),
    [
        pytest.param(lambda file: file.unlink(), "missing", id="missing"),
        pytest.param(lambda file: np.save(file, np.zeros(12, "<i8")), "damaged", id="other values"),
        pytest.param(lambda file: np.save(file, np.load(file).astype("<i4")), "damaged", id="another type"),
        pytest.param(lambda file: file.write_bytes(file.read_bytes()[:-3]), "damaged", id="cut"),
    ],
)
def test_stored_values_are_checked_and_written_again(change, state):
    table()
    samples, _ = opened()
    change(samples.attribute_file(samples.attributes[0]))
    assert intact_attributes(samples) == state
    assert intact_attributes(opened()[0]) == "intact"


def test_renamed_values_are_no_longer_those_that_were_written():
    table()
    samples, _ = opened()
    renamed = replace(samples.attributes[0], values=("S0", "S2", "S1"))
    assert intact_attributes(replace(samples, attributes=(renamed,))) == "damaged"


@pytest.mark.parametrize(
    ("values", "options", "error", "message"),
    [
        pytest.param(
            ["A"] * 12,
            {},
            UsageError,
            "every sample has the value 'A' in the column 'site' of 'meta.csv', so it makes no slices; name another "
            "column",
            id="a constant column",
        ),
        pytest.param(
            range(MOST_SLICES + 1),
            {"n": MOST_SLICES + 1},
            UsageError,
            "the column 'site' of 'meta.csv' has 1001 values, and at most 1,000 slices can be judged; name a column of "
            "fewer values, or merge some of them",
            id="too many values",
        ),
        pytest.param(
            SITES,
            {"labels": False},
            UsageError,
            "--slice needs a class label for each sample, and 'x.npz' has no labels; slices are judged by right and "
            "wrong answers",
            id="no labels",
        ),
        pytest.param(
            SITES,
            {"slices": ("meta.csv:sight",)},
            UsageError,
            "'meta.csv' has no column 'sight'; did you mean 'site'?",
            id="an unknown column",
        ),
        pytest.param(
            SITES,
            {"slices": ("site",)},
            UsageError,
            "--slice 'site' does not name a column of a .csv or .tsv file; write for example --slice meta.csv:COLUMN",
            id="no table",
        ),
        pytest.param(
            SITES,
            {"slices": ("meta.csv:site", "./meta.csv:site")},
            UsageError,
            "--slice names two columns 'site', which could not be told apart; rename one of them",
            id="the same name twice",
        ),
        pytest.param(
            SITES[:-1],
            {},
            SamplesError,
            "'meta.csv' has 11 rows and 'x.npz' 12 samples; give one row for each sample, in the order of the samples",
            id="a row too few",
        ),
    ],
)
def test_what_is_refused(values, options, error, message):
    table(values)
    with pytest.raises(error) as raised:
        opened(**options)
    assert str(raised.value).replace("1,001", "1001") == message
