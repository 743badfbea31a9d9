"""`quantlab check`: one command from a model to an artifact, which is written only if it fits."""

import json

import numpy as np
import pytest
from command_line import quantlab_in_process
from onnx_models import node, port, write

from quantlab.cli.analyze_table import read_analyze
from quantlab.errors import UsageError
from quantlab.study import ShardOptions, replace_artifact
from quantlab.types import Failure

N = 3000


@pytest.fixture
def model(tmp_path):
    """A linear classifier of two classes; the margins of its samples are wide, so quantization changes no answer."""
    random = np.random.default_rng(0)
    weight = np.stack([np.ones(16), -np.ones(16)], axis=1).astype(np.float32)
    nodes = [node("MatMul", ["x", "weight"], "logits"), node("Softmax", ["logits"], "y")]
    path = write(tmp_path / "model.onnx", nodes, ([port("x", ["n", 16])], [port("y", ["n", 2])]), {"weight": weight})
    labels = random.integers(0, 2, N)
    samples = (1 - 2 * labels)[:, None] + random.normal(0, 0.3, (N, 16))
    np.savez(tmp_path / "data.npz", x=samples.astype(np.float32), y=labels)
    return path


def config(folder, *, loss="0.5pt", **keys):
    keys = {"model": "model.onnx", "data": "data.npz", "settings": ["onnx-dynamic"], "runtimes": ["python"], **keys}
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    budget = f'[budget]\nmax_accuracy_loss = "{loss}"\nruntimes = "python"\n'
    (folder / "quantlab.toml").write_text("\n".join(["[analyze]", *lines, "", budget]))


def check(folder, *arguments):
    return quantlab_in_process("check", *arguments, "--no-layers", "--no-costs", cwd=folder)


def files_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.starts_children
@pytest.mark.usefixtures("model")
def test_everything_comes_from_the_configuration(tmp_path):
    config(tmp_path)
    done = check(tmp_path)
    assert done.status == 0, done.stderr
    assert "model  onnx-dynamic  FITS  loses at most 0.11 pt, allowed 0.50" in done.stdout
    assert "Ship onnx-dynamic: " in done.stderr
    assert done.stderr.endswith(
        "Report written to 'report.html'\nonnx-dynamic fits and is written to 'artifacts/onnx-dynamic'\n"
    )
    assert files_of(tmp_path / "artifacts") == ["checked.json", "onnx-dynamic/model.onnx"]
    page = (tmp_path / "report.html").read_text()
    assert "Ship onnx-dynamic" in page
    assert "<img" not in page


@pytest.mark.starts_children
@pytest.mark.usefixtures("model")
def test_nothing_is_written_that_does_not_fit(tmp_path):
    config(tmp_path, limit=100)
    done = check(tmp_path, "--junit", "check.xml")
    assert done.status == 3
    assert "No artifact is written to 'artifacts', because nothing fits.\n" in done.stderr
    assert not (tmp_path / "artifacts").exists()
    assert "Not decided yet: too few samples" in (tmp_path / "report.html").read_text()
    assert "<testsuites" in (tmp_path / "check.xml").read_text()
    config(tmp_path)
    assert check(tmp_path).status == 0
    again = check(tmp_path, "--max-accuracy-loss", "0.01pt")
    assert again.status == 3
    assert "because nothing fits; what is there is of an earlier check." in again.stderr
    assert files_of(tmp_path / "artifacts") == ["checked.json", "onnx-dynamic/model.onnx"]


@pytest.mark.starts_children
@pytest.mark.usefixtures("model")
def test_an_earlier_artifact_is_replaced_and_nothing_else(tmp_path):
    config(tmp_path)
    assert check(tmp_path).status == 0
    first = (tmp_path / "artifacts" / "onnx-dynamic" / "model.onnx").read_bytes()
    assert check(tmp_path).status == 0  # in its own place
    (tmp_path / "artifacts" / "onnx-dynamic" / "model.onnx").write_bytes(first + b"mine")
    refused = check(tmp_path)
    assert refused.status == 2
    assert (
        "'artifacts/onnx-dynamic' exists and is not what an earlier check wrote; remove it, or choose another --out"
    ) in refused.stderr
    assert (tmp_path / "artifacts" / "onnx-dynamic" / "model.onnx").read_bytes() == first + b"mine"


@pytest.mark.starts_children
@pytest.mark.usefixtures("model")
def test_the_last_good_artifact_stays_if_a_new_one_cannot_be_written(tmp_path):
    config(tmp_path)
    assert check(tmp_path).status == 0
    (damaged,) = (path for path in tmp_path.glob("*.study/variants/**/*.onnx") if "onnx-dynamic" in str(path))
    damaged.write_bytes(b"damaged")
    before = {name: (tmp_path / "artifacts" / name).read_bytes() for name in files_of(tmp_path / "artifacts")}
    (study,) = tmp_path.glob("*.study")
    made = replace_artifact(study, "onnx-dynamic", out=tmp_path / "artifacts")
    assert isinstance(made, Failure)
    assert "is damaged" in made.reason
    assert {name: (tmp_path / "artifacts" / name).read_bytes() for name in files_of(tmp_path / "artifacts")} == before


