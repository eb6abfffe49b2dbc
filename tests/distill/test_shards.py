"""The streaming data set: every row once, resumable anywhere, independent of workers, clear refusals."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs
from transformers import AutoTokenizer

from distill.errors import DistillError
from distill.reading import Columns, open_shards
from distill.shards import Position, ShardStream, StreamSettings
from distill.tokens import tokenizer_fingerprint, tokenizer_json
from tests.distill.data import COLUMNS, drawn_table, open_stream, write_shards
from tests.fixtures import tiny_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("data") / "shards")


def everything(stream, start=Position()):  # noqa: B008 (frozen)
    return list(stream.batches(start))


def same(mine, theirs) -> bool:
    return all(
        np.array_equal(getattr(mine, name), getattr(theirs, name))
        for name in ("ids", "types", "mask", "shard", "row", "labels")
    )


def test_every_row_once_an_epoch(folder):
    stream = open_stream(folder)
    for epoch in (0, 1):
        batches = everything(stream, Position(epoch))
        keys = [key for b in batches for key in zip(b.shard.tolist(), b.row.tolist(), strict=True)]
        assert sorted(keys) == [(s, r) for s, n in enumerate((37, 50, 13)) for r in range(n)]
        assert batches[-1].after == Position(epoch + 1)
    assert [len(b) for b in everything(stream)].count(8) == 12
    assert len(everything(stream)) == stream.steps() == 13


def test_epochs_and_seeds_differ(folder):
    rows = [
        [b.row.tolist() for b in everything(open_stream(folder, seed=seed), Position(epoch))]
        for seed, epoch in ((3, 0), (3, 1), (4, 0))
    ]
    assert rows[0] != rows[1] != rows[2] != rows[0]


def test_resume_from_every_position(folder):
    stream = open_stream(folder)
    batches = everything(stream)
    for number, batch in enumerate(batches[:-1], start=1):
        rest = everything(stream, batch.after)
        assert len(rest) == len(batches) - number
        assert all(same(a, b) and a.after == b.after for a, b in zip(rest, batches[number:], strict=True))


@pytest.mark.integration
def test_workers_change_nothing(folder):
    alone = everything(open_stream(folder))
    stream = open_stream(folder, workers=2)
    try:
        several = everything(stream)
        assert all(same(a, b) for a, b in zip(alone, several, strict=True))
        next(stream.batches(Position(1)))  # an epoch left in the middle
        assert len(everything(stream, Position(2))) == 13
    finally:
        stream.close()


def test_ids_are_the_tokenizer_s_own(folder):
    tokenizer = tiny_tokenizer()
    stream = open_stream(folder, Columns(("sentence", "partner")), max_length=12)
    tables = [drawn_table(rows, number) for number, rows in enumerate((37, 50, 13))]
    for batch in everything(stream):
        assert batch.labels is None
        for i in range(len(batch)):
            row = tables[batch.shard[i]].slice(int(batch.row[i]), 1).to_pylist()[0]
            expected = tokenizer(row["sentence"], row["partner"], truncation=True, max_length=12)
            own = batch.mask[i].astype(bool)
            assert batch.ids[i][own].tolist() == expected["input_ids"]
            assert batch.types[i][own].tolist() == expected["token_type_ids"]
            assert (batch.ids[i][~own] == tokenizer.pad_token_id).all()


@pytest.mark.parametrize("side", ["left", "right"])
def test_texts_are_cut_on_the_side_of_the_tokenizer(folder, tmp_path, side):
    tiny_tokenizer().save_pretrained(tmp_path / "saved")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved", truncation_side=side)
    other = AutoTokenizer.from_pretrained(tmp_path / "saved", truncation_side={"left": "right"}.get(side, "left"))
    columns, json = Columns(("sentence", "partner")), tokenizer_json(tokenizer)
    assert tokenizer_fingerprint(json) != tokenizer_fingerprint(tokenizer_json(other))
    files, settings = open_shards(str(folder), columns), StreamSettings(9, workers=0)
    cut = 0
    for batch in ShardStream(files, columns, json, tokenizer.pad_token_id, settings).batches(Position()):
        for i in range(len(batch)):
            row = drawn_table(files.shard_rows(batch.shard[i]), int(batch.shard[i])).to_pylist()[batch.row[i]]
            expected = tokenizer(row["sentence"], row["partner"], truncation=True, max_length=9)["input_ids"]
            assert batch.ids[i][batch.mask[i].astype(bool)].tolist() == expected
            cut += len(tokenizer(row["sentence"], row["partner"])["input_ids"]) > 9
    assert cut > 50
    assert tokenizer_fingerprint(tokenizer_json(tokenizer)) == tokenizer_fingerprint(json)  # after it has cut texts


def test_labels_come_along(folder):
    tables = [drawn_table(rows, number) for number, rows in enumerate((37, 50, 13))]
    for batch in everything(open_stream(folder)):
        keys = zip(batch.shard, batch.row, strict=True)
        assert batch.labels.tolist() == [tables[s].column("label")[int(r)].as_py() for s, r in keys]


def test_parts_cover_a_batch_and_trim_their_padding(folder):
    batch = everything(open_stream(folder, batch_rows=7, chunk_rows=50))[0]
    parts = [batch.part(i, 3) for i in range(3)]
    assert [len(part) for part in parts] == [2, 2, 3]
    assert [row for part in parts for row in part.row.tolist()] == batch.row.tolist()
    assert all(part.ids.shape[1] == part.mask.sum(-1).max() for part in parts)
    assert [len(batch.part(i, 9)) for i in range(9)].count(0) == 2


def test_padding_is_small(tmp_path):
    stream = open_stream(write_shards(tmp_path, (2000,), 500, 40), max_length=64, batch_rows=32, pool_rows=2000)
    own = sum(int(b.mask.sum()) for b in everything(stream))
    assert 1 - own / sum(b.mask.size for b in everything(stream)) < 0.1


def test_only_needed_columns_are_read(folder, monkeypatch):
    read = []
    real = pq.ParquetFile.read_row_group

    def spy(self, *args, **kwargs):
        read.append(kwargs["columns"])
        return real(self, *args, **kwargs)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", spy)
    everything(open_stream(folder))
    assert {tuple(names) for names in read} == {("sentence", "label")}


def test_unfinished_shards_are_left_alone(tmp_path):
    folder = write_shards(tmp_path, (5,))
    (folder / "_temporary.parquet").write_bytes(b"half a shard")
    (folder / ".train.parquet").write_bytes(b"half a shard")
    assert open_shards(str(folder), COLUMNS).rows == 5


def test_any_pyarrow_file_system(folder):
    inner = fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())
    files = open_shards("", COLUMNS, inner)
    assert files.rows == 100
    assert len(files.sha256(0)) == 64
    assert open_shards(folder.as_uri(), COLUMNS).rows == 100


def test_fingerprint_ignores_what_calls_leave_behind():
    tokenizer = tiny_tokenizer()
    before = tokenizer_fingerprint(tokenizer.backend_tokenizer.to_str())
    tokenizer(["a", "a b"], padding=True, truncation=True, max_length=5)
    assert tokenizer_fingerprint(tokenizer.backend_tokenizer.to_str()) == before
    assert tokenizer_fingerprint(tiny_tokenizer(lowercase=False).backend_tokenizer.to_str()) != before


def write_one(path, **columns):
    path.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path / "train.parquet")
    return path


def test_refusals(tmp_path):
    with pytest.raises(DistillError, match="expected Parquet shards"):
        open_shards(str(tmp_path / "nowhere"), COLUMNS)
    with pytest.raises(DistillError, match="label missing, found sentence"):
        open_stream(write_one(tmp_path / "a", sentence=["x"]))
    with pytest.raises(DistillError, match=r"expected text in column sentence.*int64"):
        open_stream(write_one(tmp_path / "b", sentence=[1], label=[0]))
    with pytest.raises(DistillError, match="its one shard has none"):
        open_stream(write_one(tmp_path / "c", sentence=pa.array([], pa.string()), label=pa.array([], pa.int64())))
    with pytest.raises(DistillError, match=r"integer from 0 to 1.*found 2 in .*row 1"):
        everything(open_stream(write_one(tmp_path / "d", sentence=["x", "y"], label=[0, 2])))
    odd = write_one(tmp_path / "e", sentence=["x"], label=[float("nan")])
    stream = open_stream(odd, Columns(("sentence",), "label"))
    with pytest.raises(DistillError, match=r"finite number.*found nan"):
        everything(stream)
    with pytest.raises(DistillError, match=r"column sentence; found none.*row 1"):
        everything(open_stream(write_one(tmp_path / "f", sentence=["x", None], label=[0, 1])))


@pytest.mark.parametrize("kind", [pa.large_string(), pa.binary(), pa.large_binary()])
def test_text_may_be_stored_as_bytes(folder, tmp_path, kind):
    table = pa.concat_tables([pq.read_table(path) for path in sorted(folder.iterdir())])
    expected = [batch.ids.tolist() for batch in everything(open_stream(write_one(tmp_path / "a", **dict_of(table))))]
    stored = dict_of(table) | {"sentence": table["sentence"].cast(kind)}
    assert [b.ids.tolist() for b in everything(open_stream(write_one(tmp_path / "b", **stored)))] == expected
    broken = write_one(tmp_path / "c", sentence=pa.array([b"caf\xe9"], pa.binary()), label=[0])
    with pytest.raises(DistillError, match=r"row group 0 of .*Invalid UTF8"):
        everything(open_stream(broken))


def dict_of(table):
    return {name: table[name] for name in table.column_names}


def test_a_truncated_shard_is_named(tmp_path):
    folder = write_shards(tmp_path)
    path = sorted(folder.iterdir())[1]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DistillError, match=f"whole Parquet file at .*{path.name}"):
        open_stream(folder)
    path.write_bytes(whole[:4] + bytes(len(whole) // 2) + whole[4 + len(whole) // 2 :])  # footer intact
    with pytest.raises(DistillError, match=f"row group . of .*{path.name}"):
        everything(open_stream(folder))


def test_a_store_that_fails_is_not_called_a_damaged_shard(folder, monkeypatch):
    stream = open_stream(folder)
    for error in (OSError("AWS Error NETWORK_CONNECTION during GetObject: curlCode: 28"), OSError(5, "I/O error")):

        def fail(*_, error=error, **__):
            raise error

        with monkeypatch.context() as broken:
            broken.setattr(pq.ParquetFile, "read_row_group", fail)
            with pytest.raises(DistillError, match="Nothing says that it is damaged"):
                everything(stream)
            broken.setattr(pq, "read_metadata", fail)
            with pytest.raises(DistillError, match="Nothing says that it is damaged"):
                open_stream(folder)
            broken.setattr("distill.reading._parquet_paths", fail)
            with pytest.raises(DistillError, match="cannot be listed"):
                open_stream(folder)
    with pytest.raises(DistillError, match="in nowhere://bucket/run; it cannot be listed") as said:
        open_shards("nowhere://key:swordfish@bucket/run", COLUMNS)
    assert "swordfish" not in str(said.value)


@pytest.mark.parametrize("changes", [{"batch_rows": 0}, {"workers": -1}, {"max_length": 1}])
def test_settings_are_checked(changes):
    with pytest.raises(DistillError):
        StreamSettings(**changes)
