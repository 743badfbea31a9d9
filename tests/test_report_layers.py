"""The layers in the report: one order for all formats, and weights as histograms with the values that are stored."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from report_fixtures import KERNEL, LAYERS, a_layer, formats_with, report_study, stored_weights

from quantlab.errors import ArtifactError
from quantlab.store import Store
from quantlab.types import Budget, Inside
from quantlab_reports.charts import CHARTS
from quantlab_reports.layer_lines import drawn_lines, merged
from quantlab_reports.page import report_page
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
    assert all(len(row) == 9 for line in data_of(report_page(read))["lines"] for row in line["rows"])
