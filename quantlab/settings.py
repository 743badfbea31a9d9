"""The table of settings, and their selection by names and glob patterns."""

import fnmatch
from collections.abc import Collection, Mapping, Sequence

from quantlab.errors import UsageError
from quantlab.formats import FORMATS
from quantlab.names import choose
from quantlab.types import Setting

__all__ = ["SETTINGS", "select_settings"]

SETTINGS: Mapping[str, Setting] = {
    setting.name: setting for format_ in FORMATS.values() for setting in format_.settings
}
"""Settings by name, in table order."""


def select_settings(
    asked: Sequence[str] | None,
    settings: Mapping[str, Setting] = SETTINGS,
    *,
    keep_float: bool = False,
    tuned: Collection[str] = (),
) -> tuple[Setting, ...]:
    """The settings that match the names and glob patterns, in table order; without any, the default settings.

    Args:
        asked: Names and globs; None selects the default settings.
        settings: All settings by name.
        keep_float: Whether layers stay in float: behind each chosen setting follows the one that keeps them there.
        tuned: Formats that were tuned; the setting that was decided for each of them is chosen, too.

    Raises:
        UsageError: If a name or glob matches nothing.
    """
    names = {name.strip() for text in asked or () for name in text.split(",")}
    offered = {
        name: setting
        for name, setting in settings.items()
        if (keep_float or not setting.keeps_float)
        and (setting.format in tuned or not setting.tuned)
        and (name in names or not setting.by_name)
    }
    if asked is None:
        chosen = {name for name, setting in offered.items() if setting.default}
    else:
        _refuse_undecided(asked, settings, offered)
        chosen = set(choose("setting", asked, list(offered), matches=lambda name, glob: _means(offered[name], glob)))
    if keep_float:
        chosen |= {settings[name].keeping_float().name for name in chosen if not settings[name].keeps_float}
    chosen |= {name for name, setting in offered.items() if setting.tuned}
    return tuple(setting for name, setting in offered.items() if name in chosen)


def _refuse_undecided(asked: Sequence[str], settings: Mapping[str, Setting], offered: Mapping[str, Setting]) -> None:
    """Refuse the name of a setting that needs `--float-layers` or `--tuned`, which was not given."""
    for text in asked:
        for name in (name.strip() for name in text.split(",")):
            if name in offered or name not in settings:
                continue
            if settings[name].tuned:
                raise UsageError(
                    f"the setting '{name}' is what 'quantlab tune' decided; run that, and give its file with --tuned"
                )
            raise UsageError(f"the setting '{name}' keeps layers in float; name them with --float-layers NAME,…")


def _means(setting: Setting, pattern: str) -> bool:
    """Whether a glob pattern selects a setting; with a dash, format and scheme are matched separately.

    Thus `tfjs-*` selects every graph-model, but no layers-model, whose format is `tfjs-layers`.
    """
    parts = pattern.split("-")
    halves = [("-".join(parts[:place]), "-".join(parts[place:])) for place in range(1, len(parts))]
    return (
        fnmatch.fnmatchcase(setting.name, pattern)
        if not halves
        else any(
            fnmatch.fnmatchcase(setting.format, format_glob) and fnmatch.fnmatchcase(setting.scheme, scheme_glob)
            for format_glob, scheme_glob in halves
        )
    )
