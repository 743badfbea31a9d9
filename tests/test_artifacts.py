"""Artifacts: what is read from their bytes, how their ports match the model, and what is refused.

The files are written by hand, so that every byte is known; contract tests cover the files of converters.
"""

import gzip
import json
import shutil
import struct
from pathlib import Path

import brotli
import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper
from saved_model_bytes import write_saved_model

from quantlab.errors import ArtifactError
from quantlab.formats import FORMATS, describe_given, describe_variant, download_size_of
from quantlab.formats.tfjs_manifest import stored_weights
from quantlab.types import DownloadSize, ModelDescription, Port, TensorSpec


def model(inputs, outputs):
    return ModelDescription("model.keras", "Keras 3", "", tuple(inputs), tuple(outputs), None)


def spec(name, *shape):
    return TensorSpec(name, (None, *shape), "float32")


MODEL = model([spec("image", 4)], [spec("scores", 3)])
KERNEL = np.arange(12, dtype=np.float32).reshape(4, 3)


def signature_entry(tensor, *shape, dtype="DT_FLOAT"):
    return {"name": tensor, "dtype": dtype, "tensorShape": {"dim": [{"size": str(size)} for size in (-1, *shape)]}}


IMAGE = {"image": signature_entry("image:0", 4)}
SCORES = {"scores": signature_entry("Identity:0", 3)}


def write_tfjs(folder, weights=(("kernel", KERNEL),), *, inputs=IMAGE, outputs=SCORES, shards=1):
    """A graph-model of one placeholder and constants: weights are (name, values as stored, its quantization…)."""
    folder.mkdir(parents=True)
    data = b"".join(values.tobytes() for _, values, *_ in weights)
    size = -(-len(data) // shards)
    paths = [f"group1-shard{number + 1}of{shards}.bin" for number in range(shards)]
    for number, path in enumerate(paths):
        (folder / path).write_bytes(data[number * size : (number + 1) * size])
    entries = [
        {
            "name": name,
            "shape": list(values.shape),
            "dtype": quantized[0]["original_dtype"] if quantized else values.dtype.name,
        }
        | ({"quantization": {"dtype": values.dtype.name, **quantized[0]}} if quantized else {})
        for name, values, *quantized in weights
    ]
    nodes = [{"name": "image", "op": "Placeholder"}, *({"name": name, "op": "Const"} for name, *_ in weights)]
    document = {
        "format": "graph-model",
        "signature": {"inputs": inputs, "outputs": outputs},
        "modelTopology": {"node": nodes},
        "weightsManifest": [{"paths": paths, "weights": entries}],
    }
    (folder / "model.json").write_text(json.dumps(document))
    return folder


DENSE_LAYER = {"class_name": "Dense", "config": {"name": "scores", "units": 3}}


FOREIGN = {
    "class_name": "Dense",
    "config": {
        "name": "scores",
        "activation": {"class_name": "function", "module": "subprocess", "config": "getoutput"},
    },
}


def keras_input(name, *shape, **more):
    return {"class_name": "InputLayer", "config": {"name": name, "batch_input_shape": [None, *shape], **more}}


def write_layers(
    folder, weights=(("kernel", KERNEL),), *, inputs=("image",), outputs=("scores",), layers=(DENSE_LAYER,)
):
    """A layers-model of inputs of four and of layers that are not connected."""
    write_tfjs(folder, weights)
    document = json.loads((folder / "model.json").read_text())
    config = {
        "layers": [*(keras_input(name, 4) for name in inputs), *layers],
        "input_layers": [[name, 0, 0] for name in inputs],
        "output_layers": [[name, 0, 0] for name in outputs],
    }
    topology = {"keras_version": "2.19.0", "model_config": {"class_name": "Functional", "config": config}}
    document |= {"format": "layers-model", "modelTopology": topology}
    (folder / "model.json").write_text(json.dumps(document))
    return folder


def write_tflite(
    path, weights=(("kernel", KERNEL),), *, inputs=(("image", (1, 4)),), outputs=(("scores", (1, 3)),), names=()
):
    """A TFLite file of ports and constants without any operator; `names` are what its signature calls the ports."""
    types = {name.lower(): number for name, number in vars(schema.TensorType).items() if not name.startswith("_")}
    file = schema.ModelT(version=3, buffers=[schema.BufferT()], signatureDefs=None)
    graph = schema.SubGraphT(tensors=[], inputs=[], outputs=[])
    for name, values in weights:
        file.buffers.append(schema.BufferT(data=np.frombuffer(values.tobytes(), np.uint8)))
        graph.tensors.append(
            schema.TensorT(
                name=name, shape=list(values.shape), type=types[values.dtype.name], buffer=len(file.buffers) - 1
            )
        )
    for ports, indices in ((inputs, graph.inputs), (outputs, graph.outputs)):
        for name, shape in ports:
            indices.append(len(graph.tensors))
            graph.tensors.append(schema.TensorT(name=name, shape=list(shape), type=types["float32"], buffer=0))
    if names:
        maps = [
            [schema.TensorMapT(name=name, tensorIndex=indices[place]) for name, place in part.items()]
            for part, indices in zip(names, (graph.inputs, graph.outputs), strict=True)
        ]
        file.signatureDefs = [schema.SignatureDefT(inputs=maps[0], outputs=maps[1], signatureKey="serving_default")]
    file.subgraphs = [graph]
    builder = flatbuffers.Builder(0)
    builder.Finish(file.Pack(builder), b"TFL3")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(builder.Output())
    return path


def write_onnx(path, weights=(("kernel", KERNEL),), *, inputs=(("image", 4),), outputs=(("scores", 3),)):
    """An ONNX file of ports and constants without any op."""
    ports = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]) for name, size in part]
        for part in (inputs, outputs)
    ]
    tensors = [numpy_helper.from_array(values, name) for name, values in weights]
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(helper.make_graph([], "graph", *ports, tensors)), path)
    return path


