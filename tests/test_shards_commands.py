"""Commands in a folder whose quantlab.toml names an engine: some run on it, and the others do not mind."""

import json
from pathlib import Path

import pytest
from command_line import quantlab_in_process
from onnx_models import write_classifiers

pytestmark = pytest.mark.starts_children

UNREACHABLE = 'engine = "dask"\naddress = "tcp://nowhere"\n'
"""It has no port, so it is refused at once; for 20 s another one would be asked."""

SEARCH = ("--settings", "onnx-float32,onnx-dynamic", "--runtimes", "python", "--max-accuracy-loss", "20pt")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with models, samples and a configuration of a cluster that nobody reaches."""
    write_classifiers(tmp_path, n=2000)
    (tmp_path / "quantlab.toml").write_text(
        f'[analyze]\nmodel = "a.onnx"\ndata = "data.npz"\nsettings = ["onnx-dynamic"]\nruntimes = ["python"]\n'
        f'{UNREACHABLE}[budget]\nmax_accuracy_loss = "20pt"\n'
    )
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["diagnose", "a.onnx", "--data", "data.npz"], id="diagnose"),
        pytest.param(
            ["sensitivity", "a.onnx", "--data", "data.npz", "--setting", "onnx-dynamic", "--limit", "50"],
            id="sensitivity",
        ),
        pytest.param(["tune", "a.onnx", "--data", "data.npz", "--no-layers", "--no-costs", *SEARCH], id="tune"),
    ],
)
def test_commands_that_use_no_workers_read_no_engine(command, here):
    done = quantlab_in_process(*command, cwd=here)
    assert done.status == 0, done


def test_check_runs_on_the_engine_of_the_configuration(here):
    refused = quantlab_in_process("check", "--no-layers", "--no-costs", cwd=here)
    assert refused.status == 2
    assert refused.last.startswith("quantlab: no Dask scheduler answers at 'tcp://nowhere'")
    config = here / "quantlab.toml"
    config.write_text(config.read_text().replace(UNREACHABLE, 'engine = "local"\nworkers = 1\nshards = 2\n'))
    done = quantlab_in_process("check", "--no-layers", "--no-costs", cwd=here)
    assert done.status == 0, done
    assert len(json.loads((here / "a.study" / "shards.json").read_text())["shards"]) == 2
    assert [path.name for path in (here / "artifacts").iterdir() if path.is_dir()] == ["onnx-dynamic"]
