"""The layers in the report: one order for all formats, and weights as histograms with the values that are stored."""

import json
import math
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from report_fixtures import KERNEL, LAYERS, a_layer, formats_with, report_study, stored_weights

from quantlab.errors import ArtifactError
from quantlab.store import Store
from quantlab.types import Budget, Inside, Source
from quantlab_reports.charts import CHARTS
from quantlab_reports.layer_lines import drawn_lines, lines_of_layers, merged
from quantlab_reports.page import report_page
from quantlab_reports.page.layer_data import layer_json
from quantlab_reports.page.sections.layers import layers_section
from quantlab_reports.subject import Subject
from quantlab_reports.weight_figures import BINS, CELLS, weight_figures

HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture
def subject(tmp_path):
    """Reads the study with layers in place of its own, and with readers of weights."""

    def read(layers=None, weights=None):
        store = Store(tmp_path / "clothes.study")
        if not store.root.exists():
            report_study(store.root)
        if layers is not None:
            store.write_inside(replace(store.read_inside(), layers=tuple(layers)))
        return Subject.of(store, Budget(max_accuracy_loss="3pt"), formats_with(weights))

    return read


def a_line(setting, layers, first=30.0):
    return [a_layer(setting, layer, place, first - place) for place, layer in enumerate(layers)]


@pytest.mark.parametrize(
    ("lines", "order"),
    [
        pytest.param(["abc"], "abc", id="one line"),
        pytest.param(["abc", "ac"], "abc", id="a line without a layer"),
        pytest.param(["abcd", "qabd", "abde"], "qabcde", id="layers that only one has"),
        pytest.param(["abc", "cb"], "abc", id="another order"),
        pytest.param(["ab", "xyz"], "abxyz", id="nothing in common"),
    ],
)
def test_one_order_for_lines(lines, order):
    steps = [[(layer, 0) for layer in line] for line in lines]
    assert "".join(layer for layer, _ in merged(steps)) == order


def test_settings_of_two_formats_stand_at_the_same_place(subject):
    rows = [*a_line("tfjs-uint8", "abcd"), *a_line("tflite-int8", ["quantize", "a", "c", "d"])]
    drawn = drawn_lines(subject(rows))
    assert [layer for layer, _ in drawn.order] == ["quantize", "a", "b", "c", "d"]
    places = {line.setting: drawn.places(line) for line in drawn.lines}
    assert places == {"tfjs-uint8": [1, 2, 3, 4], "tflite-int8": [0, 1, 3, 4]}


def test_a_weight_is_read_by_the_tensor_that_took_its_layer_in(subject):
    rows = [
        *a_line("tfjs-float32", ["a", "a_relu", "b", "b_relu", "c"], 150.0),
        *a_line("tfjs-uint8", ["a_relu", "b_relu"]),
    ]
    drawn = drawn_lines(subject(rows))
    assert drawn.order == (("a_relu", 0), ("b_relu", 0))
    assert drawn.readers(drawn.lines[0]) == {"a": 0, "a_relu": 0, "b": 1, "b_relu": 1}


def test_tensors_of_one_layer_are_told_apart(subject):
    drawn = drawn_lines(subject(a_line("tfjs-uint8", ["conv", "dense", "dense", "dense"])))
    assert drawn.order == (("conv", 0), ("dense", 0), ("dense", 1), ("dense", 2))


@pytest.mark.parametrize(
    ("count", "sentence"),
    [
        pytest.param(6, None, id="six"),
        pytest.param(
            9,
            "Of 9 settings with an error, 6 are drawn: the settings with the lowest SQNR; 'quantlab show layers' has "
            "all.",
            id="nine",
        ),
    ],
)
def test_settings_beyond_six_are_told(count, sentence, subject):
    rows = [row for number in range(count) for row in a_line(f"tfjs-{number}", LAYERS, 40.0 + number)]
    read = subject(rows)
    page = report_page(read)
    drawn = drawn_lines(read)
    assert [line.setting for line in drawn.lines] == [f"tfjs-{number}" for number in range(6)]
    assert ("are drawn" in page) == (sentence is not None)
    assert (sentence or "").replace("'", "&#39;") in page


