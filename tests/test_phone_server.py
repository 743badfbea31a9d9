"""The server for a phone: whom it answers, what a page gets, and that an unfinished job is sent again."""

import json
import socket
import ssl
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from phone_stand_in import FACTS, FakePhone, N, Study, serving, small_job, small_patience

from quantlab.errors import UsageError
from quantlab.runtimes.exchange import TimingPlan
from quantlab.runtimes.phone import Device, write_certificate
from quantlab.runtimes.phone.limits import Rate
from quantlab.runtimes.phone.tasks import Session
from quantlab.runtimes.requests import Run, Tap, Time

OUTPUTS = np.arange(N * 2, dtype=np.float32).reshape(N, 2)
SECOND = (
    b"This address belongs to the browser that opened it first. Open it there again, or stop 'quantlab phone' on the "
    b"computer and start it again for a new address."
)


@pytest.fixture
def server(tmp_path):
    with serving(tmp_path) as server:
        yield server


@pytest.fixture
def phone(server):
    made = FakePhone(server.address("127.0.0.1"))
    assert made.hello() == 200
    return made


@pytest.fixture
def study(server):
    made = Study(server.desk)
    yield made
    made.ended = True


def test_a_page_gets_the_bundled_files_and_nothing_else(server):
    page = FakePhone(server.address("127.0.0.1"))
    assert page.own("") == (200, b"phone.html")
    assert page.own("phone.js") == (200, b"phone.js")
    assert page.own("litert/runtime.wasm") == (200, b"\0asm")
    assert page.headers["Content-Type"] == "application/wasm"
    assert page.own("phone.css") == (200, b"phone.css")
    policy = page.headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "connect-src 'self'", "frame-ancestors 'self'"} <= set(policy)
    assert page.hello() == 200
    names = [
        "stamp",
        "browser/",
        "litert",
        "litert/",
        "..",
        "../stamp",
        "%2e%2e/stamp",
        "run",
        "run/",
        "run/1",
        "blank",
    ]
    assert {name: page.own(name) for name in names} == dict.fromkeys(names, (404, b""))


def test_the_cookie_is_for_this_page_and_no_script(server):
    page = FakePhone(server.address("127.0.0.1"))
    assert page.hello() == 200
    value, *told = page.headers["Set-Cookie"].split("; ")
    assert value == f"quantlab={server.cookie}"
    assert told == [f"Path=/{server.token}/", "HttpOnly", "SameSite=Strict"]


@pytest.mark.parametrize("name", ["", "phone.js", "news?page=1&seen=-1", "run/1-1/job"])
def test_nothing_is_answered_without_the_token(name, phone):
    wrong = phone.token[:-1] + ("a" if phone.token[-1] != "a" else "b")
    for path in (f"/{name}", f"/{wrong}/{name}", f"/{phone.token}x/{name}", f"//{name}"):
        assert phone.ask(path) == (404, b"")
    assert phone.ask(f"/{wrong}/hello", method="POST", body=b"{}") == (404, b"")


def test_nothing_is_answered_under_another_name(server, phone):
    for host in ("example.org", f"example.org:{server.port}", "127.0.0.1", "", f"0.0.0.0:{server.port}"):
        assert phone.own("", Host=host) == (404, b"")
    assert phone.own("", Host=f"localhost:{server.port}") == (200, b"phone.html")


def test_nothing_is_taken_from_another_site(phone):
    for origin in ("http://example.org", "null", phone.origin.replace("http", "https")):
        assert phone.own("hello", method="POST", body=b"{}", Origin=origin) == (404, b"")
    assert phone.own("hello", method="POST", body=b"{}", plain=True, Cookie=phone.cookie) == (404, b"")
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert phone.own("news?page=1&seen=-1", **cross) == (404, b"")
    # The address itself may be opened from elsewhere, as by the program that reads the code.
    assert phone.own("", **cross)[0] == 200


@pytest.mark.parametrize("name", ["", "phone.js", "news?page=1&seen=-1", "run/1-1/job"])
def test_a_second_device_is_told_why(name, server, phone):
    second = FakePhone(server.address("127.0.0.1"))
    assert second.own(name) == (403, SECOND)
    second.cookie = "quantlab=guessed"
    assert second.own(name) == (403, SECOND)
    assert second.hello() == 403
    assert phone.own("")[0] == 200


