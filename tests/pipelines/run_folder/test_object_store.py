"""A run directory in an object store: a server of our own that speaks S3 (moto)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import psutil
import pyarrow.fs as pafs
import pytest

from pipelines.run_folder import lease
from pipelines.run_folder.lock import only_writer
from pipelines.run_folder.storage import Storage
from tests.pipelines.jobs import PATIENCE, again_and_again, contents, done, everything, finish, start, tinyaug, wait_for
from tests.ranks import free_port

pytestmark = pytest.mark.integration
TEN = ("--shard-rows", 10)
LOCAL = ("--engine", "local", "--workers", "1")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    """Address of the server, with a bucket in it."""
    port = free_port()
    log = (tmp_path_factory.mktemp("s3") / "log").open("w")
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stdout=log, stderr=log)
    try:
        _make_bucket(f"http://127.0.0.1:{port}/bucket", server)
        yield f"127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()
        log.close()


def _make_bucket(address: str, server: subprocess.Popen) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(address, method="PUT")).close()
            return
        except OSError:
            assert server.poll() is None
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.05)


@pytest.fixture
def store(endpoint, monkeypatch):
    """Gives the URI of a run by its name; credentials come from the environment, as they should."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(lease, "SETTLE", 0.1)  # in this process
    return lambda name: f"s3://bucket/{name}?endpoint_override={endpoint}&scheme=http&region=us-east-1"


def names(uri: str) -> set[str]:
    """Names of all objects of a run."""
    filesystem, prefix = pafs.FileSystem.from_uri(uri)
    found = filesystem.get_file_info(pafs.FileSelector(prefix, recursive=True, allow_not_found=True))
    return {info.path.removeprefix(f"{prefix}/") for info in found if info.is_file}


def objects(uri: str) -> dict[str, bytes]:
    """Name -> content of all objects of a run."""
    return {name: Storage(uri).read_bytes(name) for name in names(uri)}


def same_as(local, uri: str) -> None:
    """What a job makes is the same there as on a disk."""
    found = objects(uri)
    expected = everything(local)
    assert {name: found.get(name) for name in contents(local)} == {name: expected[name] for name in contents(local)}
    assert ".lock" not in found


def test_stopped_and_gone_on_with(inputs, finished, store):
    uri = store("stopped")
    process = start(*inputs.augment(uri, *TEN))
    wait_for(lambda: "augmented/records/train-00000-of-00006.json" in names(uri), process, every=0.05)
    process.send_signal(signal.SIGINT)
    ran = finish(process)
    assert ran.code in (0, 130)  # 0 if the last shards were faster
    assert ".lock" not in objects(uri)
    before = {name: content for name, content in objects(uri).items() if "/data/" in name}
    assert before
    done(*inputs.augment(uri, *TEN))
    same_as(finished, uri)
    assert "everything was done already" in done(*inputs.augment(uri, *TEN)).out


def test_killed_and_gone_on_with_at_once(inputs, finished, store):
    uri = store("killed")
    for name in ("input/record.json", "augmented/records/train-00000-of-00006.json"):
        process = start(*inputs.augment(uri, *TEN))
        wait_for(lambda name=name: name in names(uri), process, every=0.05)
        process.send_signal(signal.SIGKILL)
        finish(process)
        assert json.loads(objects(uri)[".lock"])["process"] == process.pid
    assert "waiting" not in done(*inputs.augment(uri, *TEN)).err
    same_as(finished, uri)


def test_killed_on_another_host_and_gone_on_with_after_a_while(inputs, finished, store, monkeypatch):
    uri = store("elsewhere")
    process = start(*inputs.augment(uri, *TEN))
    wait_for(lambda: "input/record.json" in names(uri), process, every=0.05)
    process.send_signal(signal.SIGKILL)
    finish(process)
    left = json.loads(objects(uri)[".lock"])
    Storage(uri).write_json(".lock", {**left, "host": "spot-1", "machine": "another"})
    monkeypatch.setattr(lease, "LAPSES_AFTER", 5.0)  # the store tells times to the second
    said = done(*inputs.augment(uri, *TEN)).err
    assert f"waiting for the lease of process {process.pid} on host spot-1 to lapse, at most" in said
    same_as(finished, uri)


def test_one_that_another_host_refreshes_is_refused(inputs, store):
    uri = store("refreshed")
    theirs = {"host": "spot-1", "process": 7, "machine": "another", "started": 1, "token": "t"}
    Storage(uri).write_json(".lock", theirs)
    process = start(*inputs.augment(uri, *TEN))
    count = 0
    while process.poll() is None:
        count += 1
        Storage(uri).write_json(".lock", {**theirs, "time": count})
    ran = finish(process)
    assert (ran.code, "found process 7 on host spot-1 at work on it; wait for it" in ran.err) == (2, True)
    assert set(objects(uri)) == {".lock"}


def test_a_job_whose_lease_is_taken_ends_with_its_workers(inputs, store, monkeypatch):
    """The lease is another's as soon as a worker has made a shard."""
    monkeypatch.setattr(lease, "REFRESH_EVERY", 0.05)
    uri, workers = store("taken"), []
    theirs = {"host": "other", "process": 7, "token": "another"}

    def take() -> None:
        if not workers and any(name.startswith("augmented/records/") for name in names(uri)):
            workers.extend(child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline()))
        if workers:
            Storage(uri).write_json(".lock", theirs)

    with again_and_again(take):
        ran = tinyaug(*inputs.augment(uri, "--shard-rows", 1, "--workers", 2))
    said = "expected this job's own lease, found that of process 7 on host other; what was finished is kept"
    assert (ran.code, said in ran.err) == (1, True), ran.err
    assert len(workers) == 2
    assert not psutil.wait_procs(workers, timeout=30)[1]
    assert json.loads(objects(uri)[".lock"]) == theirs
    assert "augmented/manifest.json" not in names(uri)


