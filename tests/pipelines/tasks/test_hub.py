"""GLUE's Parquet files from a hub of our own, and from the cache of the hub's client."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import threading
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from pipelines.errors import UserError
from pipelines.tasks import GLUE, BadRow, open_task
from pipelines.tasks.hub import stored_folders
from tests.hub.server import Hub, Repository, serving
from tests.pipelines.tasks.reading import rows_of


def rows(*rows: tuple[str, int]) -> bytes:
    texts, labels = zip(*rows, strict=True)
    numbers = pa.array(range(len(rows)), pa.int32())
    stream = io.BytesIO()
    pq.write_table(pa.table({"sentence": texts, "label": labels, "idx": numbers}), stream)
    return stream.getvalue()


FILES = {
    "README.md": b"# GLUE\n",
    "sst2/train-00000-of-00002.parquet": rows(("dull", 0), ("fine", 1), ("odd", -1)),
    "sst2/train-00001-of-00002.parquet": rows(("late", 1)),
    "sst2/validation-00000-of-00001.parquet": rows(("so so", 1)),
    "sst2/test-00000-of-00001.parquet": rows(("what", -1)),
    "cola/test-00000-of-00001.parquet": rows(("what", -1)),
}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub with GLUE for this process, an empty cache, and no time lost between the client's tries."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    glue = Repository("datasets", "nyu-mll/glue", {"main": FILES, "first": {**FILES, "README.md": b"# first\n"}})
    with serving(Hub([glue])) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        template = running.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield running


def commit(hub, revision="main") -> str:
    return hub.repositories[0].commit(revision)


def fetched(hub) -> list[str]:
    return [path for path in hub.asked if path.startswith("GET /cdn/")]


def refused(message, name="sst2", revision=None) -> None:
    with pytest.raises(UserError, match=message):
        open_task(name, None, revision=revision)


def test_rows_of_the_hub(hub):
    bad: list[BadRow] = []
    task = open_task("SST-2", None, on_bad=bad.append)
    assert (task.revision, task.held_out()) == (commit(hub), ("validation", "test"))
    split = task.split("train")
    assert rows_of(split, rows=2) == [
        {"source_idx": 0, "sentence": "dull", "label": 0, "idx": 0},
        {"source_idx": 1, "sentence": "fine", "label": 1, "idx": 1},
        {"source_idx": 3, "sentence": "late", "label": 1, "idx": 0},
    ]
    name = "nyu-mll/glue/sst2/train-00000-of-00002.parquet"
    assert [(row.file, row.source_idx, row.column) for row in bad] == [(name, 2, "label")]
    assert [row["label"] for row in rows_of(task.split("test"))] == [-1]
    assert [row["source_idx"] for row in rows_of(split, limit=1)] == [0]
    content = FILES["sst2/train-00000-of-00002.parquet"]
    first, _ = split.files
    assert (first.name, first.rows, first.bytes) == (name, 3, len(content))
    assert first.sha256 == hashlib.sha256(content).hexdigest()
    assert len(fetched(hub)) == 4
    assert open_task("sst2", None, revision=commit(hub)).revision == commit(hub)
    assert len(fetched(hub)) == 4


def test_what_was_downloaded_is_found_without_a_network(hub, monkeypatch):
    open_task("sst2", None, revision="first")
    first = commit(hub, "first")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert open_task("sst2", None).revision == first  # what `main` is was never asked
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert open_task("sst2", None).revision == commit(hub)
    (main_folder, first_folder) = stored_folders(GLUE["sst2"])
    os.utime(first_folder, (time.time() + 9,) * 2)
    for offline in (
        lambda: monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9"),
        lambda: monkeypatch.setenv("HF_DATASETS_OFFLINE", "1"),
        lambda: monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True),
    ):
        offline()
        for revision, found in ((None, commit(hub)), ("main", commit(hub)), ("first", first), (first, first)):
            assert open_task("sst2", None, revision=revision).revision == found
        refused(rf"found: .*; the local cache has {first[:12]}, {main_folder.name[:12]}\. Pass --data", revision="next")
        refused("the local cache has nothing of it", "rte")
    assert stored_folders(GLUE["rte"]) == []


def test_a_part_of_a_task_is_none(hub, monkeypatch):
    """Of a download that broke off nothing is read, and neither of a repository that lacks parts."""
    hub.cut = {"validation-00000-of-00001.parquet": 50}
    refused(r"nyu-mll/glue \(sst2\) from the hub or its cache, found: the download from .* did not finish")
    assert stored_folders(GLUE["sst2"]) == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused("the local cache has nothing of it")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    refused("expected the parts train, validation, test, found test", "cola")


def test_what_the_hub_refuses(hub):
    refused(r"\(sst2, revision none\) from the hub or its cache, found: it has no such revision", revision="none")
    hub.token = "secret"
    refused("access to it is restricted")


def test_offline_is_quick_and_clear():
    begin = time.monotonic()
    with pytest.raises(UserError, match=r"expected nyu-mll/glue \(rte\) from the hub or its cache, found: .*--data"):
        open_task("rte", None)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://hub.invalid"])
def test_no_network_is_told_in_time(monkeypatch, tmp_path, endpoint):
    """A name look-up has no timeout of its own, whatever timeout a connection has."""
    answered = threading.Event()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(30))
    begin = time.monotonic()
    try:
        refused("from the hub or its cache, found: the hub at .* gave .*has nothing of it", "rte")
    finally:
        answered.set()
    assert time.monotonic() - begin < 5