def test_a_page_that_missed_the_answer_to_its_greeting_greets_again(server):
    lost, page, other = (FakePhone(server.address("127.0.0.1")) for _ in range(3))
    assert lost.hello(claim="of the first page") == 200
    assert page.hello(claim="of the first page") == 200
    assert page.own("") == (200, b"phone.html")
    assert [other.hello(claim=claim) for claim in ("", "of another page", 7)] == [403, 403, 403]


def test_a_page_without_a_claim_cannot_be_followed_by_another(server):
    first, second = (FakePhone(server.address("127.0.0.1")) for _ in range(2))
    assert (first.hello(), second.hello(), second.hello(claim="")) == (200, 403, 403)


def test_an_older_page_of_the_same_phone_stops(phone):
    assert (phone.hello(), phone.page) == (200, 2)
    sentence = b"Another page of this phone was opened after this one; continue there."
    assert phone.own("news?page=1&seen=-1") == (409, sentence)
    assert phone.news()["run"] is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 400, id="nothing"),
        pytest.param(b"[]", 400, id="a list"),
        pytest.param(b"\xff", 400, id="no text"),
        pytest.param(b"[" * 16_000, 400, id="nested beyond all measure"),
        pytest.param(b'{"user_agent": "' + b"a" * 20_000 + b'"}', 413, id="too long"),
    ],
)
def test_a_greeting_that_is_none(body, status, server):
    page = FakePhone(server.address("127.0.0.1"))
    assert page.own("hello", method="POST", body=body)[0] == status
    assert page.hello() == 200


@pytest.mark.parametrize("memory_gb", [10**400, float("inf"), float("nan"), -1, True, "8", None])
def test_a_memory_that_cannot_be_is_not_told(memory_gb):
    assert Device.of({**FACTS, "memory_gb": memory_gb}) == Device.of(FACTS)


def test_facts_of_a_liar_are_short_lines():
    facts = {"user_agent": "\x1b]0;x\x07" + "a" * 5000, "model": ["x"], "cores": -1, "memory_gb": float("nan")}
    device = Device.of({**facts, "max_texture_size": True, "renders_float32": "yes", "renderer": "a\nb"})
    assert device.user_agent == f"]0;x{'a' * 196}…"
    assert (device.model, device.cores, device.memory_gb, device.max_texture_size) == ("", 0, 0.0, 0)
    assert (device.renders_float32, device.renderer) == (False, "a b")


def test_a_flood_of_strangers_does_not_stop_the_phone(phone):
    statuses = [phone.ask("/guess", plain=True)[0] for _ in range(100)]
    assert statuses[0] == 404
    assert 429 in statuses
    assert phone.own("")[0] == 200


def test_a_flood_of_strangers_does_not_keep_a_phone_from_opening_the_page(server):
    page = FakePhone(server.address("127.0.0.1"))
    assert 429 in {page.ask("/guess", plain=True)[0] for _ in range(100)}
    assert page.own("") == (200, b"phone.html")
    assert page.hello() == 200


def test_a_flood_of_the_phone_is_slowed(server, phone):
    server.rate = Rate(per_second=1, at_once=5)
    assert [phone.own("phone.js")[0] for _ in range(7)].count(429) >= 1


def test_open_connections_are_counted(server, phone):
    held = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(40)]
    time.sleep(0.3)
    with pytest.raises((ConnectionError, OSError)):
        phone.own("")
    for one in held:
        one.close()
    until = time.monotonic() + 20
    while server.connections and time.monotonic() < until:
        time.sleep(0.05)
    assert phone.own("")[0] == 200


def test_a_job_runs(tmp_path, phone, study):
    job = small_job(tmp_path / "job")
    thread = study.ask(Run(job))
    key = phone.dispatch()
    asked = phone.job(key)
    assert str(tmp_path) not in json.dumps(asked)
    assert phone.own(f"run/{key}/") == (200, b"phone-frame.html")
    assert phone.own(f"run/{key}/artifact/model.json") == (200, b"{}")
    assert phone.own(f"run/{key}/input/0", Range="bytes=128-143") == (206, np.arange(4, dtype=np.float32).tobytes())
    assert phone.run_batches(key, OUTPUTS) == N
    thread.join(20)
    assert study.kinds == ["ready", *["progress"] * 3, "repeated", "done"]
    np.testing.assert_array_equal(np.load(tmp_path / "job" / "y.npy"), OUTPUTS)
    assert phone.own(f"run/{key}/job")[0] == 409 or phone.news()["run"] is None


