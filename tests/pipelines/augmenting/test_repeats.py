"""Rows whose texts repeat anywhere in the table: each row group of the candidates is decoded once a machine."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import random
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.augmenting import flat_parts, sources
from pipelines.augmenting import plan as parts
from pipelines.augmenting.flat_parts import FlatParts
from pipelines.augmenting.snapshot import Snapshot
from pipelines.augmenting.stages import CANDIDATES
from pipelines.run_folder.parquet import RowReader
from pipelines.run_folder.storage import Storage
from tests.pipelines.jobs import contents, done, records, sentences, tinyaug

PAIRS, SHARDS = 120, 12


@pytest.fixture(scope="module")
def repeats(tmp_path_factory):
    """Pairs of 80 texts, each of which stands in three pairs, anywhere in the file."""
    chance, texts = random.Random(5), list(dict.fromkeys(sentences(200, seed=9)))[:80]
    column = texts * 3
    chance.shuffle(column)
    lines = [f"{one}\t{other}\t{chance.randrange(2)}" for one, other in zip(column[::2], column[1::2], strict=True)]
    path = tmp_path_factory.mktemp("repeats") / "pairs.tsv"
    path.write_text("\n".join(["first\tsecond\tlabel", *lines, ""]))
    assert len(lines) == PAIRS
    return path


@pytest.fixture
def command(repeats, inputs, tmp_path, monkeypatch):
    """A job of five parts and twelve shards over it."""
    monkeypatch.setattr(parts, "PART_COST", 2500)
    told = ("--task", "custom", "--data", repeats, "--text", "first", "--text", "second", "--label", "label")
    return inputs.augment(tmp_path / "run", *told, "--shard-rows", PAIRS // SHARDS)


@pytest.fixture
def decoded(monkeypatch):
    """The row groups of candidates that are decoded, one entry for each time."""
    seen: list[tuple[str, int]] = []
    original_init, original_take = RowReader.__init__, RowReader.take

    def opened(self, storage, name):
        original_init(self, storage, name)
        self.name = name

    def taken(self, rows, columns=None):
        if self.name.startswith(CANDIDATES):
            groups = np.unique(np.searchsorted(self._bounds, rows, side="right") - 1)
            seen.extend((self.name, int(group)) for group in groups)
        return original_take(self, rows, columns)

    monkeypatch.setattr(RowReader, "__init__", opened)
    monkeypatch.setattr(RowReader, "take", taken)
    return seen


def test_each_row_group_is_decoded_once(command, tmp_path, decoded, monkeypatch):
    done(*command)
    assert len(list((tmp_path / "run/candidates/data").iterdir())) == 5
    assert len(decoded) == len(set(decoded)) == 5
    assert not (tmp_path / "run/.partial").exists()
    flat = contents(tmp_path / "run")
    shutil.rmtree(tmp_path / "run")
    decoded.clear()
    monkeypatch.setattr("pipelines.augmenting.augment_job.FEW_REPEATS", 1.0)
    done(*command)
    assert contents(tmp_path / "run") == flat
    assert len(decoded) > 40  # by each shard for itself


def test_more_parts_than_files_are_kept_open(command, decoded, monkeypatch):
    monkeypatch.setattr("pipelines.augmenting.sources.OPEN_FILES", 1)
    done(*command)
    assert len(decoded) == 5


def test_few_repeats_are_read_as_they_lie():
    assert flat_parts.FEW_REPEATS == 0.05
    of_sst2 = Snapshot(67_349, 66_978, [0, 66_978], 0, [], {})
    of_qqp = Snapshot(363_846, 509_637, [0, 509_637], 0, [], {})
    assert of_sst2.repeats(("sentence",)) == pytest.approx(0.0055, abs=1e-4)
    assert of_qqp.repeats(("question1", "question2")) == pytest.approx(0.2997, abs=1e-4)


TABLE = pa.table({"text": ["a", "b", "c"], "words": [[1], [2, 3], []]})


def taken(part):
    return part.take(np.array([0, 2]), ["words"])["words"].to_pylist()


def test_a_flat_part_outlives_its_reader_and_is_shared(tmp_path):
    first = FlatParts(Storage(str(tmp_path)), "f" * 64)
    part = first.part(3, lambda: pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1)]))
    other = FlatParts(Storage(str(tmp_path)), "f" * 64).part(3, lambda: pytest.fail("decoded again"))
    rows = part.take(np.array([1]), ["text", "words"])
    part.close()
    assert rows.to_pylist() == [{"text": "b", "words": [2, 3]}]
    assert taken(other) == [[1], []]
    decoded = []
    FlatParts(Storage(str(tmp_path)), "e" * 64).part(3, lambda: decoded.append(1) or TABLE)
    assert decoded == [1]  # made with other settings


def test_a_machine_without_room_reads_on(tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    full = FlatParts(Storage(str(tmp_path)), "f" * 64)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage(flat_parts.SPARE_BYTES))
        assert taken(full.part(0, lambda: TABLE)) == [[1], []]
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        assert taken(full.part(0, lambda: TABLE)) == [[1], []]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["00000.lock"]


def test_without_room_a_worker_keeps_decoded_parts_within_its_budget(command, tmp_path, decoded, monkeypatch):
    """They would be all five, whatever their size."""
    done(*command)
    [flat, once], held = [contents(tmp_path / "run"), len(decoded)], []
    shutil.rmtree(tmp_path / "run")
    reader = sources.StoredCandidates._reader

    def looked_at(self, part):
        found = reader(self, part)
        held.append(len(self._open))
        return found

    monkeypatch.setattr(sources.StoredCandidates, "_reader", looked_at)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("usage", "free")(flat_parts.SPARE_BYTES))
    monkeypatch.setattr(sources, "DECODED_BYTES", 1)
    done(*command)
    assert max(held) == 1
    assert len(decoded) > 2 * once
    assert contents(tmp_path / "run") == flat


def test_without_locks_it_works_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOLCK, "no locks here")))
    assert taken(FlatParts(Storage(str(tmp_path)), "f" * 64).part(0, lambda: TABLE)) == [[1], []]


def decode(root: str, started: object, notes: str) -> None:
    started.wait(60)

    def noted() -> pa.Table:
        with open(notes, "a") as stream:
            stream.write("decoded\n")
        return TABLE

    for part in range(20):
        FlatParts(Storage(root), "f" * 64).part(part, noted)


def test_workers_that_start_together_decode_each_part_once(tmp_path):
    spawning = multiprocessing.get_context("spawn")
    started, notes = spawning.Barrier(3), tmp_path / "notes"
    workers = [spawning.Process(target=decode, args=(str(tmp_path), started, str(notes))) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(notes.read_text().splitlines()) == 20


@pytest.mark.parametrize("what", ["lock", "folder"])
def test_a_disk_that_is_full_is_said_to_be(command, tmp_path, monkeypatch, what):
    """Neither damage of the candidates, nor a defect; what was made is kept."""
    opened, made = Path.open, Path.mkdir

    def full(self: Path, *given: Any, **named: Any) -> Any:
        if (self.suffix == ".lock" and self.name != ".lock") or self.name.startswith("flat-"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return (opened if what == "lock" else made)(self, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open" if what == "lock" else "mkdir", full)
        ran = tinyaug(*command)
    assert ran.code == 1
    assert "no space left; what was finished is kept: free some space" in ran.err
    assert "damaged" not in ran.err
    finished = set(records(tmp_path / "run"))
    assert len(finished) == 5
    done(*command)
    assert not (tmp_path / "run" / "logs").exists()
