"""The hash that a stored JSON record carries of itself, so that a damaged record is noticed when it is read."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from quantlab.types import FileState

__all__ = ["SEAL", "sealed", "unsealed"]

SEAL = "record_sha256"
"""The key of the hash."""


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with its hash, which does not depend on the order of the keys nor on white space.

    >>> sealed({"n": 3})["record_sha256"][:12]
    '215ddd5567ca'
    """
    return {**record, SEAL: _sha256(record)}


def unsealed(document: Any) -> tuple[Any, FileState]:
    """A JSON document without its hash, and whether it is as it was written; `no hash` if it carries none.

    >>> unsealed(sealed({"n": 3}))
    ({'n': 3}, 'intact')
    >>> unsealed({**sealed({"n": 3}), "n": 4})
    ({'n': 4}, 'damaged')
    >>> unsealed({"n": 3})
    ({'n': 3}, 'no hash')
    """
    if not isinstance(document, dict) or SEAL not in document:
        return document, "no hash"
    record = {key: value for key, value in document.items() if key != SEAL}
    return record, "intact" if document[SEAL] == _sha256(record) else "damaged"


def _sha256(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
