"""Layers that stay in float: which ops and weights their names mean, and what becomes of them in each format."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process
from contracts import convert, model_for

from quantlab.cli.config import read_float_layers
from quantlab.errors import ConversionError, UsageError
from quantlab.formats import FORMATS
from quantlab.registries import REAL
from quantlab.settings import select_settings
from quantlab.store import Store
from quantlab.types import FloatLayer
from quantlab_converters.float_layers import Part, kept_parts

PARTS = (
    Part("net/stem/Relu;net/stem_norm/add", ("weights_1",), ("stem", "stem_norm")),
    Part("net/block/dense/MatMul", ("weights_2", "weights_3"), ("block/dense",)),
    Part("net/scores[0]/MatMul", ("weights_4",), ("scores[0]",)),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("dense", FloatLayer("dense"), id="a name"),
        pytest.param(" dense ", FloatLayer("dense"), id="spaces around it"),
        pytest.param("dense:float32", FloatLayer("dense"), id="float32, as without it"),
        pytest.param("dense*:float16", FloatLayer("dense*", "float16"), id="half floats"),
        pytest.param("net/Relu:0", FloatLayer("net/Relu:0"), id="a tensor, whose name has a colon"),
        pytest.param("net/Relu:0:float16", FloatLayer("net/Relu:0", "float16"), id="and half floats"),
    ],
)
def test_an_entry(text, expected):
    assert FloatLayer.read(text) == expected


@pytest.mark.parametrize("text", ["", "  ", ":float16", ":float32"])
def test_an_entry_without_a_name(text):
    with pytest.raises(ValueError, match="names no layer"):
        FloatLayer.read(text)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(["stem"], {0: "float32"}, id="a layer"),
        pytest.param(["stem_norm"], {0: "float32"}, id="a layer that was fused into the op of another"),
        pytest.param(["*dense"], {1: "float32"}, id="a glob"),
        pytest.param(["scores[0]"], {2: "float32"}, id="brackets are no glob"),
        pytest.param(["net/block/dense/MatMul"], {1: "float32"}, id="a tensor"),
        pytest.param(["weights_3"], {1: "float32"}, id="a weight means its op"),
        pytest.param(["*", "stem:float16"], {0: "float16", 1: "float32", 2: "float32"}, id="the last entry decides"),
    ],
)
def test_what_a_name_means(asked, expected):
    assert kept_parts(PARTS, asked) == {PARTS[place]: dtype for place, dtype in expected.items()}


def test_a_name_of_nothing():
    with pytest.raises(ConversionError) as raised:
        kept_parts(PARTS, ["stem", "stam"])
    assert str(raised.value) == (
        "--float-layers names 'stam', and no op that can stay in float has this name; did you mean 'stem'?"
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(["tfjs-uint8"], ["tfjs-uint8", "tfjs-uint8+float"], id="a row of its own behind it"),
        pytest.param(["tfjs-uint8+float"], ["tfjs-uint8+float"], id="that row alone"),
        pytest.param(["tflite-float32"], ["tflite-float32"], id="float32 keeps nothing more"),
    ],
)
def test_settings_that_keep_layers_in_float(asked, expected):
    chosen = select_settings(asked, REAL.settings, keep_float=True)
    assert [setting.name for setting in chosen] == expected


def test_without_layers_there_is_no_such_setting():
    assert not [setting for setting in select_settings(["*"], REAL.settings) if setting.keeps_float]
    with pytest.raises(UsageError) as raised:
        select_settings(["tfjs-uint8+float"], REAL.settings)
    assert str(raised.value) == (
        "the setting 'tfjs-uint8+float' keeps layers in float; name them with --float-layers NAME,…"
    )


def test_layers_of_a_configuration(tmp_path):
    config = tmp_path / "own.toml"
    config.write_text('[convert]\nfloat_layers = ["stem*", "dense:float16"]\n')
    assert read_float_layers(config, None) == ("stem*", "dense:float16")
    assert read_float_layers(config, "scores") == ("scores",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            '[convert]\nfloat_layer = ["a"]',
            "[convert] has no key 'float_layer'; did you mean 'float_layers'?",
            id="key",
        ),
        pytest.param(
            "[convert]\nfloat_layers = 3",
            'float_layers is 3 and must be a list of names: float_layers = ["…"]',
            id="a number",
        ),
        pytest.param(
            '[convert]\nfloat_layers = [":float16"]',
            "--float-layers: ':float16' names no layer; write for example --float-layers stem,dense:float16",
            id="no name",
        ),
    ],
)
def test_a_configuration_that_is_wrong(text, said, tmp_path):
    config = tmp_path / "own.toml"
    config.write_text(text)
    with pytest.raises(UsageError) as raised:
        read_float_layers(config, None)
    assert str(raised.value) == said


EVERY = [
    (setting.format, setting.scheme)
    for setting in REAL.settings.values()
    if setting.quantized and not setting.keeps_float and not setting.tuned and setting.scheme != "int16x8"
]


WIDE = {name: "dense_1" if name == "tfjs-layers" else "dense_2" for name in FORMATS}
"""The layer with the most weights, which every setting quantizes."""


def artifact_of(format_name, folder):
    return FORMATS[format_name].served(folder)


def weights_of(format_name, artifact):
    """The float weights of an artifact with more than one value, by the op and place that read them."""
    weights = FORMATS[format_name].weights(artifact)
    return {key: weight for weight in weights for key in weight.keys if weight.values.size > 1}


@pytest.fixture(scope="module")
def kept(workbench, tmp_path_factory):
    """The folder of a scheme that keeps layers in float; all schemes of a format are made in one conversion."""
    made: dict[tuple[str, str], Mapping[str, Path]] = {}

    def kept(format_name, scheme, layers):
        key = (format_name, layers)
        if key not in made:
            made[key] = convert_all(workbench, format_name, layers, tmp_path_factory.mktemp("kept"))
        return made[key][scheme]

    return kept


def convert_all(workbench, format_name, layers, folder):
    schemes = [f"{scheme}+float" for name, scheme in EVERY if name == format_name]
    request = workbench.request(model_for(format_name, "conv"), schemes, folder)
    results = convert(format_name, replace(request, float_layers=dict.fromkeys(schemes, (layers,))))
    assert [result.reason for result in results] == [None] * len(schemes)
    return {result.scheme.removesuffix("+float"): result.folder for result in results}


def float32_weights(workbench, format_name):
    return weights_of(format_name, workbench.float32(model_for(format_name, "conv"), format_name).path)


@pytest.mark.starts_children
@pytest.mark.parametrize(("format_name", "scheme"), EVERY)
def test_the_weights_of_a_layer_are_those_of_float32(format_name, scheme, workbench, kept):
    exact = float32_weights(workbench, format_name)
    stored = weights_of(format_name, artifact_of(format_name, kept(format_name, scheme, WIDE[format_name])))
    widest = max(exact, key=lambda key: exact[key].values.size)
    assert stored[widest].dtype == "float32"
    np.testing.assert_array_equal(stored[widest].values, exact[widest].values)
    if scheme != "dynamic":  # which quantizes no smaller weight
        assert any(weight.dtype not in {"float32", "int32", "int64"} for weight in stored.values())


@pytest.mark.starts_children
@pytest.mark.parametrize(("format_name", "scheme"), [pair for pair in EVERY if pair[1] != "float16"])
def test_weights_as_half_floats(format_name, scheme, workbench, kept):
    widest = max(float32_weights(workbench, format_name).values(), key=lambda weight: weight.values.size)
    halves = artifact_of(format_name, kept(format_name, scheme, f"{WIDE[format_name]}:float16"))
    stored = max(FORMATS[format_name].weights(halves), key=lambda weight: weight.values.size)
    assert stored.dtype == "float16"
    np.testing.assert_array_equal(stored.values, widest.values.astype(np.float16).astype(np.float32))


@pytest.mark.starts_children
@pytest.mark.parametrize(("format_name", "scheme"), EVERY)
def test_if_all_layers_stay_in_float_nothing_is_quantized(format_name, scheme, kept):
    weights = FORMATS[format_name].weights(artifact_of(format_name, kept(format_name, scheme, "*")))
    assert {weight.dtype for weight in weights} <= {"float32", "int32", "int64"}


@pytest.mark.starts_children
@pytest.mark.parametrize(
    ("format_name", "scheme", "layers", "reason"),
    [
        pytest.param(
            "tfjs",
            "uint8",
            ("dense_9",),
            "--float-layers names 'dense_9', and no op that can stay in float has this name; did you mean 'dense_2' or "
            "'dense_2_2'?",
            id="a name of nothing",
        ),
        pytest.param(
            "tflite",
            "int16x8",
            ("dense",),
            "TFLite's converter has no list of ops that it leaves out when activations are int16; leave "
            "tflite-int16x8 out, or --float-layers",
            id="what the converter cannot do",
        ),
    ],
)
def test_what_fails_costs_its_row(format_name, scheme, layers, reason, workbench, tmp_path):
    request = workbench.request("conv", [f"{scheme}+float", "float32"], tmp_path)
    failed, other = convert(format_name, replace(request, float_layers={f"{scheme}+float": layers}))
    assert (failed.reason, failed.end, other.reason) == (reason, "refused", None)


@pytest.mark.starts_children
def test_a_study_with_layers_in_float(digits_study, tmp_path):
    (tmp_path / "quantlab.toml").write_text(
        '[convert]\nfloat_layers = ["stem"]\n[budget]\nmax_accuracy_loss = "50pt"\nsettings = ["tfjs-uint8+float"]\n'
    )
    options = ("--settings", "tfjs-uint8", "--runtimes", "python", "--no-costs", "--no-layers", "--limit", "50")
    arguments = (digits_study / "digits.keras", "--data", digits_study / "digits.npz", "-o", "own.study", *options)
    done = quantlab_in_process("analyze", *arguments, cwd=tmp_path)
    assert done.status == 0, done.stderr
    variants = {trial.setting: trial.variant for trial in Store(tmp_path / "own.study").read_study().trials}
    assert list(variants) == ["reference", "tfjs-float32", "tfjs-uint8", "tfjs-uint8+float"][1:]
    kept, plain = variants["tfjs-uint8+float"], variants["tfjs-uint8"]
    notes = ("1 of 6 kernels (4 % of their weights) stays float32: stem_relu6", "kept in float: stem")
    assert (kept.float_layers, kept.notes, plain.float_layers) == (("stem",), notes, ())
    assert kept.size_bytes > plain.size_bytes
    gated = quantlab_in_process("gate", "own.study", cwd=tmp_path)
    assert gated.status == 0, gated.stdout + gated.stderr
