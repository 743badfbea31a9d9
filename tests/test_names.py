"""The default name of a study, from the path of its model."""

from pathlib import Path

import pytest

from quantlab.names import study_folder


@pytest.mark.parametrize(
    ("model", "folder"),
    [
        pytest.param("digits.keras", "digits.study", id="a file"),
        pytest.param("models/digits.v2.onnx", "digits.v2.study", id="a name with a dot"),
        pytest.param("/models/kws", "kws.study", id="a folder"),
        pytest.param("serving/kws/1", "kws-1.study", id="a version"),
        pytest.param("serving/kws/1/", "kws-1.study", id="with a slash"),
        pytest.param("/serving/kws/1700000000", "kws-1700000000.study", id="a version that is a time"),
        pytest.param("serving/kws/v1", "v1.study", id="a word is a name"),
        pytest.param("serving/kws/1.keras", "1.study", id="a file is not a version"),
        pytest.param("/1", "1.study", id="at the root"),
    ],
)
def test_the_folder_of_a_study(model, folder):
    assert study_folder(Path(model)) == Path(folder)


@pytest.mark.parametrize("model", ["1", "./1", "../kws/1"])
def test_a_version_in_the_current_folder(model, tmp_path, monkeypatch):
    (tmp_path / "kws").mkdir()
    monkeypatch.chdir(tmp_path / "kws")
    assert study_folder(Path(model)) == Path("kws-1.study")


def test_a_model_in_the_current_folder_itself(tmp_path, monkeypatch):
    (tmp_path / "kws").mkdir()
    monkeypatch.chdir(tmp_path / "kws")
    assert study_folder(Path()) == Path("kws.study")
