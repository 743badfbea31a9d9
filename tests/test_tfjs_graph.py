"""The Python executor of graph-models: ops that only tfjs has, compared with TensorFlow, and real models.

Graphs with these ops are made by hand; the contract of the runtimes covers graphs from the converter.
"""

import json
import shutil

import numpy as np
import pytest
from contracts import evaluate_graph, executors
from tfjs_graphs import IMAGE, ROWS, WEIGHTS, fused, node, run, text, write

from quantlab.errors import TrialError
from quantlab.formats import describe_given
from quantlab.formats.tfjs_manifest import decode, stored_weights
from quantlab.runtimes import Job
from quantlab.runtimes.exchange import TensorFile
from quantlab.types import ModelDescription, TensorSpec
from quantlab.types.executor_options import ExecutorOptions
from quantlab.worker.tfjs_graph import graph_def, load

pytestmark = pytest.mark.starts_children


def prelu(values):
    return np.where(values >= 0, values, WEIGHTS["slope"] * values)


def activation(name):
    import tensorflow as tf

    return {"Relu": tf.nn.relu, "Relu6": tf.nn.relu6, "Elu": tf.nn.elu, "Prelu": prelu}[name]


def plain(op, steps, **sliding):
    """The same in TensorFlow's own words."""
    import tensorflow as tf

    options = {"strides": [1, 1, 1, 1], "padding": "SAME", **sliding}
    values = {
        "FusedDepthwiseConv2dNative": lambda: tf.nn.depthwise_conv2d(IMAGE, WEIGHTS["depthwise"], **options),
        "_FusedConv2D": lambda: tf.nn.conv2d(IMAGE, WEIGHTS["filter"], **options),
        "_FusedMatMul": lambda: tf.matmul(ROWS, WEIGHTS["matrix"]),
    }[op]()
    for step in steps:
        if step == "BiasAdd":
            values = tf.nn.bias_add(values, WEIGHTS["bias"])
        elif step == "LeakyRelu":
            values = tf.nn.leaky_relu(values, 0.3)
        elif step != "NoOp":
            values = activation(step)(values)
    return np.asarray(values)


FEED = {"image": IMAGE, "rows": ROWS}
ARGUMENTS = {"BiasAdd": ["bias"], "Prelu": ["slope"]}


@pytest.mark.parametrize(
    ("op", "steps"),
    [
        pytest.param("FusedDepthwiseConv2dNative", ["BiasAdd"], id="depthwise, bias"),
        pytest.param("FusedDepthwiseConv2dNative", ["NoOp"], id="depthwise alone"),
        *(
            pytest.param("FusedDepthwiseConv2dNative", [first, second], id=f"depthwise, {first}, {second}")
            for first in ("BiasAdd", "NoOp")
            for second in ("Relu", "Relu6", "Elu", "LeakyRelu", "Prelu")
        ),
        pytest.param("_FusedConv2D", ["BiasAdd", "Prelu"], id="convolution, bias, Prelu"),
        pytest.param("_FusedConv2D", ["BiasAdd", "LeakyRelu"], id="convolution, bias, LeakyRelu"),
        pytest.param("_FusedConv2D", ["BiasAdd", "Relu6"], id="convolution, bias, Relu6"),
        pytest.param("_FusedMatMul", ["BiasAdd", "Prelu"], id="product, bias, Prelu"),
        pytest.param("_FusedMatMul", ["BiasAdd", "Relu"], id="product, bias, Relu"),
    ],
)
def test_fused_ops(op, steps, tmp_path):
    arguments = [name for step in steps for name in ARGUMENTS.get(step, [])]
    slope = {"leakyrelu_alpha": {"f": 0.3}} if "LeakyRelu" in steps else {}
    folder = write(tmp_path, [fused(op, steps, arguments, **slope)], WEIGHTS, FEED)
    (result,) = run(folder, FEED, "result")
    np.testing.assert_allclose(result, plain(op, steps), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("attributes", "sliding"),
    [
        pytest.param(
            {"strides": {"list": {"i": ["1", "2", "2", "1"]}}, "padding": {"s": text("VALID")[0]}},
            {"strides": [1, 2, 2, 1], "padding": "VALID"},
            id="strides",
        ),
        pytest.param(
            {"dilations": {"list": {"i": ["1", "2", "2", "1"]}}},
            {"dilations": [2, 2]},
            id="dilations",
        ),
    ],
)
def test_the_attributes_of_a_fused_depthwise_convolution(attributes, sliding, tmp_path):
    steps = ["BiasAdd", "Relu6"]
    folder = write(tmp_path, [fused("FusedDepthwiseConv2dNative", steps, ["bias"], **attributes)], WEIGHTS, FEED)
    (result,) = run(folder, FEED, "result")
    np.testing.assert_allclose(result, plain("FusedDepthwiseConv2dNative", steps, **sliding), rtol=1e-5, atol=1e-5)


