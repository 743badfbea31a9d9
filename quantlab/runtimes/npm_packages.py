"""Locates npm packages that the user has installed and quantlab does not bundle, by the rules of Node.js."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from quantlab.errors import RuntimeUnavailable

__all__ = ["NpmPackage"]


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """A package, and what quantlab does with it."""

    name: str
    oldest: tuple[int, int]
    """The oldest supported version."""
    use: str
    """The begin of a sentence that the name ends: `the runtime 'node-native' runs ONNX files in`."""
    remedy: str
    """How to do without it, as the end of a sentence; empty if there is nothing to say."""
    variable: str
    """The environment variable in which a Node process finds the folder."""

    def find(self) -> tuple[Path, str]:
        """Return its folder and version: from the first `node_modules` in the working folder or above, else NODE_PATH.

        Raises:
            RuntimeUnavailable: If there is none, or the first is too old or cannot be read.
        """
        folder = next((place for place in self._places() if (place / "package.json").is_file()), None)
        remedy = f"'npm install {self.name}' in '{Path.cwd()}' installs it{self.remedy}"
        if folder is None:
            raise RuntimeUnavailable(
                f"{self.use} {self.name}, and there is none in '{Path.cwd()}', above it or in NODE_PATH; {remedy}"
            )
        version = _version(folder / "package.json")
        if version is None:
            raise RuntimeUnavailable(f"the {self.name} in '{folder}' has a package.json that cannot be read; {remedy}")
        numbers = re.match(r"(\d+)\.(\d+)\.", version)
        if numbers is None or (int(numbers[1]), int(numbers[2])) < self.oldest:
            oldest = ".".join(map(str, self.oldest))
            raise RuntimeUnavailable(
                f"the {self.name} in '{folder}' has version {version}, and quantlab needs version {oldest} or newer; "
                f"{remedy}"
            )
        return folder, version

    def environment(self) -> dict[str, str]:
        """Environment variables of a Node process that loads it; raises as `find` does."""
        return {self.variable: str(self.find()[0])}

    def _places(self) -> Iterator[Path]:
        here = Path.cwd()
        for folder in (here, *here.parents):
            yield folder / "node_modules" / self.name
        for named in os.environ.get("NODE_PATH", "").split(os.pathsep):
            if named:
                yield (Path(named) / self.name).absolute()


def _version(manifest: Path) -> str | None:
    try:
        return str(json.loads(manifest.read_bytes())["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