def test_damage_status_verify_and_another_draw(inputs, finished, store, tmp_path):
    uri = store("damaged")
    done(*inputs.augment(uri, *TEN))
    storage, name = Storage(uri), "augmented/data/train-00002-of-00006.parquet"
    storage.write_bytes(name, storage.read_bytes(name)[:-1])
    assert tinyaug("status", uri).code == 1
    assert f"missing or damaged: {name}" in tinyaug("verify", uri).out
    done(*inputs.augment(uri, *TEN))
    same_as(finished, uri)
    done("resample", "--candidates", uri, "--out", store("drawn"), "--seed", 5, *LOCAL)
    done("resample", "--candidates", finished, "--out", tmp_path / "drawn", "--seed", 5, *LOCAL)
    same_as(tmp_path / "drawn", store("drawn"))


def test_one_writer_and_overwriting(inputs, store):
    uri = store("written")
    done(*inputs.augment(uri, *TEN))
    with only_writer(Storage(uri)):
        ran = tinyaug(*inputs.augment(uri, *TEN, "--overwrite"))
        assert (ran.code, f"found process {os.getpid()}" in ran.err) == (2, True)
        assert json.loads(objects(uri)[".lock"])["process"] == os.getpid()
    done(*inputs.augment(uri, "--seed", 7, "--overwrite"))
    assert json.loads(objects(uri)["run.json"])["identity"]["settings"]["draw"]["seed"] == 7
    assert "augmented/data/train-00000-of-00006.parquet" not in objects(uri)


def test_candidates_are_reused(inputs, store, tmp_path):
    """From a store, to a store or a disk; where they would be deleted first, that is said."""
    uri, again = store("earlier"), store("later")
    done(*inputs.augment(uri, "--limit", 12))
    for out in (again, tmp_path / "run"):
        assert "candidates of 11 of the unique" in done(*inputs.augment(out, "--limit", 20, "--reuse", uri)).out
    same_as(tmp_path / "run", again)
    for more in (("--overwrite",), ()):
        here = tinyaug(*inputs.augment(uri, "--limit", 20, "--reuse", uri, *more))
        assert (here.code, "name this run with --reuse and another --out" in here.err) == (2, bool(more))
    secret = tinyaug(*inputs.augment(tmp_path / "new", "--reuse", uri.replace("s3://", "s3://key:secret@")))
    assert (secret.code, "expected an address without credentials" in secret.err, "secret@" in secret.err) == (
        2, True, False,
    )  # fmt: skip
    assert "are not reused: found it in an object store" in done(*inputs.augment(uri, "--overwrite")).err


def test_something_else_is_left_alone(inputs, store):
    uri = store("other")
    Storage(uri).write_bytes("thesis.tex", b"my life's work")
    for more in ((), ("--overwrite",)):
        assert tinyaug(*inputs.augment(uri, *more)).code == 2
    assert objects(uri) == {"thesis.tex": b"my life's work"}


def test_credentials_in_an_address_are_not_shown(inputs, store):
    uri = store("shown").replace("s3://", "s3://key:secret@")
    ran = done(*inputs.augment(uri, "--limit", 3))
    assert "s3://bucket/shown/augmented/data" in ran.out
    assert "secret" not in ran.out + ran.err


def test_a_bucket_that_is_not_there(inputs, store):
    ran = tinyaug(*inputs.augment(store("run").replace("bucket", "no-such-bucket"), "--limit", 3))
    assert ran.code == 2
    assert "no-such-bucket" in ran.err.splitlines()[0]  # before anything was loaded
    assert "expected a" in ran.err


def test_a_bucket_that_can_only_be_read(inputs, finished, store, monkeypatch):
    """The store's own answer to writing is put in by hand: the stand-in lets everyone write."""
    monkeypatch.setattr("pipelines.found.open_task", lambda *_, **__: pytest.fail("loaded before it was refused"))

    def deny(self, _path: str, **_: object) -> None:
        raise OSError("AWS Error ACCESS_DENIED during PutObject operation")

    real = pafs.FileSystem.from_uri

    def read_only(uri: str) -> tuple[object, str]:
        filesystem, prefix = real(uri)
        kept = ("get_file_info", "open_input_file", "delete_file")
        names = {**{name: getattr(filesystem, name) for name in kept}, "open_output_stream": deny.__get__(filesystem)}
        return SimpleNamespace(**names), prefix

    monkeypatch.setattr(pafs, "FileSystem", SimpleNamespace(from_uri=read_only))
    for command in (
        inputs.augment(store("denied")),
        ["resample", "--candidates", finished, "--out", store("denied")],
    ):
        ran = tinyaug(*command)
        assert ran.code == 2
        assert "s3://bucket/denied: expected a bucket that can be written to, found: AWS Error ACCESS_DENIED" in ran.err


class Denying(BaseHTTPRequestHandler):
    """Answers as S3 does where nothing is allowed."""

    def do_GET(self) -> None:
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    do_HEAD = do_PUT = do_DELETE = do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing of each request."""


def test_a_store_that_denies_everything(inputs, store, endpoint):
    with ThreadingHTTPServer(("127.0.0.1", 0), Denying) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = store("run").replace(endpoint, f"127.0.0.1:{server.server_port}")
        for command in (inputs.augment(uri), ("status", uri)):
            ran = tinyaug(*command)
            assert ran.code == 2
            assert "s3://bucket/run/run.json: expected a place that may be read" in ran.err
        server.shutdown()
