"""Platforms on which quantlab can be installed, and the sentence printed on others before anything is installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from supported_platforms import unsupported_reason

PLATFORMS = Path(__file__).parents[1] / "supported_platforms.py"


@pytest.mark.parametrize(
    ("version", "system", "machine"),
    [
        pytest.param((3, 11), "Linux", "x86_64", id="Python 3.11"),
        pytest.param((3, 12), "Linux", "x86_64", id="Python 3.12"),
        pytest.param((3, 11), "Darwin", "arm64", id="Apple silicon"),
    ],
)
def test_where_it_installs(version, system, machine):
    assert unsupported_reason(version, system, machine) is None


@pytest.mark.parametrize(
    ("version", "system", "machine", "reason"),
    [
        pytest.param(
            (3, 10),
            "Linux",
            "x86_64",
            "quantlab needs Python 3.11 or 3.12, since it is not written for Python 3.10; install one of them",
            id="an older Python",
        ),
        pytest.param(
            (3, 13),
            "Linux",
            "x86_64",
            "quantlab needs Python 3.11 or 3.12, since TensorFlow 2.19 has no release for Python 3.13; install one of "
            "them",
            id="a newer Python",
        ),
        pytest.param(
            (3, 11),
            "Windows",
            "AMD64",
            "quantlab needs Linux or macOS, since tensorflow-decision-forests has no release for Windows; use the "
            "Windows Subsystem for Linux",
            id="Windows",
        ),
        pytest.param(
            (3, 11),
            "Linux",
            "aarch64",
            "quantlab needs an x86-64 processor on Linux, since tensorflow-decision-forests has no release for "
            "aarch64; use another machine",
            id="an ARM processor",
        ),
        pytest.param(
            (3, 11),
            "Darwin",
            "x86_64",
            "quantlab needs Apple silicon on macOS, since TensorFlow 2.19 has no release for x86_64",
            id="an Intel Mac",
        ),
    ],
)
def test_where_it_does_not(version, system, machine, reason):
    assert unsupported_reason(version, system, machine) == reason


def test_it_is_asked_before_anything_is_installed():
    """Without quantlab's own packages, and on another platform than this one."""
    pretend = f"import platform, runpy; platform.machine = lambda: 'aarch64'; runpy.run_path({str(PLATFORMS)!r}, None, "
    for code, status, said in (
        (f"import runpy; runpy.run_path({str(PLATFORMS)!r}, None, '__main__')", 0, ""),
        (f"{pretend}'__main__')", 2, f"{unsupported_reason((3, 11), 'Linux', 'aarch64')}\n"),
    ):
        command = [sys.executable, "-I", "-S", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (status, said)
