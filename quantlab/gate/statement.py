"""In-toto statements about artifacts: their types, the budget as text, and a reader of them.

The layout is that of a Statement (https://in-toto.io/Statement/v1) with the predicate of test results
(https://in-toto.io/attestation/test-result/v0.1). `quantlab_reports.attestation` writes such statements.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import cattrs

from quantlab.errors import StudyError, UsageError
from quantlab.foreign import reading
from quantlab.gate.attestation import RESULTS, Attestation, tests_of
from quantlab.gate.contradictions import contradictions
from quantlab.names import excerpt
from quantlab.store import parse_json
from quantlab.types import Budget, Margin, OutputLimit, SettingVerdict, Verdict

__all__ = [
    "ATTESTATION_SCHEMA",
    "EXTENSION",
    "PREDICATE_TYPE",
    "STATEMENT_TYPE",
    "budget_sha256",
    "budget_texts",
    "read_attestation",
]

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
EXTENSION = "quantlab"
"""The field of the predicate that holds the figures; in-toto lets producers add fields of their own."""

ATTESTATION_SCHEMA = 1
"""Version of that field; a statement of another version is refused."""

_Value = TypeVar("_Value")


# The budget as text, which survives tools that write numbers in another way


def budget_texts(budget: Budget) -> dict[str, str | list[str]]:
    """Return the keys of a budget that differ from their defaults, and its confidence and target, as a policy has them.

    >>> budget_texts(Budget(max_accuracy_loss="0.5pt"))
    {'max_accuracy_loss': '0.5pt', 'confidence': '0.95', 'target': 'any'}
    """
    told = {}
    for field in fields(Budget):
        value = getattr(budget, field.name)
        if value != field.default or field.name in {"confidence", "target"}:
            told[field.name] = _percent(value) if field.name == "min_agreement" else _text(value)
    return told


def _percent(value: float) -> str:
    return f"{_decimal(value)}%"


def _text(value: Any) -> str | list[str]:
    if isinstance(value, tuple):
        return [str(_text(one)) for one in value]
    if isinstance(value, Margin):
        return f"{_decimal(value.value)}{value.unit}"
    if isinstance(value, OutputLimit):
        return f"{'' if value.place is None else f'{value.place}='}{value.value!r}"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


def _decimal(value: float) -> str:
    """A number without an exponent, which reads as the same number again."""
    return format(Decimal(repr(value)), "f")


def _budget_of(texts: Mapping[str, Any]) -> Budget:
    """Read what `budget_texts` wrote.

    Raises:
        ValueError: If a key is unknown or has another kind of value.
        UsageError: If the budget refuses a value.
    """
    known = {field.name: field.default for field in fields(Budget)}
    values: dict[str, Any] = {}
    for key, value in texts.items():
        several = isinstance(value, list) and all(isinstance(one, str) for one in value)
        if key not in known or not (isinstance(value, str) or several):
            raise ValueError(f"the budget's '{excerpt(key)}' is not known")
        values[key] = tuple(value) if several else int(value) if key == "planned_n" else _value(value, known[key])
    return Budget(**values)


def _value(text: str, default: Any) -> Any:
    if isinstance(default, bool):
        return {"true": True, "false": False}[text]
    return float(text) if isinstance(default, float) else text


def budget_sha256(texts: Mapping[str, Any]) -> str:
    """SHA-256 of a budget as compact JSON with sorted keys."""
    text = json.dumps(texts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


# Reading


_LARGEST = 4_000_000
"""Most bytes of a statement; one about a thousand files has about 150,000."""

_REMEDY = "write it again with 'quantlab gate --attest'"


def read_attestation(path: Path) -> Attestation:
    """Read a statement about an artifact.

    Raises:
        StudyError: If the file is missing, malformed, of another type or version, or contradicts itself.
    """
    if not path.exists():
        raise StudyError(f"there is no statement '{path}'; {_REMEDY}")
    with reading(path, StudyError, _REMEDY):
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST:,} bytes")
        return _attestation(parse_json(text))


def _attestation(document: Any) -> Attestation:
    statement = _table(document, "it")
    _refuse_other_type(statement, "_type", STATEMENT_TYPE)
    _refuse_other_type(statement, "predicateType", PREDICATE_TYPE)
    predicate = _table(statement.get("predicate"), "its predicate")
    figures = _table(predicate.get(EXTENSION), f"its predicate's '{EXTENSION}'")
    if figures.get("schema") != ATTESTATION_SCHEMA:
        schema = excerpt(str(figures.get("schema")))
        raise ValueError(f"it has schema {schema}, and this quantlab reads {ATTESTATION_SCHEMA}")
    configuration = _configuration(predicate.get("configuration"))
    result = next((word for word in RESULTS if word == predicate.get("result")), None)
    if result is None:
        given = excerpt(str(predicate.get("result")))
        raise ValueError(f"its result is '{given}' and must be PASSED, WARNED or FAILED")
    attestation = Attestation(
        files=_files(statement.get("subject")),
        artifact_sha256=_sha256(figures.get("artifact_sha256"), "artifact"),
        model_sha256=_digest(configuration, "model"),
        samples_sha256=_digest(configuration, "samples"),
        verdict=_verdict(figures, configuration),
        result=result,
        plan=_table(figures.get("plan"), "its plan"),
    )
    _refuse_contradiction(attestation, predicate)
    return attestation


def _table(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not a table of JSON")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{what} is not a list")
    return value


def _refuse_other_type(statement: Mapping[str, Any], key: str, expected: str) -> None:
    if statement.get(key) != expected:
        raise ValueError(f"its {key} is '{excerpt(str(statement.get(key)))}' and must be {expected}")


def _files(subject: Any) -> dict[str, str]:
    files: dict[str, str] = {}
    for entry in _list(subject, "its subject"):
        name = _table(entry, "an entry of its subject").get("name")
        if not isinstance(name, str) or not name or _escapes(name):
            raise ValueError(f"its subject has the name '{excerpt(str(name))}', which is no file of an artifact")
        if name in files:
            raise ValueError(f"its subject has '{excerpt(name)}' twice")
        files[name] = _sha256(_table(entry.get("digest"), "a digest").get("sha256"), excerpt(name))
    if not files:
        raise ValueError("its subject is empty")
    return files


def _escapes(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\0" in name


def _sha256(value: Any, of: str) -> str:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError(f"the SHA-256 of '{of}' is missing or not 64 hexadecimal digits")
    return value


def _configuration(value: Any) -> dict[str, dict[str, Any]]:
    """Name of each thing that the verdict depends on → its descriptor; entries of others are passed over."""
    entries = [_table(entry, "an entry of its configuration") for entry in _list(value, "its configuration")]
    return {entry["name"]: entry for entry in entries if isinstance(entry.get("name"), str)}


def _digest(configuration: Mapping[str, dict[str, Any]], name: str) -> str:
    entry = configuration.get(name)
    if entry is None:
        raise ValueError(f"its configuration has no '{name}'")
    return _sha256(_table(entry.get("digest"), "a digest").get("sha256"), name)


def _verdict(figures: Mapping[str, Any], configuration: Mapping[str, dict[str, Any]]) -> Verdict:
    sha256 = _digest(configuration, "budget")
    texts = _table(configuration["budget"].get("annotations"), "its budget")
    if budget_sha256(texts) != sha256:
        raise ValueError("its budget does not have the SHA-256 beside it")
    try:
        budget = _budget_of(texts)
    except UsageError as error:
        raise ValueError(f"its budget is refused: {error}") from error
    settings = _structured(figures.get("settings"), SettingVerdict, "its settings")
    if not settings or not all(setting.judgements for setting in settings):
        raise ValueError("it judges no setting")
    untested = _structured(figures.get("untested"), str, "what is untested")
    return Verdict(_string(figures.get("study"), str), budget, settings, named=True, untested=untested)


def _structured(value: Any, kind: type[_Value], what: str) -> tuple[_Value, ...]:
    try:
        return tuple(_CONVERTER.structure(entry, kind) for entry in _list(value, what))
    except Exception as error:  # which cattrs itself raises for a word that is none of those allowed
        raise ValueError(f"{what} are incomplete or damaged") from error


def _string(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{excerpt(repr(value))} is not text")
    return value


def _float(value: Any, _: Any) -> float:
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{excerpt(repr(value))} is not a number")
    return float(value)


def _integer(value: Any, _: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{excerpt(repr(value))} is not a whole number")
    return value


def _truth(value: Any, _: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{excerpt(repr(value))} is neither true nor false")
    return value


_CONVERTER = cattrs.Converter(detailed_validation=False)
"""Reads judgements; keys of a later quantlab are passed over, as in-toto's rules want it."""
for _kind, _hook in ((str, _string), (float, _float), (int, _integer), (bool, _truth)):
    _CONVERTER.register_structure_hook(_kind, _hook)


def _refuse_contradiction(attestation: Attestation, predicate: Mapping[str, Any]) -> None:
    """Check that the fields that other tools read say what the judgements say, and these what their figures say."""
    passed, outcome = attestation.result == "PASSED", attestation.verdict.outcome
    told = {key: predicate.get(key, []) for key in ("passedTests", "warnedTests", "failedTests")}
    if passed != (outcome == "fits") or (attestation.result == "WARNED" and outcome != "inconclusive"):
        raise ValueError(f"it contradicts itself: its result is {attestation.result}, and its settings are '{outcome}'")
    if told != tests_of(attestation):
        raise ValueError("it contradicts itself: its tests have other outcomes than its settings")
    for clause in contradictions(attestation):
        raise ValueError(f"it contradicts itself: {clause}")
