from __future__ import annotations

import hashlib
import http.server
import os
import socket
import threading
import time

import datasets
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from huggingface_hub import constants

from pipelines.errors import UserError
from pipelines.tasks import BadRow, open_task
from pipelines.tasks import hub as hub_module
from pipelines.tasks.hub_cache import cached_commit, cached_commits
from tests.pipelines.tasks.reading import rows_of


@pytest.fixture
def hub(monkeypatch):
    """A stand-in for the hub; returns what was asked for."""
    features = Features(
        {"sentence": Value("string"), "label": ClassLabel(names=["negative", "positive"]), "idx": Value("int32")}
    )
    train = {"sentence": ["dull", "fine", "odd", "late"], "label": [0, 1, -1, 1], "idx": [0, 1, 2, 3]}
    test = {"sentence": ["what"], "label": [-1], "idx": [0]}
    parts = {name: Dataset.from_dict(rows, features=features) for name, rows in (("train", train), ("test", test))}
    asked = []

    def load_dataset(*arguments, **options):
        asked.append((*arguments, options))
        return DatasetDict(parts)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub_module, "ask_in_time", lambda *_: None)
    return asked


def test_rows_of_the_hub(hub):
    bad: list[BadRow] = []
    task = open_task("SST-2", None, revision="abc", on_bad=bad.append)
    assert hub == [("nyu-mll/glue", "sst2", {"revision": "abc"})]
    assert (task.revision, task.held_out()) == ("abc", ("test",))
    split = task.split("train")
    assert rows_of(split, rows=2) == [
        {"source_idx": 0, "sentence": "dull", "label": 0, "idx": 0},
        {"source_idx": 1, "sentence": "fine", "label": 1, "idx": 1},
        {"source_idx": 3, "sentence": "late", "label": 1, "idx": 3},
    ]
    assert [(row.file, row.source_idx, row.column) for row in bad] == [("nyu-mll/glue/sst2/train", 2, "label")]
    assert [row["label"] for row in rows_of(task.split("test"))] == [-1]
    assert [row["source_idx"] for row in rows_of(split, limit=1)] == [0]
    (file,) = split.files
    assert (file.name, file.rows) == ("nyu-mll/glue/sst2/train", 4)
    lines = b"".join(
        b'{"idx":%d,"label":%d,"sentence":"%s"}\n' % row
        for row in [(0, 0, b"dull"), (1, 1, b"fine"), (2, -1, b"odd"), (3, 1, b"late")]
    )
    assert (file.bytes, file.sha256) == (len(lines), hashlib.sha256(lines).hexdigest())
    with pytest.raises(UserError, match="'validation' part"):
        task.split("validation")


def test_offline_is_quick_and_clear():
    begin = time.monotonic()
    with pytest.raises(UserError, match=r"expected nyu-mll/glue \(rte\) from the hub or its cache, found: .*--data"):
        open_task("rte", None)
    assert time.monotonic() - begin < 5


@pytest.fixture
def online(monkeypatch):
    """The hub is asked; where nobody listens unless the test says otherwise."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: pytest.fail("the library was asked"))


def refused_in_time() -> None:
    begin = time.monotonic()
    with pytest.raises(UserError, match=r"from the hub or its cache, found: the hub at .* gave .*has nothing of it"):
        open_task("rte", None)
    assert time.monotonic() - begin < 5


def test_no_network_is_told_before_the_library_retries(online):
    refused_in_time()


def test_a_name_look_up_that_never_ends(online, monkeypatch):
    """It has no timeout of its own, whatever timeout a connection has."""
    answered = threading.Event()
    monkeypatch.setattr(constants, "ENDPOINT", "http://hub.invalid")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(30))
    try:
        refused_in_time()
    finally:
        answered.set()


def test_a_hub_that_answers_is_left_to_the_library(online, monkeypatch):
    """Even if it refuses: the library knows its cache, and says what is wrong."""
    asked = []

    def load_dataset(*arguments, **options):
        asked.append(arguments)
        raise ValueError("no such revision")

    class Denied(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(401)

        def log_message(self, *_):
            pass

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with http.server.HTTPServer(("127.0.0.1", 0), Denied) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(UserError, match="no such revision"):
            open_task("rte", None)
        server.shutdown()
    assert asked == [("nyu-mll/glue", "rte")]


def test_which_stored_commit_a_revision_names(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    main, later, never = "a" * 40, "b" * 40, "c" * 40
    assert cached_commit("nyu-mll/glue", "rte", None) is None
    stored = tmp_path / "datasets" / "nyu-mll___glue" / "rte" / "0.0.0"
    for age, name in ((20, main), (10, later), (0, f"{never}.incomplete")):
        (stored / name).mkdir(parents=True)
        os.utime(stored / name, (time.time() - age,) * 2)
    assert [folder.name for folder in cached_commits("nyu-mll/glue", "rte")] == [later, main]
    assert cached_commit("nyu-mll/glue", "rte", None) == later
    assert cached_commit("nyu-mll/glue", "sst2", None) is None
    refs = tmp_path / "hub" / "datasets--nyu-mll--glue" / "refs"
    refs.mkdir(parents=True)
    for branch, commit in (("main", main), ("next", later), ("gone", never)):
        (refs / branch).write_text(commit)
    names = {None: main, "main": main, "next": later, later: later, "gone": None, "unheard-of": None, never: None}
    assert {name: cached_commit("nyu-mll/glue", "rte", name) for name in names} == names
