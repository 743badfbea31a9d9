"""Copies the artifact of a user that is already what a setting asks for."""

import shutil
from pathlib import Path

from quantlab.formats import Format
from quantlab_converters.new_folder import NEW_FOLDER_IMPORT, new_folder_line

__all__ = ["copy_artifact", "copy_recipe"]


def copy_artifact(format_: Format, source: Path, folder: Path) -> None:
    """Copy the files of an artifact, unchanged and under their names, into the folder of a setting.

    A single file gets the name that `Format.served` finds.

    Args:
        format_: Its format.
        source: The artifact: a folder or a file.
        folder: The folder to write into.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not format_.entry:
        shutil.copyfile(source, format_.served(folder))
        return
    beside = source if source.is_dir() else source.parent
    for file in format_.files(source):
        target = folder / file.relative_to(beside)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def copy_recipe(format_: Format, setting: str, source: Path) -> str:
    """The program that copies it by hand; see `Converter.recipe`."""
    return _PROGRAM.format(
        imports=NEW_FOLDER_IMPORT, new_folder=new_folder_line(setting), format=format_.name, source=str(source)
    )


_PROGRAM = """\
{imports}
from pathlib import Path
from quantlab.formats import FORMATS
from quantlab_converters.copied import copy_artifact

{new_folder}
copy_artifact(FORMATS[{format!r}], Path({source!r}), Path(folder))
print(FORMATS[{format!r}].served(Path(folder)))
"""
