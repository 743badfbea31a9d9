"""The column of a table about the samples: which row belongs to which sample, and what is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.errors import QuantlabError, SamplesError, UsageError
from quantlab.samples.columns import names_a_column, read_column, split_column

FILES = ("cat/1.png", "cat/2.png", "dog/1.png")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(text, column="site", *, n=3, files=(), name="meta.csv"):
    Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
    return read_column(Path(name), column, n=n, files=files, samples="shots")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        pytest.param("site\nA\nB\nA\n", {}, id="one column"),
        pytest.param("id,site,age\n1,A,3\n2,B,4\n3,A,5\n", {}, id="one of several"),
        pytest.param("site\r\nA\r\nB\r\nA", {}, id="line ends of Windows, and none at the end"),
        pytest.param("\ufeffsite\nA\nB\nA\n", {}, id="a byte order mark"),
        pytest.param(" site , age\n A ,1\nB, 2\nA,3\n", {}, id="spaces around values"),
        pytest.param("site\nA\n\nB\nA\n\n", {}, id="empty lines"),
        pytest.param('site,note\nA,"x, y\nz"\nB,\nA,\n', {}, id="quotes, and empty values of another column"),
        pytest.param("age\tsite\n1\tA\n2\tB\n3\tA\n", {"name": "meta.tsv"}, id="tabs"),
        pytest.param("file,site\nz,A\ny,B\nx,A\n", {}, id="a column of files is no key of arrays"),
        pytest.param(
            "site,file\nA,dog/1.png\nB,cat/2.png\nA,cat/1.png\nC,other/9.png\n",
            {"files": FILES},
            id="files in any order, and files that are no samples",
        ),
        pytest.param(
            "file,site\n./cat/1.png,A\ncat//2.png,B\ndog/1.png,A\n", {"files": FILES}, id="paths in another spelling"
        ),
    ],
)
def test_values_come_in_the_order_of_the_samples(text, options):
    assert read(text, **options) == ("A", "B", "A")


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        pytest.param(
            "site\nA\nB\n",
            {},
            SamplesError,
            "'meta.csv' has 2 rows and 'shots' 3 samples; give one row for each sample, in the order of the samples",
            id="a row too few",
        ),
        pytest.param(
            "sites,age\nA,1\n",
            {"n": 1},
            UsageError,
            "'meta.csv' has no column 'site'; did you mean 'sites'?",
            id="an unknown column",
        ),
        pytest.param(
            "site,site\nA,B\n",
            {"n": 1},
            UsageError,
            "'meta.csv' has 2 columns 'site'; rename all but one of them",
            id="a column twice",
        ),
        pytest.param(
            "site,x\nA,\n,1\n , \n",
            {},
            SamplesError,
            "'meta.csv' has no value of 'site' in lines 3 and 4; give every sample a value, for example 'unknown'",
            id="missing values",
        ),
        pytest.param(
            "site,x\nA,1\nB\nC,1\n",
            {},
            SamplesError,
            "line 3 of 'meta.csv' has 1 value and the header 2 columns; give every row one value for each column",
            id="a short row",
        ),
        pytest.param(
            "site\nA\nB\nA\n",
            {"files": FILES},
            UsageError,
            "'meta.csv' has no column 'file', and the samples 'shots' are files; add a column 'file' with their paths "
            "below 'shots'",
            id="files without their names",
        ),
        pytest.param(
            "file,site\ncat/1.png,A\n2.png,B\n",
            {"files": FILES},
            SamplesError,
            "'meta.csv' has no row for 2 files of 'shots' ('cat/2.png', 'dog/1.png'); give one row for each file, "
            "with its path below 'shots'",
            id="files without a row",
        ),
        pytest.param(
            "file,site\ncat/1.png,A\ncat/2.png,B\n./cat/1.png,B\n",
            {"files": FILES},
            SamplesError,
            "'meta.csv' names the file 'cat/1.png' in the lines 2 and 4; give one row for each file",
            id="a file twice",
        ),
        pytest.param(
            "\n",
            {},
            SamplesError,
            "the table 'meta.csv' is empty; give a UTF-8 text file with a header line and one row for each sample",
            id="no header",
        ),
        pytest.param(
            b"site\n\xff\n",
            {},
            SamplesError,
            "the table 'meta.csv' cannot be read ('utf-8' codec can't decode byte 0xff in position 5: invalid start "
            "byte); give a UTF-8 text file with a header line and one row for each sample",
            id="no UTF-8",
        ),
        pytest.param(
            'site\n"A\n',
            {},
            SamplesError,
            "the table 'meta.csv' cannot be read (unexpected end of data); give a UTF-8 text file with a header line "
            "and one row for each sample",
            id="an open quote",
        ),
    ],
)
def test_what_is_refused(text, options, error, message):
    with pytest.raises(error) as raised:
        read(text, **options)
    assert str(raised.value) == message


def test_a_missing_file_is_told_with_those_that_are_there():
    Path("meta.csv").write_text("site\nA\n")
    with pytest.raises(SamplesError) as raised:
        read_column(Path("mate.csv"), "site", n=1, files=(), samples="shots")
    assert str(raised.value) == "there is no file 'mate.csv'; did you mean 'meta.csv'?"


@given(raw=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_a_sentence(raw):
    try:
        values = read(raw)
    except QuantlabError as error:
        values, told = None, str(error)
    assert "'meta.csv'" in told if values is None else len(values) == 3 and all(values)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        pytest.param("meta.csv:site", (Path("meta.csv"), "site"), id="a column"),
        pytest.param("a:b/meta.TSV:lens: left", (Path("a:b/meta.TSV"), "lens: left"), id="colons elsewhere"),
    ],
)
def test_a_text_names_a_column(text, parts):
    assert names_a_column(text)
    assert split_column(text, option="--slice") == parts


@pytest.mark.parametrize("text", ["meta.csv", "meta.csv:", "meta.csv: ", "site", "module:function", ""])
def test_a_text_that_names_no_column(text):
    with pytest.raises(UsageError) as raised:
        split_column(text, option="--slice")
    assert str(raised.value) == (
        f"--slice '{text}' does not name a column of a .csv or .tsv file; write for example --slice meta.csv:COLUMN"
    )
