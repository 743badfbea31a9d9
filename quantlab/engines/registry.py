"""All engines by name."""

from collections.abc import Mapping

from quantlab.engines import dask, local, ray
from quantlab.engines.contract import Engine
from quantlab.errors import UsageError
from quantlab.names import nearest

__all__ = ["ENGINES", "engine_named"]

ENGINES: Mapping[str, Engine] = {engine.name: engine for engine in (local.ENGINE, dask.ENGINE, ray.ENGINE)}


def engine_named(name: str, engines: Mapping[str, Engine] = ENGINES) -> Engine:
    """Return the engine of this name.

    Raises:
        UsageError: If there is none.
    """
    if name not in engines:
        raise UsageError(f"there is no engine '{name}'; {nearest(name, engines)}")
    return engines[name]
