"""Reads what a build must keep: `[budget]` of a policy file, overridden by options."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from quantlab.cli.config import read_table
from quantlab.errors import UsageError
from quantlab.names import excerpt, joined, nearest
from quantlab.types import Budget

__all__ = ["Policy", "Unlimited", "budget_of_model", "has_limits", "read_policy", "read_unlimited"]

_LIMITS = ("min_sqnr", "min_cosine", "max_abs_error", "max_rmse")
_OTHER_LIMITS = ("max_accuracy_loss", "max_class_loss", "max_slice_loss", "max_size", "min_agreement")
_ALL_LIMITS = (*_LIMITS, *_OTHER_LIMITS)
_LISTS = ("allow_constant", "order", "runtimes", "settings", "studies")
_TEXTS = ("metric", "target")
_FLAGS = ("allow_poor_reference", "leave_out_non_finite")
_TRUTHS = {True: True, False: False, "True": True, "False": False, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Policy:
    """A budget, and the settings and studies that it applies to."""

    budget: Budget
    settings: tuple[str, ...] | None
    """The settings that must fit; None means that any quantized setting is enough."""
    studies: tuple[Path, ...]
    """Empty means the latest study."""
    texts: Mapping[str, str]
    """The limits as text, for the file of accepted figures."""


@dataclass(frozen=True, slots=True)
class Unlimited:
    """What a budget without any limit still says."""

    target: str
    studies: tuple[Path, ...]
    """Empty means the latest study."""


def read_unlimited(policy: Path | None, given: Mapping[str, Any]) -> Unlimited:
    """Return the target and the studies of a budget that limits nothing; the arguments are those of `read_policy`.

    Raises:
        UsageError: If a key is invalid, or an option is given that only matters with a limit.
    """
    without_effect = [key for key, value in given.items() if value is not None and key not in ("target", "studies")]
    if without_effect:
        options = joined([f"--{key.replace('_', '-')}" for key in without_effect])
        have, them = ("has", "it") if len(without_effect) == 1 else ("have", "them")
        raise UsageError(
            f"{options} {have} no effect, because nothing is judged without a limit; add a limit, for example "
            f"--max-accuracy-loss 0.5pt, or leave {them} out"
        )
    table = _table(policy, given)
    _check_keys(table)
    return Unlimited(table.get("target", "any"), tuple(Path(folder) for folder in table.get("studies", ())))


def read_policy(policy: Path | None, given: Mapping[str, Any], *, unlimited: str | None = None) -> Policy:
    """Return `[budget]` of a policy file; options override its keys.

    Args:
        policy: The file; None means quantlab.toml in the current folder, if it exists.
        given: Keys of `[budget]` by name; None is an option that was not given.
        unlimited: Message for a budget without any limit; None means the one that names all limits.

    Raises:
        UsageError: If the file is missing or broken, a key or value is invalid, or the budget has no limit.
    """
    return _policy(_table(policy, given), unlimited)


def budget_of_model(policy: Path | None, own: Mapping[str, Any]) -> Budget | None:
    """Return what one model of a batch must keep: `[budget]`, overridden by the model's own keys.

    If a model has a limit of its own, the limits of `[budget]` do not apply to it, because a limit that suits one model
    can often not be judged for another. The other keys, such as `target`, do.

    Args:
        policy: The file, see `read_policy`.
        own: The keys of `[model.budget]`.

    Returns:
        None if nothing is limited.

    Raises:
        UsageError: If a key or value is invalid.
    """
    shared = read_table("budget", policy)
    if _is_limited(own):
        shared = {key: value for key, value in shared.items() if key not in _ALL_LIMITS}
    table = {**shared, **own}
    _check_keys(table)
    return _policy(table, None).budget if _is_limited(table) else None


def _policy(table: dict[str, Any], unlimited: str | None) -> Policy:
    _check_keys(table)
    if unlimited is not None and not _is_limited(table):
        raise UsageError(unlimited)
    settings, studies = table.pop("settings", None), table.pop("studies", ())
    budget = Budget(**table)  # first, because it refuses what is no text
    texts = {key: _text(value) for key, value in table.items()}
    return Policy(budget, settings, tuple(Path(folder) for folder in studies), texts)


def _check_keys(table: dict[str, Any]) -> None:
    """Refuse unknown keys, and read the values in place."""
    known = [*(field.name for field in fields(Budget)), "settings", "studies"]
    for key, value in table.items():
        if key not in known:
            raise UsageError(f"[budget] has no key '{excerpt(key)}'; {nearest(key, known)}")
        table[key] = _checked(key, value)


def has_limits(policy: Path | None, given: Mapping[str, Any]) -> bool:
    """Whether a policy file or options limit anything; the arguments are those of `read_policy`."""
    return _is_limited(_table(policy, given))


def _table(policy: Path | None, given: Mapping[str, Any]) -> dict[str, Any]:
    return {**read_table("budget", policy), **{key: value for key, value in given.items() if value is not None}}


def _is_limited(table: Mapping[str, Any]) -> bool:
    return any(key in table for key in _ALL_LIMITS)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _number(value: Any) -> Any:
    """Read a number or its text; any other value is returned, and the budget refuses it."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return value


def _limits(value: Any) -> tuple[Any, ...]:
    """Read one limit or several as texts; what is neither text nor a number is left for the budget to refuse."""
    several = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    return tuple(str(limit) if _is_number(limit) else limit for limit in several)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_LONGEST = 1000
"""Most characters of a value, or of a part of a list: no limit, name or path has more."""


def _checked(key: str, value: Any) -> Any:
    shown = excerpt(repr(value))
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
    if any(isinstance(part, str) and len(part) > _LONGEST for part in parts):
        raise UsageError(f"{key} is {shown}, and no value has over {_LONGEST:,} characters; correct it in [budget]")
    if key in _LISTS:
        texts = value.split(",") if isinstance(value, str) else value
        if not isinstance(texts, list | tuple) or not texts or not all(isinstance(name, str) for name in texts):
            raise UsageError(f'{key} is {shown} and must be a list of names: {key} = ["…"]')
        if any("\0" in name for name in texts):
            raise UsageError(f"{key} is {shown}, and no name holds a null character; remove it")
        return tuple(dict.fromkeys(name.strip() for name in texts))  # a study named twice is judged once
    if key in _LIMITS:
        return _limits(value)
    if key in _TEXTS and not isinstance(value, str):
        raise UsageError(f"{key} is {shown} and must be text in quotes; correct it in [budget]")
    if key in _FLAGS:
        if not isinstance(value, bool | str) or value not in _TRUTHS:
            raise UsageError(f"{key} is {shown} and must be true or false")
        return _TRUTHS[value]
    if isinstance(value, bool | dict | list):
        raise UsageError(f"{key} is {shown} and must be text or a number")
    if key == "confidence":
        return _number(value)
    if key == "planned_n":
        return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    return str(value) if _is_number(value) and key != "max_size" else value