@pytest.mark.parametrize("batches", [0, 1, 2, 3])
def test_a_page_that_is_closed_goes_on_where_it_was(batches, tmp_path, phone, study):
    job = small_job(tmp_path / "job")
    thread = study.ask(Run(job))
    key = phone.dispatch()
    done = phone.run_batches(key, OUTPUTS, most=batches) if batches < 3 else _all_but_done(phone, key)
    assert phone.hello() == 200  # opened again
    again = phone.dispatch()
    assert phone.own(f"run/{key}/job")[0] == 409
    assert phone.write(key, 128, OUTPUTS[:4]) == 409
    assert phone.job(again)["job"]["start"] == min(done, 8)
    assert phone.run_batches(again, OUTPUTS) == N
    thread.join(20)
    assert [one["done"] for one in study.said if one["type"] == "progress"] == [4, 8, N]
    np.testing.assert_array_equal(np.load(tmp_path / "job" / "y.npy"), OUTPUTS)


def _all_but_done(phone, key):
    """Every batch, but not the last message."""
    job = phone.job(key)["job"]
    for first in range(0, N, 4):
        last = min(first + 4, N)
        phone.write(key, 128 + first * 8, OUTPUTS[first:last])
        phone.tell(key, {"type": "progress", "done": last, "batch": last - first, "seconds": 0.0})
    return job["stop"]


def test_what_arrives_twice_is_taken_once(tmp_path, phone, study):
    thread = study.ask(Run(small_job(tmp_path / "job")))
    key = phone.dispatch()
    ready = {"type": "ready", "ran_on": "phone-wasm", "environment": {}}
    assert [phone.tell(key, ready, 1), phone.tell(key, ready, 1)] == [204, 204]
    assert phone.tell(key, {"type": "done"}, 3) == 409
    for _ in range(2):
        assert phone.write(key, 128, OUTPUTS[:4]) == 204
        assert phone.tell(key, {"type": "progress", "done": 4, "batch": 4, "seconds": 0.0}, 2) == 204
    assert study.kinds == ["ready", "progress"]
    assert phone.tell(key, {"type": "failed", "reason": "enough"}, 3) == 204
    thread.join(20)
    assert study.said[-1] == {"type": "failed", "reason": "enough", "missing_op": None, "expected": None}


READY = {"type": "ready", "ran_on": "phone-wasm", "environment": {}}
STEP = {"type": "progress", "done": 4, "batch": 4, "seconds": 0.0}
SAME = {"type": "repeated", "way": "again", "samples": 4, "differing": 0, "largest": 0.0, "scale": 1.0}