def write_served(folder, weights=(("kernel", KERNEL),), *, outputs=(("scores", "StatefulPartitionedCall:0"),)):
    """A SavedModel of an input of four and of outputs of three."""
    return write_saved_model(
        folder,
        weights,
        inputs={"image": ("serving_default_image:0", (4,))},
        outputs={name: (tensor, (3,)) for name, tensor in outputs},
    )


WRITERS = {
    "tfjs": write_tfjs,
    "tfjs-layers": write_layers,
    "tflite": lambda folder, *weights, **ports: write_tflite(folder / "m.tflite", *weights, **ports),
    "onnx": lambda folder, *weights, **ports: write_onnx(folder / "m.onnx", *weights, **ports),
    "savedmodel": write_served,
}


def served_files(path):
    """The files of an artifact, sorted."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


@pytest.mark.parametrize("format_name", FORMATS)
def test_sizes_are_those_of_the_files_that_are_served(format_name, tmp_path):
    weights = [("kernel", np.zeros((40, 30), np.float32)), ("codes", np.arange(500, dtype=np.int32))]
    path = WRITERS[format_name](tmp_path / "served", weights)
    variant = describe_variant("mine", FORMATS[format_name], path, MODEL)
    files = served_files(path)
    assert variant.size_bytes == sum(len(file.read_bytes()) for file in files)
    assert variant.gzip_bytes == sum(len(gzip.compress(file.read_bytes(), 9, mtime=0)) for file in files)
    assert variant.weights == {"float32": 4800, "int32": 2000}
    assert (variant.path, variant.convert_seconds, variant.given, variant.notes) == (path, None, False, ())


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize(
    ("elements", "repeats", "quality"),
    [
        pytest.param(10_000, 1, 11, id="small"),
        pytest.param(42_000, 100, 9, id="more than 16 MB"),  # the same over and over, which is faster to compress
    ],
)
def test_brotli_is_of_each_file_by_itself(format_name, elements, repeats, quality, tmp_path):
    values = np.tile(np.random.default_rng(0).normal(size=elements).astype(np.float32), repeats)
    path = WRITERS[format_name](tmp_path / "served", [("kernel", values)])
    files = served_files(path)
    expected = sum(len(brotli.compress(file.read_bytes(), quality=quality)) for file in files)
    size = download_size_of(describe_variant("mine", FORMATS[format_name], path, MODEL), FORMATS[format_name])
    assert size == DownloadSize(brotli_bytes=expected, minimum_runtime=None)


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_hash_is_of_every_byte_that_is_served(format_name, tmp_path):
    def digest(name, weights):
        return describe_variant(
            "mine", FORMATS[format_name], WRITERS[format_name](tmp_path / name, weights), MODEL
        ).sha256

    same = [digest(name, [("kernel", KERNEL)]) for name in ("here", "there")]
    other = digest("other", [("kernel", np.nextafter(KERNEL, 99))])
    assert (same[0] == same[1], same[0] == other) == (True, False)


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize(
    ("weights", "notes"),
    [
        pytest.param([("kernel", KERNEL)], (), id="finite"),
        pytest.param(
            [("kernel", KERNEL), ("bias", np.float32([np.nan, 1, -np.inf]))],
            ("weight 'bias' holds 2 values that are not finite in float32",),
            id="NaN and infinity",
        ),
        pytest.param(
            [("big", np.float16([np.inf, 1])), ("codes", np.int32([2**31 - 1]))],
            ("weight 'big' holds 1 value that is not finite in float16",),
            id="an infinite half float",
        ),
    ],
)
def test_weights_that_are_not_finite_are_named(format_name, weights, notes, tmp_path):
    if format_name.startswith("tfjs"):
        weights = [
            (name, values, {"original_dtype": "float32"}) if values.dtype == np.float16 else (name, values)
            for name, values in weights
        ]
    path = WRITERS[format_name](tmp_path / "served", weights)
    assert describe_variant("mine", FORMATS[format_name], path, MODEL).notes == notes


def codes(dtype, count):
    return np.ones(count, dtype)


@pytest.mark.parametrize(
    ("name", "file", "held", "notes"),
    [
        pytest.param("mine", "model.tflite", {"float32": 900}, (), id="no claim"),
        pytest.param("mine", "ad01_fp32.tflite", {"float32": 900}, (), id="fp32 that is float32"),
        pytest.param(
            "mine",
            "m_float32.tflite",
            {"int8": 900, "int32": 80},
            ("named float32, holds int8 weights",),
            id="float32 that is int8",
        ),
        pytest.param(
            "mine", "vww_float.tflite", {"int8": 900}, ("named float32, holds int8 weights",), id="float that is int8"
        ),
        pytest.param(
            "f32", "m.tflite", {"float16": 900}, ("named float32, holds float16 weights",), id="a row's name claims too"
        ),
        pytest.param("mine", "m_f16.tflite", {"float16": 450, "float32": 8}, (), id="float16 with a few floats"),
        pytest.param(
            "mine",
            "m_fp16.tflite",
            {"float32": 900},
            ("named float16, holds float32 weights",),
            id="float16 that is float32",
        ),
        pytest.param("mine", "m_int8.tflite", {"int8": 900, "int32": 80}, (), id="int8 with biases"),
        pytest.param(
            "mine",
            "resnet_quant.tflite",
            {"float32": 900},
            ("named int8, holds float32 weights",),
            id="quant that is not",
        ),
        pytest.param("mine", "m_quant.tflite", {"int8": 900}, (), id="quant that is"),
        pytest.param(
            "mine", "m_uint8.tflite", {"int8": 900}, ("named uint8, holds int8 weights",), id="uint8 that is int8"
        ),
        pytest.param(
            "mine",
            "m_float32.tflite",
            {"float32": 900, "int8": 90},
            ("named float32, holds int8 weights",),
            id="partly int8",
        ),
        pytest.param("mine", "m_float32.tflite", {"float32": 900, "int8": 9}, (), id="a few codes are no claim's end"),
        pytest.param("mine", "m_float32.tflite", {"int32": 88}, (), id="shapes alone"),
        pytest.param("half2f32", "halff16x.tflite", {"float32": 900}, (), id="letters around are no claim"),
    ],
)
def test_what_a_name_claims(name, file, held, notes, tmp_path):
    weights = [(dtype, codes(dtype, size // np.dtype(dtype).itemsize)) for dtype, size in held.items()]
    path = write_tflite(tmp_path / file, weights)
    variant = describe_given(name, path, MODEL)
    assert (variant.notes, variant.weights, variant.given, variant.format) == (notes, held, True, "tflite")


@pytest.mark.parametrize(
    ("file", "notes"),
    [
        pytest.param("kws_ref_model_float32.tflite", ("named float32, holds int8 weights",), id="float32 that is int8"),
        pytest.param("kws_ref_model.tflite", (), id="no claim"),
    ],
)
def test_the_published_keyword_files(file, notes, data_folder):
    description = model([spec("input_1", 49, 10, 1)], [spec("Identity", 12)])
    assert describe_given("mine", data_folder / "mlperf-tiny" / file, description).notes == notes


@pytest.mark.parametrize(
    ("file", "notes"),
    [
        pytest.param("ad01_fp32.tflite", (), id="fp32"),
        pytest.param("ad01_int8.tflite", (), id="int8"),
    ],
)
def test_the_published_autoencoders(file, notes, data_folder):
    description = model([spec("input_1", 640)], [spec("dense_9", 640)])
    assert describe_given("mine", data_folder / "mlperf-tiny" / file, description).notes == notes


THREE = model([spec("image", 4)], [spec("height", 3), spec("scores", 3), spec("width", 3)])


@pytest.mark.parametrize("format_name", FORMATS)
def test_ports_are_matched_by_name_whatever_their_order(format_name, tmp_path):
    if format_name == "tfjs":
        outputs = {name: signature_entry(f"{name}_node:0", 3) for name in ("width", "height", "scores")}
        path = write_tfjs(tmp_path / "served", outputs=outputs)
    elif format_name == "savedmodel":
        outputs = [(name, f"{name}_node:0") for name in ("width", "height", "scores")]
        path = write_served(tmp_path / "served", outputs=outputs)
    elif format_name in {"tfjs-layers", "onnx"}:
        pytest.skip("the outputs of a layers-model and of an ONNX file have no names but the model's")
    else:
        outputs = [(f"{name}_node", (1, 3)) for name in ("width", "height", "scores")]
        path = write_tflite(
            tmp_path / "m.tflite", outputs=outputs, names=({"image": 0}, {"width": 0, "height": 1, "scores": 2})
        )
    ports = describe_variant("mine", FORMATS[format_name], path, THREE).outputs
    # The ports of a SavedModel are a map, which has no order of its own.
    places = (0, 1, 2) if format_name == "savedmodel" else (1, 2, 0)
    assert [(port.name, port.tensor.removesuffix(":0"), port.position) for port in ports] == [
        ("height", "height_node", places[0]),
        ("scores", "scores_node", places[1]),
        ("width", "width_node", places[2]),
    ]


@pytest.mark.parametrize("format_name", FORMATS)
def test_ports_without_names_are_matched_in_order(format_name, tmp_path):
    """The converters of tfjs keep no name that two outputs of one shape could have, and number them by their names."""
    if format_name == "tfjs":
        outputs = {f"Identity{number}:0": signature_entry(f"Identity{number}:0", 3) for number in ("_2", "", "_1")}
        path = write_tfjs(tmp_path / "served", outputs=outputs)
    elif format_name == "tfjs-layers":
        pytest.skip("a layers-model's outputs always have names")
    elif format_name == "savedmodel":
        outputs = [(f"out{number}", f"Identity{number}:0") for number in ("_2", "", "_1")]
        path = write_served(tmp_path / "served", outputs=outputs)
    elif format_name == "onnx":
        path = write_onnx(tmp_path / "m.onnx", outputs=[(f"Identity{number}", 3) for number in ("", "_1", "_2")])
    else:
        outputs = [(f"Identity{number}", (1, 3)) for number in ("", "_1", "_2")]
        path = write_tflite(tmp_path / "m.tflite", outputs=outputs)
    ports = describe_variant("mine", FORMATS[format_name], path, THREE).outputs
    assert [(port.name, port.tensor.removesuffix(":0"), port.position) for port in ports] == [
        ("height", "Identity", 0),
        ("scores", "Identity_1", 1),
        ("width", "Identity_2", 2),
    ]


def test_ports_without_names_are_matched_by_the_numbers_of_results(tmp_path):
    """Converters may list them in another order than that of the numbers, which is the order of the names."""
    outputs = [(f"StatefulPartitionedCall:{number}", 3) for number in (2, 0, 1)]
    path = write_onnx(tmp_path / "m.onnx", outputs=outputs)
    ports = describe_variant("mine", FORMATS["onnx"], path, THREE).outputs
    assert [(port.name, port.tensor, port.position) for port in ports] == [
        ("height", "StatefulPartitionedCall:0", 1),
        ("scores", "StatefulPartitionedCall:1", 2),
        ("width", "StatefulPartitionedCall:2", 0),
    ]


def test_an_input_that_no_output_depends_on_is_left_out(tmp_path):
    description = model([spec("image", 4), spec("unused", 7)], [spec("scores", 3)])
    ports = describe_variant("mine", FORMATS["tfjs"], write_tfjs(tmp_path / "served"), description).inputs
    assert ports == (Port("image", "image:0", 0, (None, 4), "float32"),)


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize(
    ("description", "message"),
    [
        pytest.param(
            model([spec("image", 4)], [spec("scores", 5)]),
            "the output 'scores' of '{path}' has the shape ({batch}, 3), but the model's has (None, 5); ",
            id="an output of another size",
        ),
        pytest.param(
            model([spec("image", 2, 2)], [spec("scores", 3)]),
            "the input 'image' of '{path}' has the shape ({batch}, 4), but the model's has (None, 2, 2); ",
            id="an input of another rank",
        ),
        pytest.param(
            model([spec("image", 4)], [spec("scores", 3), spec("other", 3)]),
            "'{path}' has the outputs 'scores' ({batch}, 3), but the model has 'scores' (None, 3), 'other' (None, 3); ",
            id="fewer outputs",
        ),
        pytest.param(
            model([spec("left", 4), spec("right", 4)], [spec("scores", 3)]),
            "'{path}' has the inputs 'image' ({batch}, 4), but the model has 'left' (None, 4), 'right' (None, 4); ",
            id="fewer inputs, of other names",
        ),
    ],
)
def test_an_artifact_of_another_model_is_refused(format_name, description, message, tmp_path):
    if format_name == "tfjs-layers" and "output" in message:
        pytest.skip("a layers-model does not tell the shapes of its outputs; the runtime does")
    path = WRITERS[format_name](tmp_path / "served")
    with pytest.raises(ArtifactError) as refused:
        describe_variant("mine", FORMATS[format_name], path, description)
    batch = {"tfjs": None, "tfjs-layers": None, "tflite": 1, "onnx": None, "savedmodel": None}[format_name]
    end = "give an artifact that was made from this model"
    assert str(refused.value) == message.format(path=path, batch=batch) + end


def cut_shard(folder):
    shard = folder / "group1-shard2of2.bin"
    shard.write_bytes(shard.read_bytes()[:-1])


def lengthen_shard(folder):
    shard = folder / "group1-shard1of2.bin"
    shard.write_bytes(shard.read_bytes() + b"\0")


def edit(change):
    def apply(folder):
        document = json.loads((folder / "model.json").read_text())
        change(document)
        (folder / "model.json").write_text(json.dumps(document))

    return apply


def name_shard(path):
    return edit(lambda document: document["weightsManifest"][0]["paths"].__setitem__(1, path))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(
            cut_shard,
            "the shards of '{path}' have 47 bytes, but the weight 'kernel' ends at byte 48; a shard "
            "is truncated, so copy or convert the model again",
            id="a shard cut short",
        ),
        pytest.param(
            lengthen_shard,
            "the shards of '{path}' have 49 bytes, but the manifest describes 48; they belong to "
            "another JSON file, so copy or convert the model again",
            id="a shard too long",
        ),
        pytest.param(
            lambda folder: (folder / "group1-shard2of2.bin").unlink(),
            "the shard 'group1-shard2of2.bin' is missing in '{path}'; copy it there or convert the model again",
            id="a shard missing",
        ),
        pytest.param(
            name_shard("../outside.bin"),
            "the shard path '../outside.bin' of '{path}' points outside the folder; do not trust this model",
            id="a shard path that climbs",
        ),
        pytest.param(
            name_shard("/etc/passwd"),
            "the shard path '/etc/passwd' of '{path}' points outside the folder; do not trust this model",
            id="a shard path from the root",
        ),
        pytest.param(
            lambda folder: (
                (folder / "group1-shard2of2.bin").unlink(),
                (folder / "group1-shard2of2.bin").symlink_to("/etc/passwd"),
            ),
            "the shard path 'group1-shard2of2.bin' of '{path}' points outside the folder; do not trust this model",
            id="a shard that is a link to elsewhere",
        ),
        pytest.param(
            edit(lambda document: document.pop("weightsManifest")),
            "'{path}/model.json' has no weightsManifest, so it is not a tfjs model; convert the model again",
            id="another JSON",
        ),
        pytest.param(
            lambda folder: (folder / "model.json").write_text('{"format": "graph'),
            "'{path}/model.json' could not be read as JSON "
            "(Unterminated string starting at: line 1 column 12 (char 11)); "
            "convert the model again",
            id="a model.json cut short",
        ),
    ],
)
@pytest.mark.parametrize("format_name", ["tfjs", "tfjs-layers"])
def test_a_tfjs_folder_that_is_not_whole(format_name, spoil, message, tmp_path):
    path = write_tfjs(tmp_path / "served", shards=2)
    if format_name == "tfjs-layers":
        shards = json.loads((path / "model.json").read_text())["weightsManifest"]
        edit(lambda document: document.update(weightsManifest=shards))(write_layers(tmp_path / "layers"))
        (path / "model.json").write_bytes((tmp_path / "layers" / "model.json").read_bytes())
    (tmp_path / "outside.bin").write_bytes(bytes(24))
    spoil(path)
    with pytest.raises(ArtifactError) as refused:
        describe_given("mine", path, MODEL)
    assert str(refused.value) == message.format(path=path)


def test_a_format_is_told_by_the_topology(tmp_path):
    assert describe_given("mine", write_tfjs(tmp_path / "graph"), MODEL).format == "tfjs"
    assert describe_given("mine", write_layers(tmp_path / "layers"), MODEL).format == "tfjs-layers"


@pytest.mark.parametrize(
    ("format_name", "write", "message"),
    [
        pytest.param(
            "tfjs",
            write_layers,
            "is a layers-model, and a graph-model is needed; convert with --output_format=tfjs_graph_model",
            id="layers for a graph",
        ),
        pytest.param(
            "tfjs-layers",
            write_tfjs,
            "is a graph-model, and a layers-model is needed; convert with --output_format=tfjs_layers_model",
            id="a graph for layers",
        ),
        pytest.param(
            "tfjs-layers",
            lambda path: write_layers(path, layers=[{"class_name": "Lambda", "config": {"name": "evil"}}]),
            "has the layer 'evil' (Lambda), which tfjs layers-models do not support; use a graph-model instead, "
            "that is, the settings tfjs-*",
            id="code that would run",
        ),
        pytest.param(
            "tfjs-layers",
            lambda path: write_layers(path, layers=[FOREIGN]),
            "names the module 'subprocess', which is not Keras; do not trust this model",
            id="a module that would be imported",
        ),
        pytest.param(
            "tfjs-layers",
            lambda path: edit(lambda document: document["modelTopology"].pop("model_config"))(write_layers(path)),
            "contains weights but no layers; convert the whole model, not only its weights",
            id="weights alone",
        ),
        pytest.param(
            "tfjs-layers",
            lambda path: write_layers(path, inputs=(), outputs=()),
            None,
            id="no ports at all",
        ),
    ],
)
def test_a_layers_model_that_is_none(format_name, write, message, tmp_path):
    write(tmp_path / "served")
    with pytest.raises(ArtifactError) as refused:
        describe_variant("mine", FORMATS[format_name], tmp_path / "served", MODEL)
    if message is not None:
        assert str(refused.value) == f"'{tmp_path / 'served' / 'model.json'}' {message}"


def test_the_ports_of_the_published_layers_model(data_folder):
    path = (data_folder / "tfjs-layers-translator").resolve()
    contents = FORMATS["tfjs-layers"].inspect(path)
    assert [(port.name, port.shape) for port in contents.inputs] == [
        ("input_1", (None, None, 81)),
        ("input_2", (None, None, 108)),
    ]
    assert [port.name for port in contents.outputs] == ["dense_1"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param(
            "m.tflite",
            lambda whole: whole[: len(whole) // 2],
            "'{path}' is not a complete TFLite file; if it was truncated, copy it again",
            id="half a file",
        ),
        pytest.param(
            "m.tflite",
            lambda whole: whole[:6],
            "'{path}' does not start like a TFLite file; give a .tflite file",
            id="six bytes",
        ),
        pytest.param(
            "m.tflite",
            lambda whole: whole[:8],
            "'{path}' is not a complete TFLite file; if it was truncated, copy it again",
            id="eight bytes",
        ),
        pytest.param(
            "m.tflite",
            lambda whole: b"PK\3\4" + whole[4:4] + b"keras",
            "'{path}' does not start like a TFLite file; give a .tflite file",
            id="something else by that name",
        ),
        pytest.param(
            "m.mlmodel",
            lambda _whole: b"\x08\x07\x12\x04onnx",
            "'{path}' has no format that --variant accepts; give the folder or the model.json of a "
            "graph-model, the folder or the model.json of a layers-model, a .tflite file, an .onnx file or "
            "the folder of a SavedModel",
            id="something else",
        ),
        pytest.param(
            "m.tflite",
            None,
            "there is no artifact at '{path}', which was given as --variant mine={path}",
            id="nothing",
        ),
    ],
)
def test_a_file_that_is_not_whole(name, content, message, tmp_path):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content(write_tflite(tmp_path / "whole.tflite").read_bytes()))
    with pytest.raises(ArtifactError) as refused:
        describe_given("mine", path, MODEL)
    assert str(refused.value) == message.format(path=path)


@pytest.mark.parametrize("file", ["kws_ref_model.tflite", "ad01_int8.tflite"])
def test_a_published_file_cut_anywhere_is_refused(file, data_folder, tmp_path):
    whole = (data_folder / "mlperf-tiny" / file).read_bytes()
    for end in range(8, len(whole), len(whole) // 20):
        (tmp_path / "cut.tflite").write_bytes(whole[:end])
        with pytest.raises(ArtifactError, match="is not a complete TFLite file"):
            describe_given("mine", tmp_path / "cut.tflite", MODEL)


def test_a_tflite_file_is_known_by_its_bytes(tmp_path):
    path = Path(shutil.move(write_tflite(tmp_path / "m.tflite"), tmp_path / "model.bin"))
    assert describe_given("mine", path, MODEL).format == "tflite"


def test_strings_among_the_weights(tmp_path):
    """tfjs stores each with its length before it; what follows must still be found."""
    folder = write_tfjs(tmp_path / "served", [("kernel", KERNEL)])
    words = b"".join(struct.pack("<I", len(word)) + word for word in (b"one", b"", b"three"))
    shard = folder / "group1-shard1of1.bin"
    shard.write_bytes(words + shard.read_bytes())
    edit(
        lambda document: document["weightsManifest"][0]["weights"].insert(
            0, {"name": "words", "shape": [3], "dtype": "string"}
        )
    )(folder)
    (_, strings), (entry, values) = stored_weights(folder)
    assert (strings.tolist(), entry["name"]) == ([b"one", b"", b"three"], "kernel")
    np.testing.assert_array_equal(values, KERNEL)
