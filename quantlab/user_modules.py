"""Import of the user's modules: loaders, metrics and custom layers."""

import hashlib
import importlib
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quantlab.errors import QuantlabError
from quantlab.names import nearest_of_many

__all__ = ["code_sha256", "folders_of_users", "load_function", "look_in_current_folder"]

_added: set[str] = set()


def look_in_current_folder(*, first: bool) -> str:
    """Add the current folder to the module search path, at its start or its end, and return the folder.

    It stays there, because a function may import further modules when it is called.
    """
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0 if first else len(sys.path), folder)
        _added.add(folder)
    return folder


def folders_of_users() -> frozenset[str]:
    """Folders that were added for the user; child processes search them only on request."""
    return frozenset(_added)


def load_function(text: str, *, refused: type[QuantlabError]) -> Callable[..., Any]:
    """Import a function given as `module:function`; the current folder is searched too.

    Args:
        text: The name, also used in messages.
        refused: Exception class to raise.

    Raises:
        refused: If the module does not exist or raises during import, or has no such function.
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
                f"there is no module '{module_name}' for '{text}' in '{folder}' or among the installed packages; "
                f"{nearest_of_many(module_name, known)}"
            ) from error
        raise refused(
            f"the module of '{text}' could not be imported: it raised {type(error).__name__} ({error}); fix that first"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise refused(f"the module '{module_name}' has no function '{name}'; {nearest_of_many(name, known)}")
    return function  # type: ignore[no-any-return]  # its signature is unknown until it is called


def code_sha256(module: str) -> str:
    """Hash of a module's file, or of all Python files of a package, without importing it; empty if not found."""
    place = Path(*module.split("."))
    for folder in (Path.cwd(), *map(Path, sys.path)):
        file, package = folder / f"{place}.py", folder / place / "__init__.py"
        files = sorted(package.parent.rglob("*.py")) if package.is_file() else [file]
        if files[0].is_file():
            return hashlib.sha256(b"".join(source.read_bytes() for source in files)).hexdigest()
    return ""


def _is_absence(error: BaseException, module: str) -> bool:
    """Whether the module itself is missing, and not a module that it imports."""
    return isinstance(error, ModuleNotFoundError) and bool(error.name) and f"{module}.".startswith(f"{error.name}.")
