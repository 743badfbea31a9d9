"""The values of rows are computed once for their scores and for what is kept, and few rows are held."""

from pathlib import Path

import numpy as np
import pytest
from verdict_fixtures import answers, flipped

from quantlab.study.compare import Comparison
from quantlab.study.task import Scoring
from quantlab.types import KeptOutputs, TensorSpec, Timing

N = 50
LABELS = np.arange(N) % 10


def opened(folder: Path, outputs: np.ndarray) -> Comparison:
    file = folder / "reference.npy"
    np.save(file, outputs)
    output = TensorSpec("output_0", (None, 10), "float32")
    kept = KeptOutputs({"output_0": file}, "python", {}, Timing(0, 0.0))
    return Comparison.open(Scoring(output, "classification", LABELS), kept)


def row(folder: Path, number: int) -> Path:
    file = folder / f"{number}.npy"
    np.save(file, answers(LABELS, flipped(N, [number, number + 1])))
    return file


def test_scores_and_notes_of_a_row_are_those_without_and_its_values_are_computed_once(tmp_path: Path) -> None:
    plain = opened(tmp_path, answers(LABELS, flipped(N, [3])))
    file = row(tmp_path, 5)
    known = plain.with_values()
    scores, notes = plain.of(file), plain.notes(file)

    assert known.of(file) == scores
    file.unlink()  # what is computed again is missing now
    assert known.of(file) == scores
    assert known.notes(file) == notes
    assert known.values is not None
    assert known.values.of(file) is known.values.of(file)
    known.values.forget(file)
    with pytest.raises(FileNotFoundError):
        known.values.of(file)


def test_of_many_rows_the_last_four_are_held(tmp_path: Path) -> None:
    values = opened(tmp_path, answers(LABELS)).with_values().values
    assert values is not None
    files = [row(tmp_path, number) for number in range(6)]
    computed = [values.of(file) for file in files]
    assert [values.of(file) for file in files[2:]] == computed[2:]  # the same objects, since equality is identity
    assert values.of(files[0]) is not computed[0]


def test_a_model_that_is_not_finite_on_a_sample_has_none(tmp_path: Path) -> None:
    outputs = answers(LABELS)
    outputs[7] = np.nan
    assert opened(tmp_path, outputs).with_values().values is None