def test_prelu_by_itself_and_what_comes_after_it(tmp_path):
    """Its node has no attributes at all: the converter takes them away."""
    nodes = [node("bent", "Prelu", "image", "slope"), node("after", "Neg", "bent", T={"type": "DT_FLOAT"})]
    bent, after = run(write(tmp_path, nodes, WEIGHTS), {"image": IMAGE}, "bent", "after")
    np.testing.assert_array_equal(bent, prelu(IMAGE))
    np.testing.assert_array_equal(after, -prelu(IMAGE))


def test_a_node_that_waits_for_an_input(tmp_path):
    """Also an input that is an output, and one that nothing reads."""
    nodes = [node("negated", "Neg", "image", "^rows", T={"type": "DT_FLOAT"})]
    negated, image = run(write(tmp_path, nodes, inputs=FEED), FEED, "negated", "image")
    np.testing.assert_array_equal(negated, -IMAGE)
    np.testing.assert_array_equal(image, IMAGE)


@pytest.mark.parametrize(
    ("attributes", "producer"),
    [
        pytest.param({}, 1882, id="none"),
        pytest.param({"shape": {"shape": {}}}, 21, id="none, in old files"),
        pytest.param({"shape": {"shape": {"dim": [{"size": "-1"}, {"size": "8"}]}}}, 1882, id="its own"),
    ],
)
def test_the_shape_of_an_input(attributes, producer, tmp_path):
    bare = node("bare", "Placeholder", dtype={"type": "DT_FLOAT"}, **attributes)
    folder = write(tmp_path, [bare, node("negated", "Neg", "bare", T={"type": "DT_FLOAT"})], inputs=())
    document = json.loads((folder / "model.json").read_text())
    document["modelTopology"]["versions"]["producer"] = producer
    (folder / "model.json").write_text(json.dumps(document))
    (negated,) = run(folder, {"bare": ROWS}, "negated")
    np.testing.assert_array_equal(negated, -ROWS)


def test_constants_of_64_bits_are_stored_in_32(tmp_path):
    weights = {"which": np.array([3, 0], np.int64), "axis": np.array(3, np.int64)}
    attributes = {"Tparams": {"type": "DT_FLOAT"}, "Tindices": {"type": "DT_INT64"}, "Taxis": {"type": "DT_INT64"}}
    folder = write(tmp_path, [node("taken", "GatherV2", "image", "which", "axis", **attributes)], weights)
    (taken,) = run(folder, {"image": IMAGE}, "taken")
    np.testing.assert_array_equal(taken, IMAGE[..., [3, 0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda document: document["weightsManifest"][0]["weights"][0].update(name="elsewhere"),
            "the manifest has the weight 'elsewhere' and the graph does not; convert the model again",
            id="a weight without its node",
        ),
        pytest.param(
            lambda document: document.update(modelInitializer={"node": []}),
            "the model initializes lookup tables, which quantlab does not support; export it without them",
            id="lookup tables",
        ),
        pytest.param(
            lambda document: document.update(
                modelInitializer={"node": []}, signature={"inputs": {"kernel": {"name": "kernel:0", "resourceId": "7"}}}
            ),
            "the model computes weights in a modelInitializer when it is first called, and TensorFlow.js frees them if "
            "that is inside tf.tidy; store them in the main graph, as tfjs-uint8-per-channel does",
            id="captured inputs",
        ),
    ],
)
def test_a_graph_that_cannot_be_run(change, message, tmp_path):
    folder = write(tmp_path, [], WEIGHTS)
    document = json.loads((folder / "model.json").read_text())
    change(document)
    (folder / "model.json").write_text(json.dumps(document))
    with pytest.raises(TrialError) as refused:
        graph_def(folder)
    assert str(refused.value) == message


