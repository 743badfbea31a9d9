"""What a process holds in memory."""

from pathlib import Path

import pytest

__all__ = ["anonymous_bytes"]


def anonymous_bytes() -> int:
    """Bytes of this process that are no file's, which the system cannot drop; the test is skipped where none tells."""
    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip("needs /proc")
    (line,) = [line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("RssAnon:")]
    return 1024 * int(line.split()[1])
