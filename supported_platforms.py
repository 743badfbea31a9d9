"""Where quantlab can be installed, and why nowhere else: `python supported_platforms.py` says so for this Python.

It needs nothing but Python, of any version from 3.6 on, so that it can be asked before anything is installed.
"""

import platform
import sys

__all__ = ["unsupported_reason"]

_OLDEST, _NEWEST = (3, 11), (3, 12)


def unsupported_reason(version, system, machine):  # type: ignore[no-untyped-def]  # read by older Pythons
    """Why quantlab cannot be installed, as one sentence that says what to use instead; None where it can.

    Args:
        version: Of Python, as `sys.version_info`.
        system: As `platform.system()`: `Linux`, `Darwin`, `Windows`.
        machine: As `platform.machine()`: `x86_64`, `arm64`, `aarch64`.

    >>> unsupported_reason((3, 12), "Linux", "x86_64")
    >>> unsupported_reason((3, 12), "Darwin", "arm64")
    >>> unsupported_reason((3, 13), "Linux", "x86_64")
    'quantlab needs Python 3.11 or 3.12, since TensorFlow 2.19 has no release for Python 3.13; install one of them'
    """
    python = "{}.{}".format(*version[:2])
    if not _OLDEST <= tuple(version[:2]) <= _NEWEST:
        missing = "TensorFlow 2.19 has no release" if tuple(version[:2]) > _NEWEST else "it is not written"
        return f"quantlab needs Python 3.11 or 3.12, since {missing} for Python {python}; install one of them"
    # A dependency of tensorflowjs.
    forests = "tensorflow-decision-forests has no release for {}".format
    if system == "Windows":
        return f"quantlab needs Linux or macOS, since {forests(system)}; use the Windows Subsystem for Linux"
    if system == "Linux" and machine not in {"x86_64", "AMD64"}:
        return f"quantlab needs an x86-64 processor on Linux, since {forests(machine)}; use another machine"
    if system == "Darwin" and machine != "arm64":
        return f"quantlab needs Apple silicon on macOS, since TensorFlow 2.19 has no release for {machine}"
    return None


if __name__ == "__main__":
    _reason = unsupported_reason(sys.version_info, platform.system(), platform.machine())
    if _reason:
        print(_reason, file=sys.stderr)
        sys.exit(2)