def test_a_drawing_names_layers_on_its_axis(subject):
    drawing = CHARTS["layers"].draw(subject(), 680.0)
    texts = [
        row["text"] for layer in drawing.specification["layer"] for row in layer["data"]["values"] if "text" in row
    ]
    assert [text for text in dict.fromkeys(texts) if text in LAYERS] == list(LAYERS)


def in_runtime(rows, runtime, lower=0.0):
    return [replace(row, runtime=runtime, sqnr_db=row.sqnr_db - lower, isolated_sqnr_db=None) for row in rows]


@pytest.mark.parametrize(
    ("lower", "names"),
    [
        pytest.param(0.05, ["tfjs-uint8"], id="the same errors share a line"),
        pytest.param(20.0, ["tfjs-uint8, node-wasm", "tfjs-uint8, python"], id="other errors have a line of their own"),
    ],
)
def test_every_runtime_has_its_line(lower, names, subject):
    rows = a_line("tfjs-uint8", LAYERS)
    read = subject([*rows, *in_runtime(rows, "node-wasm", lower)])
    lines = lines_of_layers(read.inside)
    assert [line.name for line in lines] == names
    assert {runtime for line in lines for runtime in line.runtimes} == {"python", "node-wasm"}
    page = report_page(read)
    assert [line["runtime"] for line in data_of(page)["lines"]] == (
        ["python and node-wasm"] if len(names) == 1 else ["node-wasm", "python"]
    )
    assert ("Runtimes whose SQNR differ by at most 0.1 dB share a line." in page) == (len(names) == 1)
    assert ("In tfjs-uint8 in node-wasm, dense adds most" in page) == (len(names) > 1)
    drawing = CHARTS["layers"].draw(read, 680.0)
    assert all(f"{name}: lowest SQNR" in drawing.text for name in names)


def test_the_errors_of_ops_alone_and_the_band_are_drawn(subject):
    drawing = CHARTS["layers"].draw(subject(a_line("tfjs-uint8", LAYERS)), 680.0)
    layers = drawing.specification["layer"]
    (points,) = [layer for layer in layers if layer["mark"]["type"] == "point"]
    (accumulated,) = [layer for layer in layers if layer["mark"]["type"] == "line"]
    heights = [[row["y"] for row in layer["data"]["values"]] for layer in (points, accumulated)]
    assert len(heights[0]) == len(heights[1]) == len(LAYERS)
    assert all(own < whole for own, whole in zip(*heights, strict=True))  # 5 dB better
    (band,) = [layer for layer in layers if layer["mark"]["type"] == "rect"]
    assert band["data"]["values"][0]["bottom"] == 320.0
    ticks = {row["text"]: row["y"] for layer in layers for row in layer["data"]["values"] if "text" in row}
    assert band["data"]["values"][0]["y"] == ticks["40"]
    assert "lowest SQNR 25.0 dB, of an op alone 30.0 dB" in drawing.text


def test_where_layers_are_dense_the_worst_op_keeps_its_point(subject):
    layers = [f"conv_{number}" for number in range(400)]
    rows = [a_layer("tfjs-uint8", layer, place, 60.0) for place, layer in enumerate(layers)]
    rows[201] = replace(rows[201], isolated_sqnr_db=-15.0)
    drawing = CHARTS["layers"].draw(subject(rows), 680.0)
    (points,) = [layer for layer in drawing.specification["layer"] if layer["mark"]["type"] == "point"]
    assert len(points["data"]["values"]) < 120
    worst = max(row["y"] for row in points["data"]["values"])
    assert worst > max(row["y"] for row in points["data"]["values"] if row["y"] != worst) + 50


INFINITE = {"sqnr_db": -math.inf, "relative_rms_growth": None}


