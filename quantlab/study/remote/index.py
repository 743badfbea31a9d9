"""The index of a study at an address: the object `index.json`, which is written after all objects that it names."""

import json
import re
from pathlib import Path
from typing import Any

from quantlab.errors import StudyError
from quantlab.foreign import reading
from quantlab.seals import sealed, unsealed
from quantlab.study.depot.names import inside, part_of_study
from quantlab.study.depot.objects import ObjectDepot
from quantlab.types import StoredFile, StoredStudy

__all__ = ["index_bytes", "index_of", "read_index", "write_index"]

_NAME = "index.json"
_SCHEMA = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


def read_index(depot: ObjectDepot) -> StoredStudy | None:
    """The files of the study at an address; None if there is none yet.

    Raises:
        StudyError: If it cannot be read.
    """
    try:
        content = depot.read(_NAME)
    except FileNotFoundError:
        return None
    return index_of(content, f"the object '{depot.address}/{_NAME}'")


def index_of(content: bytes, subject: str | Path) -> StoredStudy:
    """The files that the bytes of an index name.

    Args:
        content: The bytes.
        subject: Where they are, for messages.

    Raises:
        StudyError: If they are no index, or one that names files outside of a study.
    """
    with reading(subject, StudyError, "restore an older version of it, or choose another address"):
        record, state = unsealed(json.loads(content))
        if state != "intact":
            raise ValueError("its hash is not that of its content")
        if record["schema"] != _SCHEMA:
            raise ValueError(f"its schema is {record['schema']} and not {_SCHEMA}")
        return StoredStudy({_safe(path): _file(held) for path, held in record["files"].items()})


def write_index(depot: ObjectDepot, study: StoredStudy) -> None:
    """Replace the index as a whole.

    Raises:
        StudyError: If the store cannot be used.
    """
    depot.put_bytes(_NAME, index_bytes(study))


def index_bytes(study: StoredStudy) -> bytes:
    """The inverse of `index_of`."""
    files = {path: {"sha256": file.sha256, "bytes": file.bytes} for path, file in sorted(study.files.items())}
    return json.dumps(sealed({"schema": _SCHEMA, "files": files}), indent=1).encode()


def _safe(path: str) -> str:
    """A path that stays inside the folder of the study, and is none of those that the machine has for itself."""
    if not inside(path):
        raise ValueError("it names a file outside of the study")
    if not part_of_study(path):
        raise ValueError("it names a file that is no part of a study")
    return path


def _file(held: dict[str, Any]) -> StoredFile:
    sha256, size = held["sha256"], held["bytes"]
    if not isinstance(size, int) or not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ValueError("it names an object by something else than a hash")
    return StoredFile(sha256, size)
