"""The view of layers: one runtime, one row for each tensor, and a line for the layers that no tensor matches."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from study_fixtures import a_study

from quantlab.store import Store
from quantlab.types import Inside, LayerRow
from quantlab_reports import RENDERINGS, VIEWS, Selection
from quantlab_reports.renderings.terminal import render
from quantlab_reports.views.layers import layer_table
from quantlab_reports.views.ops import op_table
from quantlab_reports.views.weights import weight_table

MERGED = "no matching layer: it was merged into another layer by the converter"
FOREIGN = "the float32 variant has no tensor of this name and no op at this position"
FUSED = "digits/stem/Relu6;digits/stem_norm/batchnorm/add_1;digits/stem/convolution"


def measured(layer: str, runtime: str = "python", setting: str = "tflite-int8", **changed) -> LayerRow:
    row = LayerRow(setting, runtime, layer, f"{layer}/Relu6", "reference", True, None, 1, "CONV_2D", "float32", 640)
    return replace(row, **{"different": 64, "mean_abs": 0.0125, "max_abs": 0.25, "sqnr_db": 30.0, **changed})


def unmatched(layer: str, reason: str = MERGED, runtime: str = "python", setting: str = "tflite-int8") -> LayerRow:
    return LayerRow(setting, runtime, layer, "", "reference", False, reason, 9, "", "")


def inside(*rows: LayerRow) -> Inside:
    return Inside(rows, (), (), (), 256, "stratified, seed 0")


BOTH = inside(
    measured(FUSED),
    measured("head"),
    unmatched("stem"),
    unmatched("stem_norm"),
    unmatched("tfl.quantize", FOREIGN),
    measured("head", "node-wasm", sqnr_db=20.0),
    unmatched("stem", runtime="node-wasm"),
)


def test_one_runtime_and_a_line_for_what_was_merged():
    assert RENDERINGS["terminal"](layer_table(BOTH, Selection())) == (
        "setting      layer                           op         values    different values    mean abs error    "
        "max abs error    SQNR dB\n"
        "-----------  ------------------------------  -------  --------  ------------------  ----------------  "
        "---------------  ---------\n"
        "tflite-int8  digits/stem/Relu6 (and 2 more)  CONV_2D       640              10.0 %            0.0125  "
        "           0.25   30.0 ███\n"
        "tflite-int8  head                            CONV_2D       640              10.0 %            0.0125  "
        "           0.25   30.0 ███\n"
        "\n"
        f"First tensor with an SQNR below 40 dB: digits/stem/Relu6 (and 2 more) (CONV_2D), 30.0 dB\n"
        "Compared on 256 samples, stratified, seed 0, in python, with the matching tensors of the reference\n"
        f"tflite-int8: stem, stem_norm ({MERGED})\n"
        f"tflite-int8: tfl.quantize ({FOREIGN})\n"
        "Not shown: node-wasm; --runtime NAME shows another runtime, and --runtime '*' shows all\n"
        "Terms: quantlab glossary"
    )


@pytest.mark.parametrize(
    ("asked", "cells", "said"),
    [
        pytest.param("node-wasm", [["tflite-int8", "head"]], "in node-wasm, with", id="another runtime"),
        pytest.param(
            "*",
            [
                ["tflite-int8", "python", "digits/stem/Relu6 (and 2 more)"],
                ["tflite-int8", "python", "head"],
                ["tflite-int8", "node-wasm", "head"],
            ],
            "seed 0, with",
            id="all of them",
        ),
    ],
)
def test_the_runtimes_that_are_asked_for(asked, cells, said):
    table = layer_table(BOTH, Selection(runtime=asked))
    assert [list(row[: len(cells[0])]) for row in table.cells] == cells
    assert next(line for line in table.below if line.startswith("Compared")).count(said) == 1
    assert not any(line.startswith("Not shown") for line in table.below)


def test_a_setting_that_was_not_read_in_python_is_shown_where_it_was():
    """So that no setting is missing from the table; the column of runtimes is back, because they differ."""
    rows = [*BOTH.layers, measured("head", "node-wasm", "tfjs-uint8"), measured("head", "node-native", "tfjs-uint8")]
    table = layer_table(inside(*rows), Selection())
    assert [row[:3] for row in table.cells] == [
        ("tflite-int8", "python", "digits/stem/Relu6 (and 2 more)"),
        ("tflite-int8", "python", "head"),
        ("tfjs-uint8", "node-wasm", "head"),
    ]
    assert "Not shown: node-native; --runtime NAME shows another runtime, and --runtime '*' shows all" in table.below


def test_settings_with_the_same_layers_share_a_line():
    rows = [unmatched(layer, setting=name) for name in ("tfjs-uint8", "tfjs-float16") for layer in ("stem", "norm")]
    table = layer_table(inside(*rows, unmatched("pool", setting="tflite-int8")), Selection())
    assert table.cells == ()
    assert table.below[1:] == (f"tfjs-uint8, tfjs-float16: stem, norm ({MERGED})", f"tflite-int8: pool ({MERGED})")


OF_S8 = "no isolated errors of s8 in python: the file is not from this study"
OF_UINT8 = "tfjs-uint8 in python answers differently while its tensors are read, by up to 0.25"
OF_PER_CHANNEL = "tfjs-uint8-per-channel in python answers differently while its tensors are read, by up to 0.5"
OF_ALL = "nothing is known of the samples"


@pytest.mark.parametrize(
    ("asked", "notes"),
    [
        pytest.param(None, [OF_S8, OF_UINT8, OF_PER_CHANNEL, OF_ALL], id="every setting"),
        pytest.param("s8", [OF_S8, OF_ALL], id="a file of the user"),
        pytest.param("tfjs-uint8", [OF_UINT8, OF_ALL], id="a setting whose name begins another's"),
        pytest.param("tfjs-*", [OF_UINT8, OF_PER_CHANNEL, OF_ALL], id="a pattern"),
    ],
)
@pytest.mark.parametrize("view", [layer_table, weight_table, op_table])
def test_notes_about_other_settings_are_left_out(view, asked, notes):
    record = replace(BOTH, notes=(OF_S8, OF_UINT8, OF_PER_CHANNEL, OF_ALL))
    known = ("tflite-int8", "s8", "tfjs-uint8", "tfjs-uint8-per-channel")
    below = view(record, Selection(setting=asked, settings=known)).below
    assert [line for line in below if line.startswith("! ")] == [f"! {note}" for note in notes]


@pytest.mark.parametrize("form", ["json", "csv"])
def test_programs_get_every_row(form):
    """Of every runtime and without a match, with the names as they are."""
    text = RENDERINGS[form](layer_table(BOTH, Selection()))
    assert (len(json.loads(text)) if form == "json" else len(text.split("\n")) - 1) == len(BOTH.layers)
    assert text.count(FUSED) >= 1


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_it_fits_a_terminal(width):
    assert max(map(len, render(layer_table(BOTH, Selection()), width=width).split("\n"))) <= width


# What every view of a study must print


@pytest.fixture
def nothing(tmp_path: Path) -> Store:
    """A study without a trial, in which nothing was compared."""
    store = Store(tmp_path)
    store.write_study(a_study(tmp_path, trials=()))
    store.write_inside(inside())
    return store


@pytest.mark.parametrize("view", ["layers", "weights", "ops", "split", "runtimes"])
def test_a_view_with_nothing_to_show_has_headings(view, nothing):
    def shown(form: str) -> str:
        return RENDERINGS[form](VIEWS[view].table(nothing, Selection(), {}))

    kind = VIEWS[view].kind
    keys = [field.name for field in kind.__dataclass_fields__.values()]
    assert shown("csv") == ",".join(keys)
    assert shown("json") == "[]"
    assert shown("terminal").startswith("setting  ")
    assert shown("markdown").startswith("| setting ")
    first, *lines = shown("latex").split("\n")
    columns = lines[1].count("&") + 1
    assert first.startswith("\\begin{tabular}{l")
    assert len(first.removeprefix("\\begin{tabular}{").removesuffix("}")) == columns
    assert lines[-1] == "\\end{tabular}"


def test_latex_has_no_bars():
    """Its fonts lack their characters; the figures stay."""
    table = layer_table(BOTH, Selection(runtime="*"))
    assert "30.0 ███" in RENDERINGS["markdown"](table)
    tabular = RENDERINGS["latex"](table)
    assert not set("▏▎▍▌▋▊▉█") & set(tabular)
    assert tabular.count(" 30.0 \\\\\n") == 2
    assert tabular.count(" 20.0 \\\\\n") == 1
