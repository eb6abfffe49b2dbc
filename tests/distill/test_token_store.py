"""Tokenised chunks that are kept: the same batches as without, made once, also by several readers and after a kill."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill import token_store
from distill.errors import DistillError
from distill.reading import Columns
from distill.shards import Position
from tests.distill.data import COLUMNS, open_stream, write_shards

if TYPE_CHECKING:
    from pathlib import Path

    from distill.shards import Batch, ShardStream


def epoch(stream: ShardStream, number: int = 0) -> list[Batch]:
    """All batches of one epoch."""
    found = list(stream.batches(Position(number)))
    stream.close()
    return found


def assert_same(found: list[Batch], expected: list[Batch]) -> None:
    """Ids, segments, labels, places and order are equal."""
    assert [batch.after for batch in found] == [batch.after for batch in expected]
    for one, other in zip(found, expected, strict=True):
        for name in ("ids", "types", "mask", "shard", "row", "labels"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("columns", [COLUMNS, Columns(("sentence", "partner")), Columns(("partner",), "label")])
def test_batches_are_those_of_a_stream_that_keeps_nothing(tmp_path: Path, workers: int, columns: Columns) -> None:
    shards = write_shards(tmp_path / "data")
    plain = open_stream(shards, columns, workers=workers)
    kept = replace(open_stream(shards, columns, workers=workers), kept=tmp_path / "tokens")
    for number in (0, 1):
        assert_same(epoch(kept, number), epoch(plain, number))


def test_a_later_epoch_reads_no_text(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "data")
    stream = replace(open_stream(shards), kept=tmp_path / "tokens")
    expected = epoch(open_stream(shards), 1)
    epoch(stream)
    files = sorted((tmp_path / "tokens").rglob("*"))
    # 37, 50 and 13 rows in groups of 10 and chunks of 7: two chunks a whole group, one a group of 7, one of 3.
    assert sum(path.suffix == ".arrow" for path in files) == 3 * 2 + 1 + 5 * 2 + 2 + 1
    for path in shards.iterdir():
        path.unlink()
    assert_same(epoch(stream, 1), expected)


def test_other_rows_or_another_length_are_tokenised_anew(tmp_path: Path) -> None:
    shards, tokens = write_shards(tmp_path / "data"), tmp_path / "tokens"
    epoch(replace(open_stream(shards), kept=tokens))
    short = open_stream(shards, max_length=5)
    assert_same(epoch(replace(short, kept=tokens)), epoch(short))
    path = next(shards.iterdir())
    pq.write_table(pq.read_table(path).slice(1), path, row_group_size=10)
    changed = open_stream(shards)
    assert_same(epoch(replace(changed, kept=tokens)), epoch(changed))
    assert len(list(tokens.iterdir())) == 3


def test_a_file_that_a_kill_left_unfinished_is_not_read(tmp_path: Path) -> None:
    shards, tokens = write_shards(tmp_path / "data"), tmp_path / "tokens"
    stream = replace(open_stream(shards), kept=tokens)
    epoch(stream)
    whole = next(tokens.rglob("*.arrow"))
    torn = whole.with_suffix(".99.tmp")
    torn.write_bytes(whole.read_bytes()[:40])
    whole.unlink()
    assert_same(epoch(stream), epoch(open_stream(shards)))
    assert whole.exists()


def test_without_room_rows_are_tokenised_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object, schema: pa.Schema) -> None:
        raise OSError(28, "No space left on device")

    shards = write_shards(tmp_path / "data")
    monkeypatch.setattr(token_store.pa.ipc, "new_file", full)
    stream = replace(open_stream(shards), kept=tmp_path / "tokens")
    assert_same(epoch(stream), epoch(open_stream(shards)))
    assert not list((tmp_path / "tokens").rglob("*.*"))


def test_room_is_left_for_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_store, "SPARE_BYTES", 2**62)
    epoch(replace(open_stream(write_shards(tmp_path / "data")), kept=tmp_path / "tokens"))
    assert not list((tmp_path / "tokens").rglob("*.*"))


def test_a_damaged_file_is_written_again(tmp_path: Path) -> None:
    """Cut off, empty, or all zeros, as a crash of the machine may leave it."""
    shards, tokens = write_shards(tmp_path / "data"), tmp_path / "tokens"
    stream = replace(open_stream(shards), kept=tokens)
    epoch(stream)
    files = sorted(tokens.rglob("*.arrow"))[:3]
    whole = [path.read_bytes() for path in files]
    for path, left in zip(files, (whole[0][:100], b"", bytes(len(whole[2]))), strict=True):
        path.write_bytes(left)
    assert_same(epoch(stream), epoch(open_stream(shards)))
    assert [path.read_bytes() for path in files] == whole


def test_a_bad_row_is_named_as_without_a_store(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "data")
    path = sorted(shards.iterdir())[1]
    table = pq.read_table(path)
    labels = table.column("label").to_pylist()
    labels[23] = 7
    pq.write_table(table.set_column(2, "label", pa.array(labels)), path, row_group_size=10)
    with pytest.raises(DistillError, match=r"found 7 in .*train-00001.*, row 23\."):
        epoch(replace(open_stream(shards), kept=tmp_path / "tokens"))


@pytest.mark.parametrize(("spare", "kind"), [(0, pa.uint16()), (-1, pa.int32())])
def test_ids_take_two_bytes_where_all_of_them_fit(tmp_path: Path, monkeypatch, spare: int, kind: pa.DataType) -> None:
    shards = write_shards(tmp_path / "data")
    monkeypatch.setattr(token_store, "SHORT", open_vocabulary(shards) + spare)
    epoch(replace(open_stream(shards), kept=tmp_path / "tokens"))
    with pa.memory_map(str(next((tmp_path / "tokens").rglob("*.arrow")))) as source:
        assert pa.ipc.open_file(source).schema.field("input_ids").type.value_type == kind


def open_vocabulary(shards: Path) -> int:
    """Tokens of the tiny tokenizer."""
    from tokenizers import Tokenizer

    return Tokenizer.from_str(open_stream(shards).tokenizer_json).get_vocab_size()