@pytest.mark.parametrize(
    ("places", "known", "sentence"),
    [
        pytest.param(
            [2, 3],
            {"non_finite": 7, "non_finite_baseline": 0},
            "tfjs-uint8 becomes NaN or infinite in conv_2: 7 of 1,000 values are not finite there, and the SQNR is "
            "−∞ dB. Of its layers with a finite SQNR, dense adds most: its SQNR is 25.0 dB.",
            id="NaN in the variant",
        ),
        pytest.param(
            range(6),
            {"non_finite": 1, "non_finite_baseline": 0},
            "tfjs-uint8 becomes NaN or infinite in stem: one value is not finite there, and the SQNR is −∞ dB.",
            id="NaN from the first layer on",
        ),
        pytest.param(
            [1],
            {"non_finite": 3, "non_finite_baseline": 3},
            "The model itself is NaN or infinite in conv_1, where the SQNR of tfjs-uint8 is −∞ dB. Of",
            id="NaN in the model",
        ),
        pytest.param(
            [1],
            {"non_finite": 0, "non_finite_baseline": 0, "baseline_minimum": 0.0, "baseline_maximum": 0.0},
            "The model's values in conv_1 are all 0, and those of tfjs-uint8 are not: its SQNR is −∞ dB. Of",
            id="a layer that is 0 in the model",
        ),
        pytest.param(
            [4], {}, "In tfjs-uint8, pool is the first layer with an SQNR of −∞ dB. Of", id="a record without counts"
        ),
    ],
)
def test_a_layer_without_a_finite_error_is_named_first(places, known, sentence, subject):
    rows = a_line("tfjs-uint8", LAYERS)
    for place in places:
        rows[place] = replace(rows[place], **INFINITE, **known)
    read = subject(rows)
    assert layers_section(read).conclusion.startswith(sentence)
    first = LAYERS[places[0]]
    assert json.loads(layer_json(read, drawn_lines(read)))["first"] == [0, places[0]]
    drawing = CHARTS["layers"].draw(read, 680.0)
    assert f"tfjs-uint8: lowest SQNR −∞ dB, of an op alone 30.0 dB, {first} is the first with −∞ dB" in drawing.text
    texts = [row for layer in drawing.specification["layer"] for row in layer["data"]["values"] if "text" in row]
    crosses = [row["y"] for row in texts if row["text"] == "×"]
    (tick,) = {row["y"] for row in texts if row["text"] == "−∞"}
    assert crosses == [tick] * len(places)
    finite = [row["y"] for row in texts if row["text"].removeprefix("−").isdecimal()]
    assert tick > max(finite) + 8


def data_of(page):
    return json.loads(re.search(r'id="layer-data">(.*?)</script>', page, re.DOTALL)[1])


def test_the_data_of_the_panel_is_what_the_table_says(subject):
    page = report_page(subject())
    lines = data_of(page)["lines"]
    assert [(line["setting"], line["runtime"], len(line["rows"])) for line in lines] == [
        ("tfjs-float16", "python", 6),
        ("tfjs-uint8", "python", 6),
        ("tflite-int8", "python", 6),
    ]
    rows = re.findall(r'<tr data-place="0,(\d)"><th scope="row">(.*?)</th>(.*?)</tr>', page)
    assert len(rows) == 6
    for place, layer, cells in rows:
        _, _, *facts = lines[0]["rows"][int(place)][:9]
        name, op, dtype, sqnr, isolated, channel, growth = facts
        assert name == layer
        assert re.findall(r"<td[^>]*>(.*?)</td>", cells)[:5] == [sqnr, isolated, channel, growth, f"{op}, {dtype}"]


def test_names_from_outside_end_no_script(subject):
    page = report_page(subject(a_line("tfjs-uint8", ["conv", HOSTILE])))
    assert HOSTILE not in page
    assert data_of(page)["lines"][0]["rows"][1][2] == HOSTILE


def test_weights_are_counted_and_their_codes_marked(subject):
    read = subject()
    found = weight_figures(read, ["tfjs-uint8", "tfjs-float16"])
    (eight,), (half,) = found.figures["tfjs-uint8"], found.figures["tfjs-float16"]
    assert found.absent == {}
    assert (eight.whole.low, eight.whole.high, len(eight.whole.heights)) == (-1.0, 1.0, BINS)
    assert set(eight.whole.heights) == {"i", "z"}  # one or two of 72 evenly spaced values in each bin
    bits = f"{int(eight.cells, 16):0{CELLS}b}"
    assert [place for place, bit in enumerate(bits) if bit == "1"] == [0, 85, 170, 255]
    assert (eight.values, eight.of_channel) == (4, False)
    assert (half.cells, half.values) == ("", 0)


