"""A folder that is written whole or not at all."""

import contextlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quantlab.errors import UsageError

__all__ = ["new_folder"]

_UNFINISHED = ".unfinished"


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into; what is in it moves to `folder` when the block ends.

    After an error, such as that of a full disk, there is nothing in `folder`, and no new folder. A process that is
    killed leaves a folder `.unfinished` in it, and nothing else. It lies in the folder and not beside it, since only
    the folder itself may be writable, or on the right disk.

    Raises:
        UsageError: If the folder is not empty or cannot be written, also for an OSError of the block.
        OSError: If it names a file elsewhere, such as one that the block wanted to read.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"'{folder}' is not empty, and nothing is written over; name another folder with --out")
        unfinished = folder / _UNFINISHED
        try:
            unfinished.mkdir()
            yield unfinished
            for path in sorted(unfinished.iterdir()):
                path.rename(folder / path.name)
            unfinished.rmdir()
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            for path in made:
                with contextlib.suppress(OSError):  # it was moved to, or is another program's by now
                    path.rmdir()
            raise
    except OSError as error:
        if _is_elsewhere(error.filename, folder.absolute()):
            raise
        raise UsageError(f"'{folder}' cannot be written ({error.strerror}); name another folder with --out") from error


def _is_elsewhere(named: object, folder: Path) -> bool:
    """Whether an error is that of a file which is neither in a folder nor on the way to it; a full disk names none."""
    if not isinstance(named, str):
        return False
    path = Path(named).absolute()
    return not (path.is_relative_to(folder) or folder.is_relative_to(path))
