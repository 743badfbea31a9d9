"""The order of the classes that the user names, checked against the class folders that there are."""

from collections.abc import Sequence

from quantlab.errors import UsageError
from quantlab.names import listed, nearest_of_many

__all__ = ["checked_classes"]


def checked_classes(classes: Sequence[str], folders: Sequence[str], text: str) -> tuple[str, ...]:
    """Return the named classes, of which each must be a folder, and each folder one.

    Args:
        classes: Names in the order of the model's outputs.
        folders: Names of the class folders, empty ones among them.
        text: The samples as the user wrote them.

    Raises:
        UsageError: If a name is unknown, missing or given twice.
    """
    seen: set[str] = set()
    for name in classes:
        if name in seen:
            raise UsageError(f"the class '{name}' is named twice; name every class folder of '{text}' once")
        if name not in folders:
            raise UsageError(
                f"there is no class folder '{name}' in '{text}'; {nearest_of_many(name, folders)} (for a class without "
                f"images, add an empty folder)"
            )
        seen.add(name)
    missing = [name for name in folders if name not in seen]
    if missing:
        folder = "the class folder" if len(missing) == 1 else "the class folders"
        raise UsageError(
            f"the classes do not name {folder} {listed(missing)} of '{text}'; name every class folder once, in the "
            f"order of the model's outputs"
        )
    return tuple(classes)
