"""Installed versions: the ranges of pyproject.toml, their low ends, and the exact versions of the locks."""

import re

import pytest
from locked_versions import locked
from packaging.requirements import Requirement
from version_ends import ROOT, low_ends, project, requirements, to_build

ASKED = requirements(project())
TO_BUILD = to_build(project())


def locked_in(name):
    """The lines of a lock that are no comment."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def named(text):
    return re.sub(r"[-_.]+", "-", text).lower()


@pytest.mark.parametrize(
    ("asked", "lock"),
    [
        *((requirement, "requirements.lock") for requirement in ASKED if requirement not in TO_BUILD),
        *((requirement, "requirements-build.lock") for requirement in TO_BUILD),
    ],
)
def test_what_is_locked_lies_in_its_range(asked, lock):
    requirement = Requirement(asked)
    lines = [Requirement(line) for line in locked_in(lock)]
    (version,) = (
        specifier for line in lines if named(line.name) == named(requirement.name) for specifier in line.specifier
    )
    assert version.operator == "=="
    assert requirement.specifier.contains(version.version)


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-build.lock"])
def test_a_lock_names_packages_and_no_place_to_get_them_from(lock):
    assert [line for line in locked_in(lock) if not re.fullmatch(r"[\w.-]+==[\w.!+]+( *;.*)?", line)] == []


@pytest.mark.parametrize("asked", ASKED)
def test_each_range_has_its_own_low_end(asked):
    requirement = Requirement(asked)
    for line in low_ends([asked]):
        low = Requirement(line)
        assert (low.name, str(low.marker)) == (requirement.name, str(requirement.marker))
        (only,) = low.specifier
        assert requirement.specifier.contains(only.version)
    if not requirement.specifier or all(specifier.operator == "<" for specifier in requirement.specifier):
        assert list(low_ends([asked])) == []
    else:
        assert len(list(low_ends([asked]))) == 1


def test_what_pip_found_is_written_down():
    packages = [("B-c", "1.0", False), ("a", "2", False), ("quantlab", "0.1.0", True)]
    report = {
        "install": [
            {"metadata": {"name": name, "version": version}, "is_direct": direct} for name, version, direct in packages
        ]
    }
    head, *lines = locked(report).splitlines()
    assert head.startswith("# ")
    assert lines == ["a==2", "B-c==1.0"]
