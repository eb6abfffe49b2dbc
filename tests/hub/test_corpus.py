"""`--corpus NAME` against a hub of our own: rows of the commit that was first seen, and what cannot be had."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import config
from huggingface_hub import constants

from pipelines.corpus.hub import open_corpus
from pipelines.errors import JobError, UserError
from pipelines.options.data import CorpusChoice
from tests.fixtures import save_tiny_masked_lm
from tests.hub.conftest import NOWHERE
from tests.hub.server import Hub, Repository, serving

TWO = """---
configs:
- config_name: english
  data_files: a.jsonl
- config_name: german
  data_files: b.jsonl
---
"""
ROWS = ["one\ntwo\n\nthree", "four", ""]


def rows(*texts, **more) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": pa.array(texts, pa.string()), **more}), stream)
    return stream.getvalue()


def lines(text: str) -> bytes:
    return json.dumps({"text": text}).encode() + b"\n"


FILES = {
    "plain": {"data/train-00000-of-00001.parquet": rows(*ROWS)},
    "halves": {f"data/train-0000{part}-of-00002.parquet": rows(*ROWS, str(part)) for part in range(2)},
    "nulls": {"data/train-00000-of-00001.parquet": rows("a film", None)},
    "numbers": {"data/train-00000-of-00001.parquet": rows("a film", stars=pa.array([3]))},
    "script": {"script.py": b"raise SystemExit(3)\n", "README.md": b"# x\n"},
    "untrained": {"data/test-00000-of-00001.parquet": rows("a film")},
    "damaged": {"data/train-00000-of-00001.parquet": rows("a film")[:300]},
    "two": {"README.md": TWO.encode(), "a.jsonl": lines("a film"), "b.jsonl": lines("ein Film")},
}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub with data sets for this process, and no time lost between the client's tries."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr("time.sleep", lambda _: None)
    for module in (constants, config):
        monkeypatch.setattr(module, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repositories = [Repository("datasets", f"some/{name}", {"main": files}) for name, files in FILES.items()]
    with serving(Hub(repositories)) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(config, "HF_ENDPOINT", running.url)
        template = running.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield running


def texts(name, started=None, **choice) -> list[str | None]:
    """The pieces of a data set; None ends a document."""
    return [piece.text for piece in open_corpus(CorpusChoice(f"some/{name}", **choice), started).pieces()]


def refused(name, **choice) -> str:
    with pytest.raises(UserError) as error:
        texts(name, **choice)
    assert "--corpus" in str(error.value)
    return str(error.value)


def test_rows_of_a_commit(hub):
    assert texts("plain") == ["one", "two", None, "three", None, "four", None, None, None]
    assert texts("plain", rows="sentences") == ["one two  three", "four", None]
    assert texts("two", config="german") == ["ein Film", None]
    first = hub.repositories[0].commit("main")
    corpus = open_corpus(CorpusChoice("some/plain"))
    assert corpus.inputs() == [{"name": "some/plain", "config": None, "revision": first}]
    assert (corpus.ends_by_row, open_corpus(CorpusChoice("some/plain", rows="sentences")).ends_by_row) == (True, False)


def test_an_earlier_starts_commit_is_gone_on_with(hub):
    first, later = {**FILES["plain"], "b": b""}, {**FILES["plain"], "c": b""}
    moved = Repository("datasets", "some/moved", {"main": later, "before": first})
    hub.repositories.append(moved)
    started = {"inputs": {"corpus": [{"name": "some/moved", "config": None, "revision": moved.commit("before")}]}}

    def commit(**choice) -> str | None:
        return open_corpus(CorpusChoice("some/moved", **choice), started).revision

    asked = len(hub.asked)
    assert commit() == commit(revision=moved.commit("before")) == moved.commit("before")
    assert len(hub.asked) == asked
    assert commit(revision="main") == commit(config="other") == moved.commit("main")
    assert texts("moved", started) == texts("plain")


def test_a_data_set_that_cannot_be_had(hub):
    said = refused("script")
    assert "Dataset scripts are no longer supported" in said
    assert "give a file or folder of text" in said
    said = refused("two")
    assert "['english', 'german']; name a configuration with --corpus-config" in said
    said = refused("two", config="french")
    assert "german" in said
    assert "--corpus-config" in said
    assert "['test']" in refused("untrained")
    assert "magic bytes not found" in refused("damaged")
    assert "has nothing of that name, or it is private" in refused("nothing")
    assert "no such revision on the hub" in refused("plain", revision="nothing")
    hub.token = "secret"
    assert "access to it is restricted" in refused("plain")


def test_rows_without_a_text(hub):
    assert "row 1: expected text in column 'body', found text, stars; name another column" in refused(
        "numbers", column="body"
    )
    assert "row 1: expected text in column 'stars', found int" in refused("numbers", column="stars")
    said = refused("nulls")
    assert "row 2: expected text in column 'text', found null; name another column with --text, or give a file" in said


@pytest.mark.parametrize(("part", "kind"), [(0, UserError), (1, JobError)])
def test_a_connection_that_keeps_breaking(hub, part, kind):
    """Once rows have come it is a failure, not a mistake of the user's: what was begun stays."""
    name = f"train-0000{part}-of-00002.parquet"
    hub.cut = {name: 50}
    found: list[str | None] = []
    with pytest.raises(kind, match="Server Disconnected") as error:
        found.extend(piece.text for piece in open_corpus(CorpusChoice("some/halves")).pieces())
    assert (len(found) > 0) == bool(part)
    assert "run the same command again" in str(error.value) if part else "check the network" in str(error.value)
    tries = [path for path in hub.asked if path.startswith("GET /cdn/") and path.endswith(name)]
    assert 5 <= len(tries) <= 7


@pytest.mark.integration
def test_a_hub_that_moved_on_or_is_gone(machine):
    """A run that was begun needs no network once the corpus is packed, and never another commit."""
    here = machine()
    encoder = save_tiny_masked_lm(here.folder / "encoder", num_hidden_layers=4)
    shape = json.loads((encoder / "config.json").read_text()) | {"num_hidden_layers": 2, "architectures": None}
    (here.folder / "student.json").write_text(json.dumps(shape))
    files = {"data/train-00000-of-00001.parquet": rows(*["a good film .\nit was fun"] * 60)}
    here.hub.repositories.append(Repository("datasets", "some/corpus", {"main": files}))
    command = ("distill-general", "--corpus", "some/corpus", "--teacher", "encoder", "--student", "student.json")
    command += ("--out", "out", "--max-length", "32", "--batch-size", "16", "--max-steps", "1", "--device", "cpu")
    first = here.run(*command)
    assert first.code == 0, first.text
    commit = json.loads((here.folder / "out/run.json").read_text())["inputs"]["corpus"][0]["revision"]
    model = (here.folder / "out/model.safetensors").read_bytes()
    here.hub.repositories[-1].revisions["main"] = {**files, "README.md": b"# another commit\n"}
    (here.folder / "out/metrics.json").unlink()
    asked = len(here.hub.asked)
    again = here.run(*command, HF_HUB_OFFLINE="1")
    assert again.code == 0, again.text
    assert (here.folder / "out/model.safetensors").read_bytes() == model
    assert json.loads((here.folder / "out/run.json").read_text())["inputs"]["corpus"][0]["revision"] == commit
    done = here.run(*command, "--dry-run", HF_ENDPOINT=NOWHERE)
    assert "everything was done already" in done.text
    assert len(here.hub.asked) == asked
