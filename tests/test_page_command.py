"""`quantlab page`: the folder that it writes, and what it refuses to write over."""

import base64
import hashlib
import json
import re

import pytest
from command_line import quantlab_in_process

from quantlab import write_page
from quantlab.errors import UsageError
from quantlab.tab import is_bundled

pytestmark = pytest.mark.skipif(not is_bundled(), reason="the JavaScript is not bundled; run 'python hatch_build.py'")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return write_page(tmp_path_factory.mktemp("page") / "site").parent


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def hash_of(file):
    return base64.b64encode(hashlib.sha256(file.read_bytes()).digest()).decode()


def kept_files(site):
    """The files that the service worker keeps, with their hashes."""
    first = (site / "sw.js").read_text(encoding="utf-8").partition("\n")[0]
    return json.loads(first.removeprefix("self.FILES=").removesuffix(";"))


def test_the_service_worker_has_every_other_file_with_its_hash(site):
    kept = kept_files(site)
    assert set(kept) == files_in(site) - {"sw.js", "files.json"}
    assert kept == {name: hash_of(site / name) for name in kept}
    assert list(kept)[-1] == "ort-wasm-simd-threaded.wasm"  # the largest is fetched last


def test_the_list_has_every_file_with_its_hash(site):
    listed = json.loads((site / "files.json").read_bytes())["files"]
    assert listed == {name: hash_of(site / name) for name in files_in(site) - {"files.json"}}


def test_everything_that_the_page_names_is_there(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    named = {name for name in re.findall(r'(?:src|href)="([^"]+)"', text) if not name.startswith(("data:", "https:"))}
    assert named == {"page.css", "start.js", "page.js", "licences.txt"}
    assert named <= files_in(site)


def test_scripts_name_no_other_host(site):
    own = [path for path in site.glob("*.js") if path.name in {"page.js", "start.js", "sw.js"}]
    assert [path.name for path in own if re.search("(https?|wss?)://", path.read_text(encoding="utf-8"))] == []


def test_libraries_are_loaded_when_they_are_needed(site):
    """The page begins with its own script alone, so that it is there at once."""
    page = (site / "page.js").read_text(encoding="utf-8")
    assert len(page) < 12_000
    imported = set(re.findall(r'(?:^|;)import[^;(]*?"\./([^"]+)"', page))
    assert sum((site / name).stat().st_size for name in imported) < 8_000


def test_the_command_says_how_to_open_the_page(tmp_path):
    done = quantlab_in_process("page", "--out", "web", "--json", cwd=tmp_path)
    assert done.status == 0
    assert json.loads(done.stdout) == {"written": "web/index.html"}
    assert done.last == ("Page written to 'web'. To open it: python -m http.server -d web, then http://localhost:8000/")


def test_the_command_to_open_a_page_quotes_its_folder(tmp_path):
    done = quantlab_in_process("page", "--out", "my page", cwd=tmp_path)
    assert done.status == 0
    assert done.last == (
        "Page written to 'my page'. To open it: python -m http.server -d 'my page', then http://localhost:8000/"
    )


def test_a_page_that_was_written_before_is_replaced(tmp_path):
    write_page(tmp_path)
    (tmp_path / "page.js").write_text("old")
    (tmp_path / "gone.js").write_text("old")
    listed = json.loads((tmp_path / "files.json").read_bytes())
    listed["files"]["gone.js"] = ""  # of a version that had it
    (tmp_path / "files.json").write_text(json.dumps(listed))
    write_page(tmp_path)
    assert not (tmp_path / "gone.js").exists()
    assert (tmp_path / "page.js").read_text(encoding="utf-8") != "old"


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    done = quantlab_in_process("page", "--out", tmp_path, cwd=tmp_path)
    assert done.status == 2
    assert done.last == (
        f"quantlab: '{tmp_path}' has files that are not of this page, such as 'thesis.txt', and nothing is written "
        "over; name another folder with --out"
    )
    assert files_in(tmp_path) == {"thesis.txt"}


def test_one_other_file_in_a_page_protects_it(tmp_path):
    write_page(tmp_path)
    (tmp_path / "notes.md").write_text("mine")
    with pytest.raises(UsageError, match=r"such as 'notes\.md'"):
        write_page(tmp_path)
    assert (tmp_path / "page.js").is_file()


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "site").write_text("mine")
    with pytest.raises(UsageError, match="is a file, and the page is a folder; name another folder with --out"):
        write_page(tmp_path / "site")
    assert (tmp_path / "site").read_text() == "mine"
