"""Dockerfile, compose.yaml, the guide and the lock file agree; `python -m tests.container` builds and runs them."""

import os
import re
import subprocess
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.clean_root import Root
from tests.compose_services import resolved
from tests.container import ignored_but
from tests.dockerfile import Copy, Stage, Step, stages
from tests.version_ends import ROOT, project

STAGES = stages((ROOT / "Dockerfile").read_text(encoding="utf-8"))
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
GUIDE = (ROOT / "docs" / "guides" / "containers.md").read_text(encoding="utf-8")
EXTRAS = project()["project"]["optional-dependencies"]


def in_git() -> set[str]:
    """Files of the last commit and their folders."""
    command = ["git", "ls-files"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return {*listed, *(name.partition("/")[0] for name in listed)}


def named_extras() -> list[str]:
    asked = [text.partition("=")[2] for stage in STAGES for text in stage.texts("ARG") if text.startswith("EXTRAS=")]
    asked += [resolved(SERVICES[name]["build"]["args"]["EXTRAS"]) for name in ("scheduler", "worker", "quantlab")]
    asked += re.findall(r"EXTRAS=([\w,-]+)", GUIDE)
    return [extra for text in asked for extra in text.split(",")]


def test_what_is_copied_is_in_git_and_not_left_out():
    taken, known = ignored_but((ROOT / ".dockerignore").read_text(encoding="utf-8")), in_git()
    assert set(taken) <= known
    copied = [name for stage in STAGES for copy in stage.copies if copy.stage is None for name in copy.sources]
    assert copied
    assert set(copied) - {"."} <= set(taken)
    assert not {"tests", "docs", ".venv", "node_modules"} & set(taken)


def test_what_is_installed_is_in_the_lock_file():
    assert set(named_extras()) <= set(EXTRAS)
    locked = {line.partition("==")[0].lower() for line in (ROOT / "requirements.lock").read_text().splitlines()}
    asked = [text for extra in (*named_extras(), "s3-server") for text in EXTRAS[extra]]
    assert {re.split(r"[\[<>=~]", text)[0].lower() for text in asked} <= locked


def test_images_are_python_and_our_own():
    (image,) = {stage.image for stage in STAGES}
    assert re.fullmatch(r"python:3\.11-slim-bookworm", image)
    built = {"": STAGES[-1], **{stage.name: stage for stage in STAGES}}
    for name, service in SERVICES.items():
        assert built[service["build"].get("target", "")].command, name
    assert {service["image"] for service in SERVICES.values()} == {"quantlab-cluster", "quantlab-s3-server"}
    assert {copy.stage for stage in STAGES for copy in stage.copies} <= {None, *built}


def test_commands_are_there():
    scripts = {script.name for script in entry_points(group="console_scripts")} | set(project()["project"]["scripts"])
    own = {name: service for name, service in SERVICES.items() if "target" not in service["build"]}
    for name, service in own.items():
        program, *words = [*service.get("entrypoint", STAGES[-1].command), *service["command"]]
        assert program in scripts, name
        if program == "dask":
            (command,) = [one for one in entry_points(group="dask_cli") if one.name == words[0]]
            known = {option for one in command.load().params for option in (*one.opts, *one.secondary_opts)}
            assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, name
    assert set(own) == {"scheduler", "worker", "quantlab"}


def flag(words: list[str], name: str) -> str:
    """The value of an option, as a word of its own or behind `=`."""
    texts = " ".join(words).replace("=", " ").split()
    return texts[texts.index(name) + 1].lstrip(":")


def test_ports_are_those_of_the_guide_and_of_the_checks():
    scheduler, worker = SERVICES["scheduler"]["command"], SERVICES["worker"]["command"]
    (server,) = [stage for stage in STAGES if stage.name == SERVICES["store"]["build"]["target"]]
    address, store = f"tcp://scheduler:{flag(scheduler, '--port')}", f"http://store:{flag([*server.command], '--port')}"
    assert address in worker
    assert f"--address {address}" in GUIDE
    assert {SERVICES[name]["environment"]["AWS_ENDPOINT_URL"] for name in ("worker", "quantlab")} == {store}
    assert f"AWS_ENDPOINT_URL={store}" in GUIDE
    for name, words, option in (
        ("scheduler", scheduler, "--dashboard-address"),
        ("worker", worker, "--dashboard-address"),
        ("store", [*server.command], "--port"),
    ):
        assert f"http://127.0.0.1:{flag(words, option)}/" in SERVICES[name]["healthcheck"]["test"][-1], name
        compile(SERVICES[name]["healthcheck"]["test"][-1], name, "exec")


def test_a_worker_is_one_thread_behind_a_nanny():
    words = SERVICES["worker"]["command"]
    assert (flag(words, "--nworkers"), flag(words, "--nthreads")) == ("1", "1")
    assert "--nanny" in words


def test_all_see_the_folder_at_the_same_path():
    (folder,) = STAGES[-1].texts("WORKDIR")
    mounted = [service["volumes"] for service in SERVICES.values() if "volumes" in service]
    assert len(mounted) == 3
    assert all([volume["target"] for volume in volumes] == [folder] for volumes in mounted)


def test_no_secrets_and_no_open_ports():
    for service in SERVICES.values():
        told = service.get("environment", {})
        assert {value for name, value in told.items() if "KEY" in name} <= {"local"}
        assert {"ports", "env_file", "secrets", "privileged", "network_mode"}.isdisjoint(service)


def test_variables_are_those_of_the_guide():
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    assert set(used) == set(re.findall(r"`(QUANTLAB_\w+)`", GUIDE))
    assert all(f"`{value}`" in GUIDE for value in used.values() if value != ".")


def test_services_wait_for_each_other():
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert "healthcheck" in SERVICES[other], (name, other)
            assert how == {"condition": "service_healthy"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param('["dask", "a b"]', ("dask", "a b"), id="a list of JSON"),
        pytest.param("PATH=/a:$PATH X='1 2'", ("PATH=/a:$PATH", "X=1 2"), id="words of a shell"),
    ],
)
def test_words_of_a_step(text, words):
    assert Step("CMD", text).words == words


