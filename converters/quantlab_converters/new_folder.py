"""The folder that a recipe writes into: a new one in the current folder, so that following a recipe overwrites nothing.

Its name begins with that of the setting and ends with random characters, so a recipe can be followed again.
"""

import shlex

__all__ = ["NEW_FOLDER_IMPORT", "into_new_folder", "new_folder_line"]

NEW_FOLDER_IMPORT = "import tempfile"
"""What `new_folder_line` needs."""


def new_folder_line(setting: str) -> str:
    """Return the line of a Python program that makes the folder and assigns its path to `folder`.

    >>> new_folder_line("onnx-int8")
    "folder = tempfile.mkdtemp(prefix='onnx-int8-', dir='.')  # a new folder, so that nothing is overwritten"
    """
    return (
        f"folder = tempfile.mkdtemp(prefix={f'{setting}-'!r}, dir='.')  # a new folder, so that nothing is overwritten"
    )


def into_new_folder(setting: str, command: str, *, then: str | None = None) -> str:
    """Return a line for a POSIX shell: it makes the folder, runs `command` with it as the last word, and prints it.

    A second command, `then`, is run in the same way.

    >>> into_new_folder("tfjs-uint8", "convert model")
    'folder=$(mktemp -d tfjs-uint8-XXXXXX) && convert model "$folder" && echo "$folder"'
    """
    commands = " && ".join(f'{one} "$folder"' for one in (command, then) if one is not None)
    return f'folder=$(mktemp -d {shlex.quote(f"{setting}-XXXXXX")}) && {commands} && echo "$folder"'
