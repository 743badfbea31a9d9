"""Objects of a store that somebody found damaged; who has their file puts them again, in the next command.

Size and name of a damaged object may be as they should be, so its owner does not see it, and who sees it has no other.
"""

import contextlib
from collections.abc import Iterable
from pathlib import Path

from quantlab.errors import StudyError
from quantlab.study.depot.objects import ObjectDepot, object_name

__all__ = ["forget_damage", "put_again", "report_damage", "reported_damage"]

_FOLDER = "damaged"


def report_damage(depot: ObjectDepot, hashes: Iterable[str]) -> None:
    """Leave word that objects are damaged, or may be; nothing happens if the store cannot be written."""
    with contextlib.suppress(StudyError):
        for sha256 in hashes:
            depot.put_bytes(f"{_FOLDER}/{sha256}", b"")


def reported_damage(depot: ObjectDepot) -> frozenset[str]:
    """The hashes of the objects of which that is said.

    Raises:
        StudyError: If the store cannot be used.
    """
    return frozenset(depot.within(_FOLDER).names(""))


def forget_damage(depot: ObjectDepot, hashes: Iterable[str]) -> None:
    """Take that back.

    Raises:
        StudyError: If the store cannot be used.
    """
    for sha256 in hashes:
        depot.remove(f"{_FOLDER}/{sha256}")


def put_again(depot: ObjectDepot, sha256: str, file: Path) -> None:
    """Replace an object by the file with this hash.

    Raises:
        StudyError: If the store cannot be used.
    """
    depot.put(object_name(sha256), file)
    forget_damage(depot, [sha256])