@pytest.mark.parametrize(
    ("message", "told"),
    [
        pytest.param({"type": "opened"}, "a message 'opened', which does not answer the request", id="another type"),
        pytest.param({"type": "tapped"}, "a message 'tapped', which does not answer the request", id="of another job"),
        pytest.param({"type": "done"}, "that it is done after 0 of 10 samples", id="done before it began"),
        pytest.param({**STEP, "done": 8}, "that 8 samples are done, after 0 in batches of 4", id="a jump"),
        pytest.param(
            STEP, "that 4 samples are done, and has not sent all of their outputs", id="outputs that never came"
        ),
        pytest.param({**STEP, "done": -4}, "that -4 samples are done, after 0 in batches of 4", id="backwards"),
        pytest.param({**STEP, "seconds": -1.0}, "-1.0 seconds", id="a time before its beginning"),
        pytest.param('{"type": "progress", "done": 4, "batch": 4, "seconds": NaN}', "nan seconds", id="not a number"),
        pytest.param(
            '{"type": "progress", "done": 1e999, "batch": 4, "seconds": 0}', "an invalid message 'progress'", id="1e999"
        ),
        pytest.param({**STEP, "more": 1}, "an invalid message 'progress'", id="an unknown key"),
        pytest.param({"type": "progress"}, "an invalid message 'progress'", id="no keys"),
        pytest.param({**READY, "environment": [1]}, "an invalid message 'ready'", id="a list of facts"),
        pytest.param(
            {**READY, "ran_on": "python"}, "that it runs on 'python' and not on phone-wasm", id="another runtime"
        ),
        pytest.param(SAME, "a comparison of samples that cannot be", id="a comparison before the end"),
        pytest.param({"type": "\x1b[31m" + "x" * 100}, f"a message '[31m{'x' * 36}…', which", id="escape codes"),
    ],
)
def test_what_cannot_be_costs_the_row(message, told, tmp_path, phone, study):
    thread = study.ask(Run(small_job(tmp_path / "job")))
    assert phone.tell(phone.dispatch(), message) == 204
    thread.join(20)
    assert study.kinds == ["failed"]
    assert study.reason.startswith(f"the phone reported {told}")


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        pytest.param(
            [{"type": "done"}], "that it is done, and has not run its first samples again", id="without a comparison"
        ),
        pytest.param(
            [{**SAME, "samples": 1}], "a comparison of samples that cannot be", id="a comparison of fewer samples"
        ),
        pytest.param([SAME, SAME], "a comparison of samples that cannot be", id="two comparisons"),
    ],
)
def test_the_first_samples_are_run_again_once(messages, told, tmp_path, phone, study):
    thread = study.ask(Run(small_job(tmp_path / "job")))
    key = phone.dispatch()
    assert phone.write(key, 128, OUTPUTS) == 204
    steps = [{**STEP, "done": done, "batch": batch} for done, batch in ((4, 4), (8, 4), (10, 2))]
    assert [phone.tell(key, message) for message in (*steps, *messages)] == [204] * (3 + len(messages))
    thread.join(20)
    assert study.reason.startswith(f"the phone reported {told}")


def test_reasons_and_facts_are_short_lines(tmp_path, phone, study):
    thread = study.ask(Run(small_job(tmp_path / "job")))
    key = phone.dispatch()
    facts = {f"{place}\n": "\x1b[2J" + "b" * 999 for place in range(99)}
    phone.tell(key, {**READY, "environment": facts})
    phone.tell(key, {"type": "failed", "reason": "\x1b[2J" + "c" * 5000})
    thread.join(20)
    ready, failed = study.said
    assert len(ready["environment"]) == 50
    assert set(ready["environment"].values()) == {f"[2J{'b' * 197}…"}
    assert failed["reason"] == f"[2J{'c' * 597}…"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"[" * 100_000, 400, id="nested beyond all measure"),
        pytest.param(b'{"type": 1}', 400, id="no type"),
        pytest.param(b"", 400, id="nothing"),
    ],
)
def test_what_is_no_message_is_refused(body, status, tmp_path, phone, study):
    thread = study.ask(Run(small_job(tmp_path / "job")))
    key = phone.dispatch()
    assert phone.own(f"run/{key}/message", method="POST", body=body)[0] == status
    assert phone.run_batches(key, OUTPUTS) == N
    thread.join(20)
    assert study.kinds[-1] == "done"


def test_a_message_that_is_too_long_is_not_read(tmp_path, phone, study):
    study.ask(Run(small_job(tmp_path / "job")))
    long = {"Content-Length": str(5 << 20)}
    assert phone.own(f"run/{phone.dispatch()}/message", method="POST", body=b"", **long) == (413, b"")


def test_outputs_are_written_within_their_file_only(tmp_path, phone, study):
    study.ask(Run(small_job(tmp_path / "job")))
    key = phone.dispatch()
    before = (tmp_path / "job" / "y.npy").read_bytes()
    assert phone.write(key, 10_000, OUTPUTS) == 416
    assert phone.write(key, 128 + 8, OUTPUTS) == 416
    assert phone.write(key, 128, OUTPUTS, "input/0") == 404
    assert phone.write(key, 128, OUTPUTS, "scratch") == 404
    long = {"Content-Length": str(1 << 40)}
    assert phone.own(f"run/{key}/output/0?at=128", method="POST", body=b"", **long)[0] == 416
    assert (tmp_path / "job" / "y.npy").read_bytes() == before