def test_stages_are_read():
    text = 'FROM a AS one\n# why\nCOPY b c /d/\n\nFROM a\nCOPY --from=one /x /y\nENTRYPOINT ["p"]\nCMD ["q"]\n'
    one, last = stages(text)
    assert (one.name, last.name) == ("one", "")
    assert one.copies == [Copy(("b", "c"), "/d/", None)]
    assert (last.copies, last.command) == ([Copy(("/x",), "/y", "one")], ("p", "q"))
    with pytest.raises(ValueError, match="--chown"):
        Copy.of(Step("COPY", "--chown=a b c"))
    assert Stage("a", "", ()).command == ()


def test_a_process_in_a_clean_root_has_only_what_it_is_given(tmp_path):
    system = {name: Path(name) for name in ("/bin", "/lib", "/lib64", "/usr") if Path(name).exists()}
    root = Root(tmp_path / "root", {"PATH": "/usr/bin:/bin", "TOLD": "a b"}, user="1000:1000", folder="/work")
    for path in (*(root.path / name for name in ("proc", "dev/shm", "work")), tmp_path / "given"):
        path.mkdir(parents=True)
    tmp_path.chmod(0o755)  # for the other user

    def run(script):
        binds = {**system, "/work": tmp_path / "given"}
        words = root.entering(["sh", "-c", script], binds=binds, network=False)
        return subprocess.run(words, capture_output=True, text=True, check=False)

    if os.geteuid() != 0 or run("true").returncode != 0:
        pytest.skip("this process may make no namespaces")
    done = run('id -u; echo "$TOLD ${HOME-}"; pwd; grep -c : /proc/net/dev; ls /; exit 7')
    assert (done.returncode, done.stderr) == (7, "")
    user, told, folder, interfaces, *inside = done.stdout.splitlines()
    assert (user, told, folder, interfaces) == ("1000", "a b ", "/work", "1")
    assert inside == sorted(["dev", "proc", "work", *(name[1:] for name in system)])
