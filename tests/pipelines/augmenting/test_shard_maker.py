"""One maker reads, writes and records the shards of every stage; a worker only computes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.augmenting.augment_job import stages
from pipelines.augmenting.run_file import existing_run
from pipelines.augmenting.snapshot import read_snapshot
from pipelines.augmenting.stages import Job
from pipelines.run_folder.records import Reject, read_record
from pipelines.run_folder.storage import Storage


class Lengths:
    """Gives the length of each sentence; of a row that it is told it fails.

    Args:
        bad: source_idx of that row.
    """

    def __init__(self, bad, _job, columns):
        assert "sentence" in columns.names
        self.bad = bad

    def tables(self, rows, tally):
        for table in rows:
            for row in table.to_pylist():
                if row["source_idx"] == self.bad:
                    tally.rejects.append(
                        Reject(source_idx=self.bad, stage="lengths", error="told to", text="", **NOWHERE)
                    )
                else:
                    tally.counts["letters"] += len(row["sentence"])
                    yield pa.table({"length": [len(row["sentence"])]})


NOWHERE = {"file": None, "line": None, "column": None}


@pytest.fixture
def stage(finished, tmp_path):
    """The second stage of a finished run with another worker, for a folder of its own."""
    storage = Storage(str(finished))
    run = existing_run(storage)
    job = Job(str(tmp_path), storage.root, run.identity, run.candidates_hash)
    (augmented,) = stages(job, read_snapshot(storage))
    return replace(augmented, name="lengths", worker=partial(Lengths, 13))


def test_a_shard_and_its_record(stage, finished, tmp_path):
    record = stage.make_worker().work(1)
    path = tmp_path / "lengths/data/train-00001-of-00006.parquet"
    content = path.read_bytes()
    assert (record.part, record.parts, record.first, record.last, record.rows) == (1, 6, 10, 20, 9)
    assert (record.bytes, record.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    sentences = pq.read_table(finished / "input/rows.parquet")["sentence"].to_pylist()
    lengths = [len(text) for number, text in enumerate(sentences[10:20], 10) if number != 13]
    assert pq.read_table(path)["length"].to_pylist() == lengths
    assert pq.ParquetFile(path).num_row_groups == 9
    assert record.counts == {"letters": sum(lengths)}
    assert [reject["source_idx"] for reject in record.rejects] == [13]
    assert read_record(Storage(str(tmp_path)), stage.names, 1, stage.settings_hash, verify=True) == record
    assert json.loads((tmp_path / "lengths/records/train-00001-of-00006.json").read_text())["sha256"] == record.sha256


def test_a_worker_that_fails_leaves_nothing(stage, tmp_path):
    def fail(*_):
        raise ValueError("failed as told")

    with pytest.raises(ValueError, match="as told"):
        replace(stage, worker=fail).make_worker().work(0)
    assert list(tmp_path.rglob("*.parquet")) == []