TAPPED = {
    "type": "tapped",
    "start": 0,
    "stop": 2,
    "tensors": [{"name": "a", "offset": 0, "shape": [3], "dtype": "float32", "computed_in": "float32", "inexact": 0}],
    "outputs": [{"name": "y", "offset": 24, "shape": [2], "dtype": "float32"}],
    "failed": [{"name": "b", "reason": "it is no float"}],
    "seconds": 0.1,
}


def _tapped(phone, key, **changed):
    phone.write(key, 0, np.zeros(10, np.float32), "scratch")
    return phone.tell(key, {**TAPPED, **changed})


def test_layers_are_read_and_the_next_samples_follow(tmp_path, phone, study):
    job = small_job(tmp_path / "job", taps=True)
    study.ask(Tap(job, 0, 2)).join(0)
    key = phone.dispatch()
    assert (phone.job(key)["start"], phone.job(key)["stop"]) == (0, 2)
    _tapped(phone, key)
    _until(lambda: study.kinds == ["tapped", "done"])
    assert phone.news()["run"] == key  # it stays open
    thread = study.ask(Tap(job, 2, 4))
    asked = [json.loads(phone.own(f"run/{key}/request?seq=0")[1]) for _ in range(2)]
    assert [(one["start"], one["stop"]) for one in asked] == [(2, 4)] * 2  # also if the first answer was lost
    _tapped(phone, key, start=2, stop=4)
    thread.join(20)
    assert study.kinds == ["tapped", "done"] * 2
    assert study.said[-2]["failed"] == [{"name": "b", "reason": "it is no float"}]


def test_layers_go_on_with_the_samples_that_were_asked_for_last(tmp_path, phone, study):
    job = small_job(tmp_path / "job", taps=True)
    study.ask(Tap(job, 0, 2))
    _tapped(phone, phone.dispatch())
    _until(lambda: study.kinds == ["tapped", "done"])
    thread = study.ask(Tap(job, 2, 4))
    phone.hello()
    again = phone.dispatch()
    assert (phone.job(again)["start"], phone.job(again)["stop"]) == (2, 4)
    _tapped(phone, again, start=2, stop=4)
    thread.join(20)
    assert study.kinds == ["tapped", "done"] * 2


BLOCK = TAPPED["tensors"][0]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        pytest.param({"start": 1}, "tensors of the samples 1 to 2, which it was not asked for", id="other samples"),
        pytest.param({"tensors": [{**BLOCK, "name": "c"}]}, "tensors that it was not asked for", id="another tensor"),
        pytest.param({"tensors": [BLOCK, BLOCK]}, "tensors that it was not asked for", id="a tensor twice"),
        pytest.param({"outputs": []}, "tensors that it was not asked for", id="no outputs"),
        pytest.param(
            {"tensors": [{**BLOCK, "shape": [1 << 40]}]},
            "a tensor 'a' of 8,796,093,022,208 bytes, which it has not sent",
            id="a lie about its size",
        ),
        pytest.param(
            {"tensors": [{**BLOCK, "offset": -8}]},
            "a tensor 'a' of 24 bytes, which it has not sent",
            id="before the file",
        ),
        pytest.param({"tensors": [{**BLOCK, "offset": 4}]}, "a tensor 'a' of the type float32", id="not aligned"),
        pytest.param({"tensors": [{**BLOCK, "dtype": "object"}]}, "a tensor 'a' of the type object", id="another type"),
        pytest.param({"tensors": [{**BLOCK, "shape": [-3]}]}, "a tensor 'a' of the type float32", id="a negative size"),
        pytest.param({"tensors": [{**BLOCK, "shape": [1] * 99}]}, "a tensor 'a' with 99 axes", id="too many axes"),
        pytest.param(
            {"outputs": [{**TAPPED["outputs"][0], "shape": [1]}]},
            "an output of the shape (1,) and not (2,)",
            id="shape",
        ),
    ],
)
def test_layers_that_cannot_be_cost_the_row(changed, told, tmp_path, phone, study):
    thread = study.ask(Tap(small_job(tmp_path / "job", taps=True), 0, 2))
    _tapped(phone, phone.dispatch(), **changed)
    thread.join(20)
    assert study.reason.startswith(f"the phone reported {told}")