def test_another_file_in_place_of_the_report_is_refused_before_the_work(tmp_path):
    (tmp_path / "report.html").write_text("notes of mine")
    (tmp_path / "quantlab.toml").write_text(
        '[analyze]\nmodel = "m.onnx"\ndata = "m.npz"\n[budget]\nmax_accuracy_loss = "1pt"\n'
    )
    done = check(tmp_path)
    message = "quantlab: 'report.html' exists and is no report of quantlab; name another file with --html"
    assert (done.status, done.last) == (2, message)
    assert not list(tmp_path.glob("*.study"))


NAMED = '[analyze]\nmodel = "m.keras"\ndata = "m.npz"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "",
            "no model is named; give it as the first argument, or as 'model' in [analyze] of a quantlab.toml",
            id="no model",
        ),
        pytest.param(
            '[analyze]\nmodel = "m.keras"',
            "no data is named; give it with --data, or as 'data' in [analyze] of a quantlab.toml",
            id="no samples",
        ),
        pytest.param("[analyze]\nmodels = 1", "[analyze] has no key 'models'; did you mean 'model'?", id="no such key"),
        pytest.param(
            "[analyze]\nlimit = true",
            "limit is True and must be a whole number of at least 1; correct it in [analyze]",
            id="a number that is none",
        ),
        pytest.param(
            "[analyze]\nsettings = [1]",
            'settings is [1] and must be a list of names: ["…"]; correct it in [analyze]',
            id="names that are none",
        ),
        pytest.param(
            "[analyze]\nshards = 0",
            "shards is 0 and must be a whole number of at least 1; correct it in [analyze]",
            id="no shards",
        ),
        pytest.param(
            "[analyze]\nengine = 3",
            "engine is 3 and must be text in quotes; correct it in [analyze]",
            id="an engine that is a number",
        ),
        pytest.param(
            '[analyze]\nstore = "sums"',
            """store is 'sums' and must be "outputs" or "scores"; correct it in [analyze]""",
            id="an unknown thing to keep",
        ),
        pytest.param(
            f'{NAMED}engine = "dusk"',
            "there is no engine 'dusk'; did you mean 'dask'?",
            id="no such engine",
        ),
        pytest.param(
            f"{NAMED}shards = 3\nshard_size = 64",
            "--shards 3 and --shard-size 64 contradict each other; give one of them",
            id="two ways to cut",
        ),
        pytest.param(
            f'{NAMED}engine = "dask"\naddress = "tcp://other:8786"\nworkers = 2',
            "the workers of the cluster at 'tcp://other:8786' are started there, and --workers is 2; leave it out",
            id="workers of a cluster",
        ),
    ],
)
def test_a_configuration_that_cannot_be(text, message, tmp_path):
    (tmp_path / "quantlab.toml").write_text(text)
    with pytest.raises(UsageError) as refused:
        read_analyze(tmp_path / "quantlab.toml", {})
    assert str(refused.value) == message


def test_options_override_the_configuration(tmp_path):
    (tmp_path / "own.toml").write_text('[analyze]\nmodel = "a.onnx"\ndata = "a.npz"\nsettings = "x,y"\nlimit = 5\n')
    read = read_analyze(tmp_path / "own.toml", {"data": "b.npz", "limit": None, "runtimes": "python"})
    assert (str(read.model), read.data, read.study) == ("a.onnx", "b.npz", None)
    assert read.options == {"settings": ("x", "y"), "limit": 5, "runtimes": ("python",)}


@pytest.mark.parametrize(("given", "expected"), [(None, "scores"), ("outputs", "outputs")])
def test_scores_are_kept_as_the_configuration_says(given, expected, tmp_path):
    (tmp_path / "quantlab.toml").write_text(f"{NAMED}store = 'scores'\n")
    assert read_analyze(tmp_path / "quantlab.toml", {"store": given}).options == {"store": expected}


def test_an_option_that_says_something_unknown_to_keep(tmp_path):
    (tmp_path / "quantlab.toml").write_text(NAMED)
    with pytest.raises(UsageError, match=r"^there is no --store 'sums'; choose outputs or scores$"):
        read_analyze(tmp_path / "quantlab.toml", {"store": "sums"})


CLUSTER = 'engine = "dask"\naddress = "tcp://scheduler:8786"\nshard_size = 64\n'


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, ShardOptions(None, 64, "dask", "tcp://scheduler:8786", None), id="the file alone"),
        pytest.param(
            {"shards": 8}, ShardOptions(8, None, "dask", "tcp://scheduler:8786", None), id="another way to cut"
        ),
        pytest.param({"engine": "local"}, ShardOptions(None, 64, "local", None, None), id="no cluster"),
        pytest.param(
            {"engine": "dask"}, ShardOptions(None, 64, "dask", "tcp://scheduler:8786", None), id="the same engine"
        ),
        pytest.param({"workers": 2}, ShardOptions(None, 64, "dask", None, 2), id="workers of this machine"),
        pytest.param(
            {"engine": "ray", "address": "ray://head:10001"},
            ShardOptions(None, 64, "ray", "ray://head:10001", None),
            id="another cluster",
        ),
    ],
)
def test_options_override_the_engine_of_the_configuration(given, expected, tmp_path):
    (tmp_path / "quantlab.toml").write_text(f"{NAMED}{CLUSTER}")
    read = read_analyze(tmp_path / "quantlab.toml", {"engine": None, **given})
    assert read.options == {"sharding": expected}
