"""Options of the form NAME=VALUE."""

from pathlib import Path

import pytest

from quantlab.cli.named import variants_of


@pytest.mark.parametrize(
    ("text", "file", "runtimes"),
    [
        pytest.param("mine=m.tflite", "m.tflite", None, id="a file"),
        pytest.param("mine=m.tflite@python", "m.tflite", "python", id="in one runtime"),
        pytest.param("mine=m.tflite@python,node-*", "m.tflite", "python,node-*", id="in several"),
        pytest.param("mine=a=b.tflite", "a=b.tflite", None, id="an equals sign in the file"),
        pytest.param("mine=@scope/package/model", "@scope/package/model", None, id="a scope of npm"),
        pytest.param("mine=x/@scope/model@python", "x/@scope/model", "python", id="a scope and a runtime"),
        pytest.param("mine=@scope", "@scope", None, id="nothing before it"),
    ],
)
def test_variants(text, file, runtimes):
    given = variants_of([text])
    assert given.files == {"mine": Path(file)}
    assert given.runtimes == ({} if runtimes is None else {"mine": (runtimes,)})


def test_a_file_that_exists_is_taken_as_it_is_called(tmp_path):
    file = tmp_path / "m@python"
    file.touch()
    given = variants_of([f"mine={file}", f"other={file}@node-wasm"])
    assert given.files == {"mine": file, "other": file}
    assert given.runtimes == {"other": ("node-wasm",)}
