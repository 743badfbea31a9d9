"""A new layer statistic needs one file and one entry, and no change of quantlab's code."""

import json
from pathlib import Path

import numpy as np
import pytest
from toy_format.study import WITH_TOY, write_model, write_samples
from toy_layer_statistic import NEW_ZEROS, ZeroSums

from quantlab.statistics import LAYER_STATISTICS, LayerError, LayerStatistic
from quantlab.store import Store
from quantlab.study import AnalyzeOptions, analyze
from quantlab.types import Inside
from quantlab_reports import RENDERINGS, VIEWS, Selection


def larger_elements(baseline: np.ndarray, candidate: np.ndarray) -> ZeroSums:
    return ZeroSums(candidate.size, int(np.count_nonzero(candidate > baseline)))


LARGER = LayerStatistic("larger", larger_elements, ZeroSums.share)
"""Which a toy's layers have some of; a dense layer's outputs are seldom zero."""


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for statistic in (NEW_ZEROS, LARGER):
        monkeypatch.setitem(LAYER_STATISTICS, statistic.name, statistic)


BASELINE = np.array([[1, 2, 0], [3, np.nan, 5]], np.float32)
CANDIDATE = np.array([[0, 2, 0], [0, 0, 6]], np.float32)


@pytest.mark.usefixtures("registered")
def test_it_is_summed_with_the_layer():
    whole = LayerError.of(BASELINE, CANDIDATE)
    assert whole.more_figures == {"new zeros": 3 / 6, "larger": 1 / 6}
    parts = (LayerError.of(BASELINE[rows], CANDIDATE[rows]) for rows in (slice(0, 1), slice(1, 2), slice(2, 2)))
    assert sum(parts, LayerError()).more == whole.more


@pytest.mark.usefixtures("registered")
def test_it_may_say_nothing():
    assert LayerError.of(BASELINE[:0], CANDIDATE[:0]).more_figures == {}


def test_without_an_entry_there_is_none():
    assert LAYER_STATISTICS == {}
    assert LayerError.of(BASELINE, CANDIDATE).more == {}


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Inside, Store]:
    """What a study holds inside before the statistics are registered, and the same study analyzed again with them."""
    folder = tmp_path_factory.mktemp("one-dense")
    write_model(folder / "one_dense.onnx")
    write_samples(folder / "samples.npz")
    options = AnalyzeOptions(
        settings=("toy-int8",), runtimes=("python",), out=folder / "toy.study", channels=("dense",), costs=False
    )

    def run() -> Path:
        analyze(folder / "one_dense.onnx", data=f"{folder / 'samples.npz'}", options=options, registries=WITH_TOY)
        return folder / "toy.study"

    before = Store(run()).read_inside()
    with pytest.MonkeyPatch.context() as patch:
        for statistic in (NEW_ZEROS, LARGER):
            patch.setitem(LAYER_STATISTICS, statistic.name, statistic)
        return before, Store(run())


@pytest.mark.starts_children
def test_a_study_keeps_it_for_every_layer_and_channel(studies):
    before, store = studies
    assert all(row.more == {} for row in before.layers)
    rows = [row for row in store.read_inside().layers if row.aligned]
    assert len(rows) == len([row for row in before.layers if row.aligned]) > 4
    assert all(row.more.keys() == {"new zeros", "larger"} for row in rows)
    dense = [row for row in rows if (row.setting, row.tensor, row.baseline) == ("toy-int8", "dense", "reference")]
    (whole,) = (row for row in dense if row.channel is None)
    channels = [row.more["larger"] for row in dense if row.channel is not None]
    assert whole.more["larger"] == pytest.approx(sum(channels) / 3)
    assert 0 < min(channels) < max(channels) < 1


@pytest.mark.starts_children
@pytest.mark.parametrize("rendering", RENDERINGS)
def test_the_view_of_layers_shows_it(rendering, studies):
    _, store = studies
    table = VIEWS["layers"].table(store, Selection(), True)
    assert {"new zeros", "larger"} < {*table.headings}
    assert "larger" in RENDERINGS[rendering](table)


@pytest.mark.starts_children
def test_programs_are_given_it_by_name(studies):
    _, store = studies
    (row, *_) = json.loads(RENDERINGS["json"](VIEWS["layers"].table(store, Selection(), True)))
    assert row["more"].keys() == {"new zeros", "larger"}
