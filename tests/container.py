"""Builds the container and tries it: `python -m tests.container [--build-arg NAME=VALUE…]`; run by hand.

With Docker, `docker build` makes both images. Without, the steps of the Dockerfile run in a clean root of Debian
(`tests/clean_root.py`), which takes some minutes: TensorFlow is installed twice from the registries. Then, without a
network: the version, the demo, another user, and the services of compose.yaml as processes. A study by their Dask
workers, on samples in their S3 server, must have the same bytes as one without them.

The last commit is built, not the files beside it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.clean_root import Root, Sources, built, do, lacking, make_base
from tests.compose_services import Cluster, resolved
from tests.dockerfile import stages
from tests.version_ends import ROOT

__all__ = ["build_context", "ignored_but"]

_OTHER_USER = "4321:4321"
"""Nobody's ids in the image."""


def ignored_but(text: str) -> list[str]:
    """The names that a .dockerignore takes in, of one that leaves out all others.

    >>> ignored_but("*\\n!README.md\\n!quantlab\\n**/__pycache__\\n")
    ['README.md', 'quantlab']
    """
    first, *others = text.split()
    if first != "*":
        raise ValueError(".dockerignore does not begin with '*'")
    return [line[1:] for line in others if line.startswith("!")]


def build_context(folder: Path) -> None:
    """Write what `docker build` would send of the last commit."""
    names = ignored_but((ROOT / ".dockerignore").read_text(encoding="utf-8"))
    archive = folder / "archive.tar"
    do("git", "-C", str(ROOT), "archive", "--output", str(archive), "HEAD", *names)
    do("tar", "-xf", str(archive), "-C", str(folder))
    archive.unlink()


@contextmanager
def _step(words: str) -> Iterator[None]:
    print(f"{words} …", flush=True)
    began = time.monotonic()
    yield
    print(f"{words}: {time.monotonic() - began:.0f} s", flush=True)


def _with_docker(arguments: Sequence[str]) -> None:
    given = [word for argument in arguments for word in ("--build-arg", argument)]
    with tempfile.TemporaryDirectory() as name, _step("docker build"):
        build_context(Path(name))
        file = ["--file", str(ROOT / "Dockerfile")]
        do("docker", "build", *file, *given, "--tag", "quantlab", name)
        do("docker", "build", *file, *given, "--target", "s3-server", "--tag", "quantlab-s3-server", name)
    with tempfile.TemporaryDirectory() as name:
        run = ["docker", "run", "--rm", "--network", "none", "--volume", f"{name}:/work"]
        run += ["--user", f"{os.getuid()}:{os.getgid()}"]
        for others in (["quantlab", "--version"], ["quantlab", "doctor", "--worker"], ["quantlab", "demo"]):
            with _step(" ".join(others)):
                do(*run, *others)
        compose = ["docker", "compose", "--project-directory", str(ROOT)]
        if subprocess.run([*compose, "version"], capture_output=True, check=False).returncode == 0:
            with _step("docker compose"):
                _with_compose(compose)


def _with_compose(compose: Sequence[str]) -> None:
    """Start all services, wait until they are healthy, and ask the scheduler for its workers."""
    ask = "from distributed import Client; assert len(Client('tcp://scheduler:8786').nthreads()) == 2"
    try:
        do(*compose, "up", "--build", "--detach", "--wait", "--scale", "worker=2")
        do(*compose, "run", "--rm", "--entrypoint", "python", "quantlab", "-c", ask)
    finally:
        do(*compose, "down")


def _in_clean_root(folder: Path, compose: Mapping[str, Any], arguments: Sequence[str]) -> None:
    parts = stages((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    base, context = folder / "base.tar", folder / "context"
    with _step(f"a root like {parts[0].image}"):
        make_base(parts[0].image, base)
    context.mkdir()
    build_context(context)
    sources = Sources(base, context, dict(argument.split("=", 1) for argument in arguments))
    roots: dict[str, Root] = {}
    for stage in parts:
        with _step(f"stage {stage.name or 'of quantlab'}"):
            roots[stage.name] = built(stage, folder / (stage.name or "quantlab"), sources, roots)
    study = folder / "work"
    study.mkdir()
    os.chown(study, 1000, 1000)
    commands = {stage.name: stage.command for stage in parts}
    _try(roots[""], commands[""], study)
    with _step("the services of compose.yaml"), Cluster(compose, roots, commands, study) as cluster:
        cluster.compare()


def _try(root: Root, command: Sequence[str], study: Path) -> None:
    """What docs/guides/containers.md shows first, without a network."""
    for words in (["--version"], ["doctor", "--worker"], ["demo"]):
        with _step(f"quantlab {' '.join(words)}"):
            do(*root.entering([*command, *words], binds={"/work": study}, network=False))
    other = study.with_name("other")
    other.mkdir()
    os.chown(other, *(int(number) for number in _OTHER_USER.split(":")))
    with _step("quantlab demo by another user"):
        do(*root.entering([*command, "demo"], binds={"/work": other}, user=_OTHER_USER, network=False))


def main(words: Sequence[str]) -> int:
    """Build and try; exit status 2 if neither Docker nor a clean root can be had."""
    parser = argparse.ArgumentParser(prog="python -m tests.container")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--folder", type=Path, help="where roots are made, and kept; it does not exist")
    asked = parser.parse_args(words)
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    given = [f"{name}={resolved(value)}" for name, value in compose["x-quantlab"]["build"]["args"].items()]
    given += asked.build_arg
    ask = ["docker", "info"]
    if shutil.which("docker") and subprocess.run(ask, capture_output=True, check=False).returncode == 0:
        _with_docker(given)
        return 0
    reason = lacking()
    if reason is not None:
        print(f"no Docker daemon answers, and no clean root can be made: {reason}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = asked.folder or Path(name)
        folder.mkdir(exist_ok=True)
        _in_clean_root(folder, compose, given)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