TIMED = {
    "type": "timed",
    "load_ms": 1.0,
    "first_run_ms": 1.0,
    "runs_ms": [1.0],
    "idle_memory_bytes": 7,
    "peak_memory_bytes": 7,
    "memory_reason": None,
}


def test_times_are_those_of_the_phone_and_memory_is_not_told(tmp_path, phone, study):
    thread = study.ask(Time(replace(small_job(tmp_path / "job"), stop=1, batch_size=1), TimingPlan()))
    key = phone.dispatch()
    for message in (READY, {"type": "progress", "done": 99, "batch": 1, "seconds": 0.0}, TIMED, {"type": "done"}):
        assert phone.tell(key, message) == 204
    thread.join(20)
    assert study.kinds == ["ready", "progress", "timed", "done"]
    told = study.said[-2]
    assert (told["runs_ms"], told["peak_memory_bytes"]) == ([1.0], None)
    assert told["memory_reason"] == "the phone's browser does not report its memory"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        pytest.param({**TIMED, "runs_ms": []}, "the times of 0 runs, where 1 to 2000 were asked for", id="no run"),
        pytest.param({**TIMED, "runs_ms": [1.0] * 2001}, "the times of 2001 runs, where", id="too many runs"),
        pytest.param({**TIMED, "runs_ms": [-1.0]}, "-1.0 milliseconds", id="a negative time"),
        pytest.param({"type": "done"}, "that it is done, without times", id="no times"),
    ],
)
def test_times_that_cannot_be_cost_the_row(message, told, tmp_path, phone, study):
    thread = study.ask(Time(replace(small_job(tmp_path / "job"), stop=1, batch_size=1), TimingPlan()))
    phone.tell(phone.dispatch(), message)
    thread.join(20)
    assert study.reason.startswith(f"the phone reported {told}")


def test_a_phone_that_is_away_is_waited_for_with_signs_of_life(tmp_path, phone, study):
    thread = study.ask(Run(small_job(tmp_path / "job")))
    phone.dispatch()
    _until(lambda: sum(one["type"] == "waiting" for one in study.said) >= 3)
    assert thread.is_alive()
    phone.run_batches(phone.dispatch(), OUTPUTS)
    thread.join(20)
    assert study.kinds[-1] == "done"


def test_a_phone_that_does_not_come_back_fails_the_row_and_the_next_at_once(tmp_path, server, study):
    server.desk.patience = small_patience(wait=1.2)
    phone = FakePhone(server.address("127.0.0.1"))
    phone.hello()
    for _ in range(2):
        study.ask(Run(small_job(tmp_path / "job"))).join(20)
        assert study.reason == (
            "the phone has not answered for 0.02 minutes; keep its screen on and the page open, then run the same "
            "command again, which continues where this one stopped"
        )


def test_a_page_that_closes_again_and_again_fails_the_row(tmp_path, phone, study):
    thread = study.ask(Run(small_job(tmp_path / "job")))
    for _ in range(6):
        phone.job(phone.dispatch())
        phone.hello()
    thread.join(20)
    assert study.reason == (
        "the phone stopped 6 times without a new result (its page was closed or opened again), perhaps because its "
        "memory ran out; close other apps and tabs, or make the study with a smaller --batch-size"
    )


def test_a_frame_that_lost_its_graphics_is_sent_the_job_again(tmp_path, phone, study):
    thread = study.ask(Run(small_job(tmp_path / "job")))
    key = phone.dispatch()
    phone.run_batches(key, OUTPUTS, most=1)
    assert phone.post(f"run/{key}/lost", "the browser took the WebGL context away") == 204
    again = phone.dispatch(other_than=key)
    assert phone.job(again)["job"]["start"] == 4
    phone.run_batches(again, OUTPUTS)
    thread.join(20)
    assert study.kinds[-1] == "done"


def test_one_job_at_a_time(tmp_path, server, phone, study):
    other = Study(server.desk)
    first = study.ask(Run(small_job(tmp_path / "one")))
    key = phone.dispatch()
    second = other.ask(Run(small_job(tmp_path / "two")))
    _until(lambda: "waiting" in {one["type"] for one in other.said})
    assert phone.run_batches(key, OUTPUTS) == N
    first.join(20)
    assert phone.run_batches(phone.dispatch(other_than=key), OUTPUTS) == N
    second.join(20)
    assert (study.kinds[-1], other.kinds[-1]) == ("done", "done")


