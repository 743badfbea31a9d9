"""The process that reads what an HDF5 file says of its model: `python -m quantlab.models.h5_config FILE`.

The HDF5 library may never end on a damaged file, and nothing in its own process can stop it then. Prints one JSON
object: `config`, the text of the model's configuration or null; `version`, of the Keras that wrote it; or `error`.
"""

import json
import sys
from pathlib import Path
from typing import Any

__all__: list[str] = []


def _read(path: Path) -> dict[str, Any]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            config, version = file.attrs.get("model_config"), file.attrs.get("keras_version", "2")
    except Exception as error:  # noqa: BLE001 (the library raises anything on a damaged file)
        return {"error": " ".join(str(error).split())[:200]}
    return {"config": _text(config), "version": _text(version)}


def _text(value: Any) -> str | None:
    """An attribute as text: bytes in files of an old h5py."""
    if value is None:
        return None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    print(json.dumps(_read(Path(sys.argv[1]))))
