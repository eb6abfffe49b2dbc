"""Packing a corpus: what a plan counts and what it estimates, damaged shards, a disk that is full."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.corpus.files import Piece, open_files
from pipelines.corpus.packed import Packed, PackedShape, pack_corpus
from pipelines.reporting import Silent
from pipelines.run_folder.storage import Storage
from tests.fixtures import tiny_tokenizer
from tests.pipelines.jobs import done, refused, sentences, tinyaug
from tests.pipelines.training.general import counts
from tests.pipelines.training.verbs import general, metrics, run_json

MANY = ("--limit", 1_000_000)
NO_SPACE = OSError(28, "No space left on device")


class Unmeasured:
    """Files that do not tell their size, as data sets on the hub.

    Args:
        place: a text file.
    """

    ends_by_row, left_out = False, ""

    def __init__(self, place: Path) -> None:
        self.corpus = open_files(place, "text")

    def inputs(self) -> list[dict[str, Any]]:
        return self.corpus.inputs()

    def pieces(self):
        yield from (Piece(piece.text, None) for piece in self.corpus.pieces())


@pytest.fixture
def unmeasured(corpus, monkeypatch):
    """Has the corpus opened as if it lay on the hub."""
    monkeypatch.setattr("pipelines.general.corpus_job.open_corpus", lambda *_: Unmeasured(corpus))


def packed(place: Path, folder: Path, length: int, limit: int | None = None) -> Packed:
    """What is packed of a file."""
    shape = PackedShape(length, limit=limit)
    return pack_corpus(Storage(str(folder)), open_files(place, "text"), tiny_tokenizer(), shape, Silent())


def test_what_is_packed_is_counted_whatever_the_limit(parts, corpus, masked, tmp_path):
    """A cache for a million sequences would be refused; so few take little."""
    out = tmp_path / "out"
    refused(general(parts, corpus, out, *MANY, "--cache", "full", "--cache-budget", "1K"))
    record = json.loads((out / "corpus.json").read_text())
    (out / "corpus.json").write_text(json.dumps({**record, "done": None}))  # as earlier versions left it of the hub
    full = (*MANY, "--cache", "full", "--cache-budget", "50MB", "--max-steps", 1)
    said = done(*general(parts, corpus, out, *full, "--dry-run")).out
    assert f"corpus: {record['sequences']} sequences ({record['pairs']} pairs), {record['tokens']:,} tokens\n" in said
    done(*general(parts, corpus, out, *full))
    assert run_json(out)["resolved"]["sequences"] == metrics(masked)["sequences"]
    assert run_json(out)["resolved"]["cache"]["bytes"] < 50e6


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("limit", [(), MANY])
def test_a_data_set_that_ends_within_its_beginning_is_counted(parts, corpus, masked, tmp_path, limit, monkeypatch):
    command = general(parts, corpus, tmp_path / "out", *limit, "--dry-run")
    assert counts(masked) in done(*command).out
    monkeypatch.setattr("pipelines.general.sequences.GROUP_SEQUENCES", 30)
    assert "tokens read; the size of a data set on the hub is not known" in done(*command).out


def test_what_was_read_ahead_is_not_packed_yet(parts, tmp_path):
    """All of the text is read, and tokenised, before the beginning's sequences are full."""
    place = tmp_path / "corpus.txt"
    place.write_text("\n".join(sentences(5_000, seed=6)))
    assert place.stat().st_size < 1 << 18
    whole = packed(place, tmp_path / "whole", 8)
    assert whole.done == 1.0
    assert whole.sequences > 8_000
    said = done(*general(parts, place, tmp_path / "out", "--max-length", 8, "--dry-run")).out
    assert "estimated from its beginning" in said
    found = int(said.split("corpus: ")[1].split(" sequences")[0].replace(",", ""))
    assert found == pytest.approx(whole.sequences, rel=0.05)


