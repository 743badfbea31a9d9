"""A depot in a folder that all workers share, for example on NFS."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from quantlab.study.depot.contract import Pace

__all__ = ["FolderDepot"]

_PACE = Pace(touch_seconds=2.0, silent_seconds=30.0, look_seconds=0.1)


class FolderDepot:
    """See `Depot`."""

    def __init__(self, folder: Path, pace: Pace = _PACE) -> None:
        self._folder = folder
        self.pace = pace

    def create(self, name: str, content: bytes) -> bool:
        """A link is made by one of all who try, on network file systems too."""
        handle, own = tempfile.mkstemp(dir=self._folder, prefix=f".{name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.link(own, self._folder / name)
        except FileExistsError:
            # Of a link that was made while its answer was lost, NFS says when it asks again that the file exists.
            return Path(own).stat().st_nlink > 1
        finally:
            Path(own).unlink(missing_ok=True)
        return True

    def read(self, name: str) -> bytes:
        """See `Depot`; raises OSError."""
        return (self._folder / name).read_bytes()

    def state(self, name: str) -> int:
        """When it was last touched, by the clock of the file system."""
        return (self._folder / name).stat().st_mtime_ns

    def touch(self, name: str) -> None:
        """Set its time of change."""
        os.utime(self._folder / name)

    def remove(self, name: str) -> None:
        """See `Depot`."""
        (self._folder / name).unlink(missing_ok=True)

    def names(self, beginning: str) -> Sequence[str]:
        """See `Depot`."""
        try:
            return [name for name in os.listdir(self._folder) if name.startswith(beginning)]  # noqa: PTH208 (as texts)
        except FileNotFoundError:
            return []