def test_codes_of_channels_are_those_of_the_worst_one(subject):
    def per_channel(path):
        (kernel,) = stored_weights(path)
        if kernel.dtype == "uint8":
            kernel = replace(kernel, scales=(1.0,) * 4, channel_axis=3, stored=np.where(KERNEL > 0, [0, 1, 1, 1], 0))
            kernel = replace(kernel, stored=kernel.stored.astype(np.uint8))
        yield kernel

    (figure,) = weight_figures(subject(weights=per_channel), ["tfjs-uint8"]).figures["tfjs-uint8"]
    assert (figure.row.worst_channel, figure.values, figure.of_channel) == (0, 1, True)


def gone(path):
    raise ArtifactError(f"'{path.name}' is missing")


@pytest.mark.parametrize(
    ("setting", "weights", "sentence"),
    [
        pytest.param(
            "tflite-int8",
            None,
            "The weights are not drawn, because there is no float32 artifact of the same format.",
            id="no float32",
        ),
        pytest.param(
            "tfjs-uint8", gone, "The float32 weights cannot be drawn: 'artifact' is missing.", id="float32 is gone"
        ),
        pytest.param(
            "tfjs-uint8",
            lambda path: gone(path) if path.parents[1].name == "tfjs-uint8" else stored_weights(path),
            "The weights of tfjs-uint8 cannot be drawn: 'artifact' is missing.",
            id="gone",
        ),
    ],
)
def test_weights_that_cannot_be_drawn_are_left_out_with_a_sentence(setting, weights, sentence, subject):
    read = subject(weights=weights)
    found = weight_figures(read, [setting])
    assert (found.figures, found.absent) == ({}, {setting: sentence})
    (line,) = [line for line in data_of(report_page(read))["lines"] if line["setting"] == setting]
    assert line["absent"] == sentence


@pytest.mark.parametrize("gone_setting", ["tfjs-uint8", "tfjs-float32"])
def test_artifacts_that_are_gone_are_named(gone_setting, subject):
    read = subject()
    shutil.rmtree(next(trial.variant.path for trial in read.study.trials if trial.setting == gone_setting))
    assert weight_figures(read, ["tfjs-uint8"]).absent == {
        "tfjs-uint8": f"The weights are not drawn, because the artifact of {gone_setting} is gone; run "
        "'quantlab analyze' again."
    }


def test_a_large_study_has_a_small_file(subject):
    layers = [f"block_{number}/separable_convolution_{number}" for number in range(300)]
    rows = [row for number in range(6) for row in a_line(f"tfjs-{number}", layers, 90.0)]
    page = report_page(subject(rows))
    assert len(page.encode()) < 1_000_000


def test_a_study_without_weights(subject):
    read = subject()
    read = replace(read, inside=Inside(read.inside.layers, (), (), (), samples=1, drawn="all"))
    assert all(len(row) == 10 for line in data_of(report_page(read))["lines"] for row in line["rows"])


@pytest.mark.parametrize(
    ("source", "told"),
    [
        pytest.param("a", True, id="another layer than the one that adds most"),
        pytest.param("c", False, id="the same layer"),
    ],
)
def test_the_source_by_its_own_error_is_related_to_the_layer_that_adds_most(source, told, subject):
    store = subject(a_line("tfjs-uint8", "abc")).store
    blamed = Source("tfjs-uint8", source, "Conv2D", source, 12.0, 3)
    store.write_inside(replace(store.read_inside(), sources=(blamed,)))
    conclusion = layers_section(subject()).conclusion
    assert "c adds most" in conclusion
    related = (
        "That is by the accumulated error, in which errors of earlier layers grow or cancel. By the error that an op "
        "makes alone, with exact inputs, the source is a (Conv2D), isolated SQNR 12.0 dB in channel 3."
    )
    assert conclusion.endswith(related) == told
