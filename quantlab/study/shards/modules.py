"""Modules of the user that a model needs, on a worker: the same code as where the study runs."""

from collections.abc import Mapping

from quantlab.errors import ModelError
from quantlab.user_modules import code_sha256

__all__ = ["refuse_other_modules"]


def refuse_other_modules(modules: Mapping[str, str], host: str) -> None:
    """Refuse to open a model with other layers of the user than those of the study.

    Args:
        modules: Module of `--custom` → hash of its code in the study; empty where it is no Python file.
        host: The name of this machine, for messages.

    Raises:
        ModelError: If a module is not found here, or its code differs.
    """
    for module, sha256 in modules.items():
        here = code_sha256(module)
        if sha256 and not here:
            raise ModelError(
                f"the worker on {host} does not find the module '{module}', which --custom names; install it there, or "
                f"start the worker in its folder or with PYTHONPATH"
            )
        if here != sha256:
            raise ModelError(
                f"the module '{module}', which --custom names, is another one on {host} than in the study; bring the "
                f"same file to all workers, and restart them"
            )
