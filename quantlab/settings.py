"""The table of settings, and their selection by names and glob patterns."""

import fnmatch
from collections.abc import Mapping, Sequence

from quantlab.formats import FORMATS
from quantlab.names import choose
from quantlab.types import Setting

__all__ = ["SETTINGS", "select_settings"]

SETTINGS: Mapping[str, Setting] = {
    setting.name: setting for format_ in FORMATS.values() for setting in format_.settings
}
"""Settings by name, in table order."""


def select_settings(asked: Sequence[str] | None, settings: Mapping[str, Setting] = SETTINGS) -> tuple[Setting, ...]:
    """The settings that match the names and glob patterns, in table order; without any, the default settings."""
    if asked is None:
        return tuple(setting for setting in settings.values() if setting.default)
    names = choose("setting", asked, list(settings), matches=lambda name, glob: _means(settings[name], glob))
    return tuple(settings[name] for name in names)


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
