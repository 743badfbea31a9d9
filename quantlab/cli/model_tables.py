"""The `[[model]]` tables of a quantlab.toml, whose keys are the options of `quantlab analyze` and read as they are."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from quantlab.cli.analysis_options import AnalysisGroup, Scored, analyze_options
from quantlab.cli.analyze_table import ANALYZE_KEYS, analyzed
from quantlab.cli.config import read_models, read_table
from quantlab.cli.options import ImageOptions, InsideOptions, Model, ModelGroup, Store, TimeLimit
from quantlab.cli.policy import budget_of_model
from quantlab.cli.shard_options import ShardGroup, overridden
from quantlab.cli.spread import spread
from quantlab.errors import UsageError
from quantlab.names import excerpt, nearest, refuse_address, study_folder

if TYPE_CHECKING:
    from quantlab.study.batch import BatchModel

__all__ = ["model_keys", "models_of"]

_OVERVIEW = "index"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
"""Names are names of files, too."""


def models_of(file: Path | None, given: Mapping[str, Any] | None = None) -> "tuple[BatchModel, ...]":
    """Return the models of a file.

    Args:
        file: The file; None is the quantlab.toml of the current folder.
        given: Keys that override those of all models.

    Raises:
        UsageError: If the file is missing or broken, a key or value is invalid, or two models share a name or folder.
    """
    where = f"'{file or 'quantlab.toml'}'"
    shared = {key: value for key, value in read_table("analyze", file).items() if key not in _OWN}
    for key in shared:
        if key not in ANALYZE_KEYS:
            raise UsageError(f"[analyze] has no key '{excerpt(key)}'; {nearest(key, ANALYZE_KEYS)}")
    tables = [overridden(overridden(shared, table), given or {}) for table in read_models(file)]
    models = [_model_of(table, f"[[model]] {place} of {where}", file) for place, table in enumerate(tables, start=1)]
    for kind, known in (("name", [model.name for model in models]), ("folder", [str(m.folder) for m in models])):
        twice = [text for place, text in enumerate(known) if text in known[:place]]
        if twice:
            raise UsageError(
                f"two [[model]] tables of {where} have the {kind} '{twice[0]}'; give each a different "
                f"{'name' if kind == 'name' else 'study'}"
            )
    return tuple(models)


def _model_of(table: Mapping[str, Any], place: str, file: Path | None) -> "BatchModel":
    for key in ("model", "data"):
        if not isinstance(table.get(key), str) or not table[key]:
            raise UsageError(f'{place} has no {key}; write {key} = "FILE" below it')
    name = table.get("name", study_folder(Path(table["model"])).name.removesuffix(".study"))
    if name == _OVERVIEW:
        raise UsageError(f"the name '{name}' of {place} is that of the page of all models; choose another name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"the name {excerpt(repr(name))} of {place} must be of letters, digits, '.', '_' and '-'; it names files"
        )
    keys = {"study": f"{name}.study", **({"config": str(file)} if file is not None else {}), **table}
    keys.pop("name", None)
    own = keys.pop("budget", {})
    if not isinstance(own, dict):
        raise UsageError(f"budget of {place} is {excerpt(repr(own))}; write [model.budget] and its keys below")
    for key in own:
        if key in _OF_STUDIES:
            raise UsageError(f"[model.budget] of {place} has the key '{key}', which belongs to [budget]; remove it")
    model = _parsed(name, keys, place)
    refuse_address(model.folder)
    try:
        return replace(model, budget=budget_of_model(file, own))
    except UsageError as error:
        raise UsageError(f"the budget of {place}: {error}") from error


_OF_ANALYZE = {"out": "study", "slice": "slices"}
"""Options whose keys have another name in `[analyze]`, and so here."""

_OF_STUDIES = ("settings", "studies")
"""Keys of `[budget]` that say which studies and settings a gate judges, and so not of one model."""

_OWN = ("model", "data", "study", "serving")
"""Keys of `[analyze]` that are about one model; an address names the model of a server, too."""


def model_keys() -> tuple[str, ...]:
    """Return the keys of a `[[model]]` table: the options of `quantlab analyze` with underscores, and its own."""
    return ("name", "model", "budget", *_command()[1])


def _command() -> tuple[Any, dict[str, Any]]:
    """The command whose options the keys are, and its options by key."""
    app = typer.Typer(add_completion=False)
    app.command()(_read)
    command = typer.main.get_command(app)
    options = {option.opts[0].removeprefix("--"): option for option in command.params}
    return command, {
        _OF_ANALYZE.get(name, name.replace("-", "_")): option
        for name, option in options.items()
        if name not in {"model", "help"}
    }


def _parsed(name: str, keys: Mapping[str, Any], place: str) -> "BatchModel":
    """Read the keys as `quantlab analyze` would read them as options."""
    command, known = _command()
    options = {key: value for key, value in keys.items() if key != "model"}
    for key in options:
        if key not in known:
            raise UsageError(f"{place} has no key '{excerpt(key)}'; {nearest(key, model_keys())}")
    words = [word for key, value in options.items() for word in _words(known[key], key, value, place)]
    try:
        model, data, read = command.main([*words, "--", keys["model"]], prog_name="", standalone_mode=False)
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from error
    except OSError as error:  # a name that no file can have
        named = excerpt(str(error.filename or ""))
        raise UsageError(f"{place}: {error.strerror}: '{named}'; correct the key") from error
    except Exception as error:
        explain = getattr(error, "format_message", None)  # typer bundles its own click, which cannot be imported
        if explain is None:
            raise
        text = explain().rstrip(".")
        raise UsageError(f"{place}: {text[:1].lower()}{text[1:]}; correct the key") from error
    from quantlab.study.batch import BatchModel

    return BatchModel(name, model, data, read)


@spread
def _read(
    model: Model,
    data: Scored,
    *,
    asked: AnalysisGroup,
    opening: ModelGroup,
    image: ImageOptions,
    inside: InsideOptions,
    cut: ShardGroup,
    store: Store = None,
    time_limit: TimeLimit = 600.0,
) -> Any:
    """Return what `quantlab analyze` would be asked for."""
    what = analyzed({"model": model, "data": data, "store": store, "time_limit": time_limit, **asked.keys, **cut.keys})
    return what.model, what.data, analyze_options(what, asked, opening=opening, image=image, inside=inside)


_LONGEST = 1000
"""Most characters of a value, or of a part of a list: no name or path has more."""


def _words(option: Any, key: str, value: Any, place: str) -> Iterator[str]:
    """Write a value as it is written on a command line."""
    spelled, shown = option.opts[0], excerpt(repr(value))
    if option.is_flag:
        if not isinstance(value, bool):
            raise UsageError(f"{key} of {place} is {shown} and must be true or false; correct it")
        if value:
            yield spelled
        return
    parts = value if isinstance(value, list) else [value]
    if not parts or not all(isinstance(part, str | int | float) and not isinstance(part, bool) for part in parts):
        raise UsageError(f"{key} of {place} is {shown} and must be text, a number, or a list of these; correct it")
    if any(len(str(part)) > _LONGEST for part in parts):
        raise UsageError(f"{key} of {place} is {shown}, and no value has over {_LONGEST:,} characters; correct it")
    yield from (f"{spelled}={part}" for part in _given(parts, repeated=option.multiple))


def _given(parts: Sequence[Any], *, repeated: bool) -> list[str]:
    return [str(part) for part in parts] if repeated else [",".join(map(str, parts))]