def test_a_limit_that_leaves_a_sequence(tmp_path):
    """One sentence that is cut into several: all of it was read, but not all of it is there."""
    place = tmp_path / "corpus.txt"
    place.write_text("a good film " * 20)
    whole = packed(place, tmp_path / "whole", 8)
    assert whole.sequences == 10
    assert packed(place, tmp_path / "same", 8, limit=10).done == 1.0
    for limit in (1, 5, 9):
        found = packed(place, tmp_path / str(limit), 8, limit)
        assert (found.sequences, found.done) == (limit, pytest.approx(limit / (limit + 1)))


def test_a_shard_damaged_at_equal_size_is_packed_again(parts, corpus, tmp_path):
    out = tmp_path / "out"
    assert "is packed again" not in done(*general(parts, corpus, out, "--max-steps", 2)).err
    shard = out / "corpus/part-00000.parquet"
    whole, model = shard.read_bytes(), (out / "model.safetensors").read_bytes()
    shard.write_bytes(whole[:99] + bytes([whole[99] ^ 1]) + whole[100:])
    (out / "metrics.json").unlink()
    assert f"{out}/corpus: a shard is missing, damaged or of another version; the corpus is packed again" in " ".join(
        done(*general(parts, corpus, out, "--max-steps", 2)).err.split()
    )
    assert shard.read_bytes() == whole
    assert (out / "model.safetensors").read_bytes() == model


def failed(command: list[str]) -> str:
    ran = tinyaug(*command)
    assert (ran.code, "Traceback" in ran.err) == (1, False)
    return ran.err.strip().splitlines()[-1]


@pytest.mark.parametrize("name", ["corpus-part-00000", ".lock"])
def test_a_disk_that_is_full(parts, corpus, tmp_path, monkeypatch, name):
    out, opened = tmp_path / "out", Path.open

    def full(self: Path, *more: Any, **named: Any) -> Any:
        if self.name.startswith(name) and out in self.parents:
            raise NO_SPACE
        return opened(self, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        said = failed(general(parts, corpus, out, "--max-steps", 1))
    assert said.startswith(f"tinyaug: failed: {out}/")
    assert "no space left" in said.lower()
    assert said.endswith("; what was finished is kept: free some space and run the same command again")
    done(*general(parts, corpus, out, "--max-steps", 1))


def test_a_lock_that_a_full_disk_does_not_take(parts, corpus, tmp_path, monkeypatch):
    def full(*_: object) -> int:
        raise NO_SPACE

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.run_folder.lock.os.ftruncate", full)
        said = failed(general(parts, corpus, tmp_path / "out", "--max-steps", 1))
    assert "out/.lock: cannot be written: no space left; what was finished is kept: free some space" in said


def test_one_step_over_one_sequence(parts, corpus, tmp_path):
    few = ("--limit", 1, "--max-steps", 1)
    assert "corpus: 1 sequence, " in done(*general(parts, corpus, tmp_path / "out", *few, "--dry-run")).out
    ran = done(*general(parts, corpus, tmp_path / "out", *few))
    assert "\n1 step over 1 sequence; last losses: " in f"\n{ran.out}"
    assert "corpus: 1 sequence, " in ran.err


def test_what_a_folder_leaves_out_is_said_once(parts, corpus, tmp_path):
    folder = tmp_path / "folder"
    (folder / "more").mkdir(parents=True)
    (folder / "a.txt").write_text(corpus.read_text())
    (folder / "notes.md").write_text("no corpus")
    command = general(parts, folder, tmp_path / "out", "--max-steps", 1)
    said = f"--corpus {folder}: left out 1 file (notes.md)"
    for ran in (done(*command, "--dry-run"), done(*command)):
        assert " ".join((ran.out + ran.err).split()).count(said) == 1
    (tmp_path / "out/metrics.json").unlink()
    for more in (("--dry-run",), ()):  # its corpus is packed: nothing is read any more
        ran = done(*command, *more)
        assert "left out" not in ran.out + ran.err
