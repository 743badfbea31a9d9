"""tfjs models as users have them: without a signature, in JSON files of any name, with several shards and groups."""

import json

import numpy as np
import pytest
from tfjs_graphs import node, run, write

from quantlab.errors import ArtifactError
from quantlab.formats import FORMATS, artifact_sha256, describe_given
from quantlab.types import ModelDescription, Port, TensorSpec
from quantlab.types.executor_options import ExecutorOptions, ExternalFile

MODEL = ModelDescription(
    "model", "SavedModel", "", (TensorSpec("x", (None, 4), "float32"),), (TensorSpec("y", (None, 3), "float32"),), None
)
KERNEL = np.arange(12, dtype=np.float32).reshape(4, 3)
BIAS = np.float32([0.5, -1, 2])
SAMPLES = np.float32([[1, 0, 0, 2], [0, 3, -1, 0]])


def old_model(folder, json_name="model.json"):
    """A dense layer as converters before 2.0 wrote it: no signature, and shards in two groups."""
    nodes = [
        node("dense/MatMul", "MatMul", "x", "kernel", T={"type": "DT_FLOAT"}),
        node("dense/BiasAdd", "BiasAdd", "dense/MatMul", "bias", T={"type": "DT_FLOAT"}),
        node("ready", "NoOp", "^dense/BiasAdd"),
        node("dense", "Identity", "dense/BiasAdd", T={"type": "DT_FLOAT"}),
    ]
    write(folder, nodes, {"kernel": KERNEL, "bias": BIAS}, ("x",))
    (folder / "weights.bin").unlink()
    document = json.loads((folder / "model.json").read_text())
    shape = {"dim": [{"size": "-1"}, {"size": "4"}]}
    document["modelTopology"]["node"][2]["attr"]["shape"] = {"shape": shape}
    del document["format"]  # neither stated by the first converters
    kernel, bias = document["weightsManifest"][0]["weights"]
    shards = {"group1-shard1of2": KERNEL.tobytes()[:30], "group1-shard2of2": KERNEL.tobytes()[30:]}
    shards["group2-shard1of1"] = BIAS.tobytes()
    document["weightsManifest"] = [
        {"paths": ["group1-shard1of2", "group1-shard2of2"], "weights": [kernel]},
        {"paths": ["group2-shard1of1"], "weights": [bias]},
    ]
    for name, data in shards.items():
        (folder / name).write_bytes(data)
    (folder / "model.json").unlink()
    (folder / json_name).write_text(json.dumps(document))
    (folder / "README.md").write_text("A model.")
    (folder / "metadata.json").write_text("{}")
    return folder


def test_ports_without_a_signature(tmp_path):
    contents = FORMATS["tfjs"].inspect(old_model(tmp_path / "old"))
    assert contents.inputs == (Port("x", "x:0", 0, (None, 4), "float32"),)
    assert contents.outputs == (Port("dense", "dense:0", 0, (), "float32"),)
    assert contents.weights == {"float32": 60}


@pytest.mark.parametrize("json_name", ["model.json", "model-stride16.json"])
def test_the_folder_and_the_json_file_are_one_artifact(json_name, tmp_path):
    folder = old_model(tmp_path / "old", json_name)
    variants = [describe_given("mine", path, MODEL) for path in (folder, folder / json_name)]
    assert variants[0] == variants[1]
    assert [port.name for port in variants[0].outputs] == ["y"]
    served = [json_name, "group1-shard1of2", "group1-shard2of2", "group2-shard1of1"]
    assert variants[0].size_bytes == sum((folder / name).stat().st_size for name in served)
    hashes = {artifact_sha256(path) for path in (folder, folder / json_name, variants[0].path)}
    assert hashes == {variants[0].sha256}


def test_a_json_file_is_given_to_executors_with_its_shards(tmp_path):
    folder = old_model(tmp_path / "old", "model-stride16.json")
    names = ["model-stride16.json", "group1-shard1of2", "group1-shard2of2", "group2-shard1of1"]
    assert FORMATS["tfjs"].options(folder / names[0]) == ExecutorOptions(
        external_data=tuple(ExternalFile(name, str(folder / name)) for name in names)
    )
    assert FORMATS["tfjs"].options(old_model(tmp_path / "usual")) == ExecutorOptions()


@pytest.mark.parametrize("json_name", ["model.json", "model-stride16.json"])
@pytest.mark.starts_children
def test_python_runs_it(json_name, tmp_path):
    folder = old_model(tmp_path / "old", json_name)
    variant = describe_given("mine", folder, MODEL)
    (dense,) = run(variant.path, {"x": SAMPLES}, "dense")
    np.testing.assert_array_equal(dense, SAMPLES @ KERNEL + BIAS)


def test_several_models_in_a_folder(tmp_path):
    folder = old_model(tmp_path / "old", "one.json")
    (folder / "two.json").write_bytes((folder / "one.json").read_bytes())
    with pytest.raises(ArtifactError) as refused:
        describe_given("mine", folder, MODEL)
    assert str(refused.value) == (f"'{folder}' has 2 tfjs models (one.json, two.json); give the path of one of them")
    assert describe_given("mine", folder / "two.json", MODEL).format == "tfjs"


def test_a_json_file_that_is_no_model(tmp_path):
    folder = old_model(tmp_path / "old")
    with pytest.raises(ArtifactError, match=r"metadata\.json' has no weightsManifest, so it is not a tfjs model"):
        describe_given("mine", folder / "metadata.json", MODEL)


@pytest.mark.parametrize(
    ("sizes", "note"),
    [
        pytest.param([30, 18, 12], (), id="three, each shorter"),
        pytest.param([20, 20, 20], (), id="of one size"),
        pytest.param([60], (), id="one"),
        pytest.param([30, 10, 20], (), id="of three sizes"),
        pytest.param(
            [20, 40],
            ("tfjs reads zeros from the last shard, because it is the longest (40 bytes against 20)",),
            id="a longer last one",
        ),
    ],
)
def test_shards_that_tfjs_misreads_are_noted(sizes, note, tmp_path):
    folder = old_model(tmp_path / "old")
    document = json.loads((folder / "model.json").read_text())
    weights = [weight for group in document["weightsManifest"] for weight in group["weights"]]
    data = KERNEL.tobytes() + BIAS.tobytes()
    paths = [f"shard{number}" for number in range(len(sizes))]
    for place, path in enumerate(paths):
        (folder / path).write_bytes(data[sum(sizes[:place]) : sum(sizes[: place + 1])])
    document["weightsManifest"] = [{"paths": paths, "weights": weights}]
    (folder / "model.json").write_text(json.dumps(document))
    assert FORMATS["tfjs"].inspect(folder).notes == tuple(f"{text}; convert the model again" for text in note)
