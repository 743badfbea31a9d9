"""`quantlab doctor --worker`: what a machine tells that runs shards, and what it lacks."""

import json

from command_line import quantlab_in_process

from quantlab.study import this_worker


def test_a_worker_tells_its_versions_and_runtimes(tmp_path):
    done = quantlab_in_process("doctor", "--worker", "--json", cwd=tmp_path)
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert done.status == 0, checks
    here = this_worker()
    assert checks["machine"]["detail"] == f"{here.host}, {here.system}, {here.cores} cores"
    assert {name: checks[name]["detail"] for name in here.versions} == dict(here.versions)
    assert (checks["node-wasm"]["works"], checks["node-wasm"]["optional"]) == (True, False)
    assert checks["chromium-webgl"]["optional"]


def test_a_worker_without_node_says_so(tmp_path):
    done = quantlab_in_process("doctor", "--worker", cwd=tmp_path, env={"QUANTLAB_NODE": "/nowhere"})
    assert done.status == 2
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("✗")]
    assert line.split(maxsplit=2)[1] == "node-wasm"
    assert "/nowhere" in line
    assert done.stdout.splitlines()[-1].endswith(" checks failed")