def quantized(scheme, dtype, random):
    """A weight as stored, and its manifest entry."""
    values = random.integers(0, 2**16, 500).astype({"none": dtype, "float16": "float16"}.get(scheme, scheme))
    entry = {"name": "weight", "shape": [20, 25], "dtype": dtype}
    if scheme in {"uint8", "uint16"}:
        entry["quantization"] = {
            "dtype": scheme,
            "scale": float(random.uniform(1e-4, 1)),
            "min": float(random.normal()),
        }
    if scheme == "float16":
        entry["quantization"] = {"dtype": "float16"}
    return values.reshape(20, 25), entry


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize(
    ("scheme", "dtype"),
    [
        ("none", "float32"),
        ("none", "int32"),
        ("none", "bool"),
        ("float16", "float32"),
        ("uint8", "float32"),
        ("uint16", "float32"),
        ("uint8", "int32"),
        ("uint16", "int32"),
    ],
    ids=lambda value: value,
)
def test_weights_are_decoded_as_the_official_reader_does(scheme, dtype, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDF_DISABLE_WELCOME_MESSAGE", "1")  # else tensorflowjs looks for a notebook
    from tensorflowjs import read_weights

    stored, entry = quantized(scheme, dtype, np.random.default_rng(5))
    manifest = [{"paths": ["weights.bin"], "weights": [entry]}]
    (tmp_path / "weights.bin").write_bytes(stored.tobytes())
    document = {"format": "graph-model", "modelTopology": {"node": []}, "weightsManifest": manifest}
    (tmp_path / "model.json").write_text(json.dumps(document))
    ((_, official),) = [group.values() for group in read_weights.read_weights(manifest, str(tmp_path), flatten=True)]
    ((read_entry, values),) = stored_weights(tmp_path)
    decoded = decode(read_entry, values)
    assert decoded.dtype == official.dtype == dtype
    np.testing.assert_array_equal(decoded, official)


PUBLISHED = {
    "emotion": ((64, 64, 1), {"Identity": (7,)}),
    "gear-e1": ((64, 64, 1), {"predictions": (7,)}),
    "antispoof": ((128, 128, 3), {"activation_4": (1,)}),
    "blazeface": (
        (256, 256, 3),
        {"Identity": (512, 1), "Identity_1": (384, 1), "Identity_2": (512, 16), "Identity_3": (384, 16)},
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models(name, data_folder, tmp_path):
    """Two of them store half floats, two keep their signature where old converters put it, one has a fixed batch."""
    folder = tmp_path / name
    folder.mkdir()
    shutil.copy(data_folder / "tfjs-graph-float16" / f"{name}.json", folder / "model.json")
    shutil.copy(data_folder / "tfjs-graph-float16" / f"{name}.bin", folder)
    shape, given = PUBLISHED[name]
    inputs = (TensorSpec("image", (None, *shape), "float32"),)
    outputs = tuple(TensorSpec(output, (None, *sizes), "float32") for output, sizes in given.items())
    variant = describe_given(name, folder, ModelDescription("", "Keras 3", "", inputs, outputs, None))
    samples = np.random.default_rng(0).uniform(size=(1, *shape)).astype(np.float32)
    file = TensorFile("image", "", 0, shape, "float32", variant.inputs[0].tensor, 0)
    asked = tuple(TensorFile(port.name, "", 0, (), "float32", port.tensor, port.position) for port in variant.outputs)
    results = load(Job("tfjs", str(folder), "", 1, 0, 1, (file,), asked, ExecutorOptions(), **executors("tfjs"))).call(
        [samples]
    )
    assert [result.shape for result in results] == [(1, *sizes) for sizes in given.values()]
    expected = evaluate_graph(folder, samples, [port.tensor for port in variant.outputs])
    for result, other in zip(results, expected, strict=True):
        assert np.isfinite(result).all()
        assert result.std() > 0 or result.size == 1
        np.testing.assert_allclose(result, other, rtol=1e-4, atol=1e-5)
