"""Where modules of the user lie: loaders, metrics and layers of their own."""

import importlib
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quantlab.errors import QuantlabError
from quantlab.names import nearest_of_many

__all__ = ["folders_of_users", "load_function", "look_in_current_folder"]

_added: set[str] = set()


def look_in_current_folder(*, first: bool) -> str:
    """Look for modules in the current folder too, before all others or after them, and return it.

    It stays on the path, since a function may import more when it is called.
    """
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0 if first else len(sys.path), folder)
        _added.add(folder)
    return folder


def folders_of_users() -> frozenset[str]:
    """The folders that are looked in for the user's sake alone; a child looks there only where it is told to."""
    return frozenset(_added)


def load_function(text: str, *, refused: type[QuantlabError]) -> Callable[..., Any]:
    """Import what `module:function` names, looking in the current folder too.

    Args:
        text: The name; for messages too.
        refused: What is raised.

    Raises:
        refused: If there is no such module, importing it raises, or it has no such function.
    """
    module_name, _, name = text.partition(":")
    folder = look_in_current_folder(first=False)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a user's module may raise anything, and may call sys.exit
        if _is_absence(error, module_name):
            known = [info.name for info in pkgutil.iter_modules([folder])]
            raise refused(
                f"there is no module '{module_name}' for '{text}' in '{folder}' or among what is installed; "
                f"{nearest_of_many(module_name, known)}"
            ) from error
        raise refused(
            f"the module of '{text}' could not be imported, since it raised {type(error).__name__} ({error}); "
            f"mend that first"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise refused(f"the module '{module_name}' has no function '{name}'; {nearest_of_many(name, known)}")
    return function  # type: ignore[no-any-return]  # what it takes shows when it is called


def _is_absence(error: BaseException, module: str) -> bool:
    """Whether the module itself is missing, and not one that it imports."""
    return isinstance(error, ModuleNotFoundError) and bool(error.name) and f"{module}.".startswith(f"{error.name}.")