def test_an_open_variant_gives_way_and_is_opened_again(tmp_path, server, phone, study):
    job, other = small_job(tmp_path / "job", taps=True), Study(server.desk)
    study.ask(Tap(job, 0, 2))
    key = phone.dispatch()
    _tapped(phone, key)
    _until(lambda: study.kinds == ["tapped", "done"])
    thread = other.ask(Run(small_job(tmp_path / "two")))
    phone.run_batches(phone.dispatch(other_than=key), OUTPUTS)
    thread.join(20)
    thread = study.ask(Tap(job, 2, 4))
    again = phone.dispatch()
    assert phone.job(again)["start"] == 2
    _tapped(phone, again, start=2, stop=4)
    thread.join(20)
    assert study.kinds == ["tapped", "done"] * 2


def test_a_child_that_does_not_read_keeps_only_its_own_messages_waiting(tmp_path, server, phone):
    desk, reads, said = server.desk, threading.Event(), []

    def send(document):
        if document["type"] == "progress":
            assert reads.wait(20)
        said.append(document["type"])

    job = small_job(tmp_path / "job")
    asking = threading.Thread(target=desk.perform, args=(Session(send, lambda: False), Run(job)), daemon=True)
    asking.start()
    key = phone.dispatch()
    phone.tell(key, READY)
    phone.write(key, 128, OUTPUTS[:4])
    telling = threading.Thread(target=phone.tell, args=(key, STEP), daemon=True)
    telling.start()
    _until(lambda: phone.news()["done"] == 4)
    desk.announce("the next row", 1, 2)  # by the thread of a study
    assert phone.news()["words"] == "the next row"
    assert "progress" not in said
    reads.set()
    telling.join(20)
    phone.tell(key, {"type": "failed", "reason": "enough"})
    asking.join(20)
    assert [kind for kind in said if kind != "waiting"] == ["ready", "progress", "failed"]


def test_a_study_that_ended_leaves_nothing_to_run(tmp_path, phone, study):
    thread = study.ask(Run(small_job(tmp_path / "job")))
    key = phone.dispatch()
    study.ended = True
    thread.join(20)
    assert study.said[-1] == {"type": "Gone"}
    assert phone.own(f"run/{key}/job")[0] == 409
    assert phone.news()["run"] is None


def test_the_end_is_told(server, phone):
    thread = threading.Thread(target=server.desk.finish, args=("You can close this page.", 20.0))
    thread.start()
    _until(lambda: phone.news()["over"] == "You can close this page.")
    thread.join(5)
    assert not thread.is_alive()


def test_a_self_made_certificate_encrypts(tmp_path):
    with serving(tmp_path, secured=write_certificate(["127.0.0.1", "localhost"])) as server:
        pem = ssl.get_server_certificate(("127.0.0.1", server.port))
        phone = FakePhone(server.address("localhost"), ssl.create_default_context(cadata=pem))
        assert phone.origin == f"https://localhost:{server.port}"
        assert phone.hello() == 200
        assert phone.headers["Set-Cookie"].endswith("; Secure")
        assert phone.own("") == (200, b"phone.html")
        with pytest.raises(ssl.SSLError):
            FakePhone(server.address("127.0.0.1"), ssl.create_default_context()).own("")


def test_a_certificate_needs_openssl(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match=r"^--https needs the program 'openssl'; install it"):
        write_certificate(["127.0.0.1"])


def test_facts_name_device_and_browser():
    device = Device.of(FACTS)
    assert (device.name, device.browser) == ("Pixel 7, Android 14", "Chrome 141.0.0.0")
    assert device.text == "Pixel 7, Android 14; Chrome 141.0.0.0; Mali-G710"
    assert device.machine.text == "phone: Pixel 7, Android 14, 8 cores, Chrome 141.0.0.0"
    assert set(device.environment(graphics=False)) == {"device", "user_agent"}
    assert device.environment(graphics=True)["device_renders_float32"] == "yes"


def _until(holds):
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until, "it did not become so in time"
        time.sleep(0.02)
