"""A clean root of Debian, in which the steps of a Dockerfile run and its commands are tried, where Docker is not.

It needs root, `mmdebstrap` (Debian's packages have it) and util-linux. A process in it sees the folders of the root,
its own processes and, if asked, no network. What it is told of this machine is how registries are reached.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.dockerfile import Copy, Stage, Step

__all__ = ["Root", "Sources", "built", "do", "lacking", "make_base", "told_of_registries"]

_REGISTRIES = ("/etc/ssl", "/etc/pip.conf", "/etc/xdg/pip", "/etc/npmrc", "/etc/resolv.conf")
"""Files and folders that tell how registries are reached: certificates, mirrors and names."""
_APT = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")
_OWN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
"""The environment of the Python image."""


@dataclass(frozen=True, slots=True)
class Root:
    """A root folder, and what the steps so far have set."""

    path: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(_OWN))
    arguments: Mapping[str, str] = field(default_factory=dict)
    user: str = "root"
    folder: str = "/"

    def entering(
        self, words: Sequence[str], *, binds: Mapping[str, Path] | None = None, user: str = "", network: bool = True
    ) -> list[str]:
        """The command that runs words in this root, in process and mount namespaces of its own.

        Args:
            words: The command and its arguments.
            binds: Path in the root → file or folder of this machine.
            user: As for chroot's `--userspec`; that of the steps if empty.
            network: Whether it has the network of this process, or none.
        """
        mounts = [f"mount -t tmpfs tmpfs {shlex.quote(f'{self.path}/dev/shm')}"]
        for inside, outside in (binds or {}).items():
            place = self.path / inside.lstrip("/")
            if outside.is_dir():
                place.mkdir(parents=True, exist_ok=True)
            elif not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
            mounts.append(f"mount --bind {shlex.quote(str(outside))} {shlex.quote(str(place))}")
        inside_words = ["sh", "-c", f'cd {shlex.quote(self.folder)} && exec "$@"', "sh", *words]
        environment = [f"{name}={value}" for name, value in {**self.environment, **self.arguments}.items()]
        entered = [
            "chroot",
            f"--userspec={user or self.user}",
            str(self.path),
            "env",
            "-i",
            *environment,
            *inside_words,
        ]
        # The shell stays, as the first process: a signal for the death of its parent is lost by a change of user.
        script = " && ".join([*([] if network else ["ip link set lo up"]), *mounts, shlex.join(entered)]) + "; exit $?"
        apart = ["unshare", "--pid", "--fork", "--kill-child", f"--mount-proc={self.path}/proc"]
        return [*apart, *([] if network else ["--net"]), "--", "sh", "-c", script]


def do(*words: str) -> None:
    """Run a command; raises CalledProcessError if it fails."""
    subprocess.run(words, check=True)


def lacking() -> str | None:
    """Why no clean root can be made here; None if it can."""
    if os.geteuid() != 0:
        return "it needs to run as root"
    missing = [name for name in ("mmdebstrap", "unshare", "chroot", "ip") if shutil.which(name) is None]
    return f"{', '.join(missing)} is not installed" if missing else None


def make_base(image: str, archive: Path) -> None:
    """Write the packed root of Debian's release with the Python of an image, such as `python:3.11-slim-bookworm`."""
    python, _, release = image.removeprefix("python:").split("-")
    listed = next(name for name in _APT if Path(name).is_file())
    packages = f"ca-certificates,netbase,tzdata,python{python},python{python}-venv"
    link = f"ln -s /usr/bin/python{python} $1/usr/local/bin/python"
    options = ["--quiet", "--mode=root", "--variant=minbase", f"--include={packages}", f"--customize-hook={link}"]
    do("mmdebstrap", *options, release, str(archive), listed)


def told_of_registries() -> tuple[dict[str, Path], dict[str, str]]:
    """Files of this machine by their path, and variables, that tell how registries are reached."""
    files = {name: Path(name) for name in _REGISTRIES if Path(name).exists()}
    names = ("PIP_", "NPM_CONFIG_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    told = {
        name: value
        for name, value in os.environ.items()
        if name.upper().startswith(names) or "CERT" in name or "CA_BUNDLE" in name
    }
    return files, told


@dataclass(frozen=True, slots=True)
class Sources:
    """What the steps of a Dockerfile take from outside."""

    base: Path
    """The packed root, as `make_base` writes it."""
    context: Path
    """The files that COPY may take."""
    arguments: Mapping[str, str]
    """As `--build-arg`."""


def built(stage: Stage, folder: Path, sources: Sources, others: Mapping[str, Root]) -> Root:
    """Run the steps of a stage.

    Args:
        stage: The stage.
        folder: Where the root is laid; it does not exist.
        sources: What the steps take from outside.
        others: The stages that are built, by name.
    """
    folder.mkdir(parents=True)
    do("tar", "-xf", str(sources.base), "-C", str(folder))
    root = Root(folder)
    for step in stage.steps:
        root = _after(root, step, sources, others)
    return replace(root, arguments={})


def _after(root: Root, step: Step, sources: Sources, others: Mapping[str, Root]) -> Root:
    match step.word:
        case "ARG":
            name, _, value = step.text.partition("=")
            return replace(root, arguments={**root.arguments, name: sources.arguments.get(name, value)})
        case "ENV":
            pairs = (word.partition("=") for word in step.words)
            told = {name: value.replace("$PATH", root.environment["PATH"]) for name, _, value in pairs}
            return replace(root, environment={**root.environment, **told})
        case "USER":
            return replace(root, user=step.text)
        case "WORKDIR":
            (root.path / step.text.lstrip("/")).mkdir(parents=True, exist_ok=True)
            return replace(root, folder=step.text)
        case "COPY":
            copy = Copy.of(step)
            _copy(copy, sources.context if copy.stage is None else others[copy.stage].path, root)
        case "RUN":
            files, told = told_of_registries()
            running = replace(root, environment={**root.environment, **told})
            do(*running.entering(["sh", "-c", step.text], binds=files))
        case "ENTRYPOINT" | "CMD":
            pass
        case _:
            raise ValueError(f"{step.word} is not known here")
    return root


def _copy(copy: Copy, origin: Path, root: Root) -> None:
    target = root.path / os.path.join(root.folder, copy.target).lstrip("/")  # noqa: PTH118 (of two absolute paths)
    for name in copy.sources:
        source = origin / name.lstrip("/")
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        elif copy.target.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
        else:
            raise ValueError(f"COPY of the file {name} to another name is not known here")
