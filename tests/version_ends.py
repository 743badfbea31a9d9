"""The low ends of the ranges in pyproject.toml, as constraints for pip: `make lowest` installs and tests them.

Run as `python -m tests.version_ends`. Only packages named in pyproject.toml are pinned; pip chooses indirect
dependencies. The high ends need no list, because pip installs the newest version in a range.
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "low_ends", "project", "requirements", "to_build"]

ROOT = Path(__file__).resolve().parents[1]


def project() -> Mapping[str, Any]:
    """This checkout's pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def to_build(told: Mapping[str, Any]) -> list[str]:
    """What a pyproject.toml asks for to build the package."""
    return list(told["build-system"]["requires"])


def requirements(told: Mapping[str, Any]) -> list[str]:
    """Every requirement of a pyproject.toml: to run, to develop and to build."""
    extras = told["project"].get("optional-dependencies", {}).values()
    return [
        *told["project"]["dependencies"],
        *(requirement for extra in extras for requirement in extra),
        *to_build(told),
    ]


def low_ends(asked: Iterable[str]) -> Iterator[str]:
    """A constraint for each requirement that has a lowest version, in order and once; environment markers are kept.

    >>> list(low_ends(["keras>=3.5,<4", "tensorflow==2.19.*", "setuptools<81", "ydf>=0.11; python_version<'3.12'"]))
    ['keras==3.5', 'tensorflow==2.19', "ydf==0.11; python_version<'3.12'"]
    """
    pinned: dict[str, None] = {}
    for requirement in asked:
        text, mark, marker = requirement.partition(";")
        name = re.match(r"\s*([\w.-]+)", text)
        lowest = re.search(r"(?:>=|==|~=)\s*(\d[\w.]*?)(?:\.\*)?(?=,|\s|$)", text)
        if name and lowest:
            pinned[f"{name[1]}=={lowest[1]}{mark}{marker}"] = None
    return iter(pinned)


def main() -> int:
    """Print the constraints of this checkout's pyproject.toml."""
    print("\n".join(low_ends(requirements(project()))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
