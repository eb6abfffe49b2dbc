from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from pipelines.errors import UserError
from pipelines.tasks import CustomOptions, open_task
from tests.pipelines.tasks.reading import custom_rows, rows_of, write


def test_types_are_kept_and_dictionaries_decoded(tmp_path):
    table = pa.table(
        {
            "t": pa.array(["one", "two", "one"]).dictionary_encode(),
            "when": pa.array([0, 1, 2], pa.timestamp("us", tz="UTC")),
            "tags": [["a"], [], None],
            "y": pa.array(["b", "a", "b"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "r.parquet")
    split = open_task("custom", tmp_path / "r.parquet", CustomOptions(("t",), "y")).split("train")
    assert split.schema == pa.schema(
        [("t", pa.string()), ("when", pa.timestamp("us", tz="UTC")), ("tags", pa.list_(pa.string())), ("y", pa.int64())]
    )
    assert [(row["t"], row["y"], row["tags"]) for row in rows_of(split)] == [
        ("one", 1, ["a"]),
        ("two", 0, []),
        ("one", 1, None),
    ]
    assert split.files[0].rows == 3


def test_stored_class_names_are_kept(tmp_path):
    features = Features({"t": Value("string"), "y": ClassLabel(names=["zebra", "ant"])})
    Dataset.from_dict({"t": ["a", "b", "c"], "y": [1, 0, -1]}, features=features).to_parquet(tmp_path / "r.parquet")
    task = open_task("custom", tmp_path / "r.parquet", CustomOptions(("t",), "y"))
    assert task.task.label.names == ("zebra", "ant")
    rows, bad = custom_rows(tmp_path / "r.parquet", "t", label="y")
    assert [row["y"] for row in rows] == [1, 0]
    assert [(row.line, row.source_idx, row.column, row.text) for row in bad] == [(None, 2, "y", "c")]
    renamed, _ = custom_rows(tmp_path / "r.parquet", "t", label="y", label_names=("ant", "zebra"))
    assert [row["y"] for row in renamed] == [0, 1]


def test_bad_rows_and_limits_over_shards(tmp_path):
    for shard, texts in enumerate([["a", None, "c"], ["d", "e"]]):
        table = pa.table({"t": pa.array(texts, pa.large_string()), "y": pa.array([0, 1, None][: len(texts)])})
        pq.write_table(table, tmp_path / f"train-0000{shard}-of-00002.parquet", row_group_size=2)
    rows, bad = custom_rows(tmp_path, "t", label="y")
    assert [(row["source_idx"], row["t"], row["y"]) for row in rows] == [(0, "a", 0), (3, "d", 0), (4, "e", 1)]
    assert [(row.source_idx, row.column, row.error) for row in bad] == [
        (1, "t", "expected text, found null"),
        (2, "y", "expected a label, found none"),
    ]
    split = open_task("custom", tmp_path, CustomOptions(("t",), "y"), on_bad=bad.append).split("train")
    assert [row["t"] for row in rows_of(split, limit=4, rows=1)] == ["a", "d"]
    assert [row["t"] for row in rows_of(split, limit=3)] == ["a"]
    assert [file.name for file in split.files] == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]


def test_bytes_that_are_no_utf8(tmp_path):
    broken = pa.array([b"fine", b"bro\xffken"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"t": broken, "y": [0, 1]}), tmp_path / "r.parquet")
    rows, bad = custom_rows(tmp_path / "r.parquet", "t")
    assert [row["t"] for row in rows] == ["fine"]
    assert [(row.source_idx, row.error, row.text) for row in bad] == [
        (1, "expected UTF-8, found byte 0xff", "bro\ufffdken")
    ]


def test_a_folder_of_parquet_alone_is_the_train_part(tmp_path):
    pq.write_table(pa.table({"t": ["a"]}), tmp_path / "part-0.parquet")
    pq.write_table(pa.table({"t": ["b"]}), tmp_path / "part-1.parquet")
    write(tmp_path / "_SUCCESS", "")
    assert [row["t"] for row in custom_rows(tmp_path, "t")[0]] == ["a", "b"]


def test_shards_must_have_the_same_columns(tmp_path):
    pq.write_table(pa.table({"t": ["a"], "n": [1]}), tmp_path / "train-0.parquet")
    pq.write_table(pa.table({"t": ["b"], "m": [1]}), tmp_path / "train-1.parquet")
    with pytest.raises(UserError, match=r"train-1\.parquet: expected the columns of .*\(t, n\), found t, m"):
        custom_rows(tmp_path, "t")


@pytest.mark.parametrize(
    ("first", "second", "texts"),
    [
        (pa.array([True]), pa.array([1]), ["true", "1"]),
        (pa.array([1]), pa.array(["1"]), ["1", '"1"']),
        (pa.array([b"\xff"]), pa.array([None, 1])[1:], ['"\\\\xff"', "1"]),
        (pa.array([1], pa.timestamp("ns")), pa.array([1], pa.timestamp("ns", "UTC")),
         ['"1970-01-01 00:00:00.000000001"', '"1970-01-01 00:00:00.000000001Z"']),
        (pa.array([2**60]), pa.array([0.5]), [str(2**60), "0.5"]),
        (pa.array([2**63], pa.uint64()), pa.array([-1]), [str(2**63), "-1"]),
    ],
)  # fmt: skip
def test_columns_of_shards_that_no_type_holds_are_json_text(tmp_path, first, second, texts):
    pq.write_table(pa.table({"t": ["a"], "n": first}), tmp_path / "train-0.parquet")
    pq.write_table(pa.table({"t": ["b"], "n": second}), tmp_path / "train-1.parquet")
    assert [row["n"] for row in custom_rows(tmp_path, "t")[0]] == texts
    notes = open_task("custom", tmp_path, CustomOptions(("t",))).notes()
    assert notes == ("kept as JSON text, for their values are of several types: columns n",)


def test_columns_of_json_lines_that_no_type_holds_are_json_text(tmp_path):
    write(tmp_path / "train-0.jsonl", f'{{"t": "a", "n": {2**60}}}\n')
    write(tmp_path / "train-1.jsonl", '{"t": "a", "n": 0.5}\n')
    assert [row["n"] for row in custom_rows(tmp_path, "t")[0]] == [str(2**60), "0.5"]


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        (pa.array([None], pa.null()), pa.array(["x"]), pa.string()),
        (pa.array(["w"]), pa.array(["x"], pa.large_string()), pa.large_string()),
        (pa.array([["w"]]), pa.array([["x"]], pa.large_list(pa.string())), pa.large_list(pa.string())),
        (pa.array([1]), pa.array([0.5]), pa.float64()),
        (pa.array([1], pa.int8()), pa.array([2], pa.int64()), pa.int64()),
        (pa.array([{"a": 1}]), pa.array([{"b": "x"}]), pa.struct([("a", pa.int64()), ("b", pa.string())])),
        (pa.array(["w"]).dictionary_encode(), pa.array(["x"]), pa.string()),
    ],
)  # fmt: skip
def test_types_of_shards_widen(tmp_path, first, second, kind):
    pq.write_table(pa.table({"t": ["a"], "y": ["1.0"], "n": first}), tmp_path / "train-0.parquet")
    second_columns = {"n": second, "y": [0], "t": pa.array(["b"], pa.large_string())}
    pq.write_table(pa.table(second_columns), tmp_path / "train-1.parquet")
    split = open_task("custom", tmp_path, CustomOptions(("t",), "y", "class")).split("train")
    assert split.schema == pa.schema([("t", pa.string()), ("y", pa.int64()), ("n", kind)])
    rows = rows_of(split)
    assert [(row["t"], row["y"]) for row in rows] == [("a", 1), ("b", 0)]
    both = [value | dict.fromkeys({"a", "b"} - value.keys()) if isinstance(value, dict) else value
            for value in (*first.to_pylist(), *second.to_pylist())]  # fmt: skip
    assert [row["n"] for row in rows] == both


@pytest.mark.parametrize("view", [lambda array: array, lambda array: array.view(pa.string())])
def test_labels_that_are_no_utf8_are_bad_rows(tmp_path, view):
    labels = view(pa.array([b"caf\xe9", b"caf\xe8", b"caf", b"bar"], pa.binary()))
    pq.write_table(pa.table({"t": ["a", "b", "c", "d"], "y": labels}), tmp_path / "r.parquet")
    assert open_task("custom", tmp_path / "r.parquet", CustomOptions(("t",), "y")).task.label.names == ("bar", "caf")
    rows, bad = custom_rows(tmp_path / "r.parquet", "t", label="y")
    assert [row["y"] for row in rows] == [1, 0]
    assert [(row.row, row.column, row.error) for row in bad] == [
        (0, "y", "expected UTF-8, found byte 0xe9"), (1, "y", "expected UTF-8, found byte 0xe8"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.large_string()])
def test_bytes_that_are_utf8_are_text_and_labels(tmp_path, kind):
    texts = pa.array([b"caf\xc3\xa9", None, b"\xff"], pa.binary())
    texts = texts.cast(kind) if kind != pa.large_string() else texts.view(pa.string()).cast(pa.large_string())
    labels = pa.array([b"good", b"bad", b"bad"], pa.binary())
    pq.write_table(pa.table({"t": texts, "y": labels, "raw": labels}), tmp_path / "r.parquet")
    rows, bad = custom_rows(tmp_path / "r.parquet", "t", label="y")
    assert rows == [{"source_idx": 0, "t": "café", "y": 1, "raw": b"good"}]
    assert [(row.row, row.error) for row in bad] == [
        (1, "expected text, found null"), (2, "expected UTF-8, found byte 0xff"),
    ]  # fmt: skip


def test_class_names_of_shards_must_agree(tmp_path):
    for shard, names in enumerate([["a", "b"], ["b", "a"]]):
        features = Features({"t": Value("string"), "y": ClassLabel(names=names)})
        data = Dataset.from_dict({"t": ["x"], "y": [0]}, features=features)
        data.to_parquet(tmp_path / f"train-{shard}.parquet")
    with pytest.raises(UserError, match="stored class names"):
        custom_rows(tmp_path, "t", label="y")


def test_unusable_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="expected a Parquet file"):
        custom_rows(write(tmp_path / "r.parquet", "no parquet"), "t")
    pq.write_table(pa.table({"t": [1], "edits": [2]}), tmp_path / "r.parquet")
    with pytest.raises(UserError, match="no column named"):
        custom_rows(tmp_path / "r.parquet", "t")
    pq.write_table(pa.table({"t": [1]}), tmp_path / "r.parquet")
    with pytest.raises(UserError, match="expected text in column 't', found int64"):
        custom_rows(tmp_path / "r.parquet", "t")
    pq.write_table(pa.table({"t": pa.array([], pa.string())}), tmp_path / "r.parquet")
    with pytest.raises(UserError, match="expected rows, found none"):
        custom_rows(tmp_path / "r.parquet", "t")


def test_a_damaged_page_is_named(tmp_path):
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table({"t": [f"text {n}" for n in range(1000)]}), path, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[40:400] = bytes(360)
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match="found damage"):
        custom_rows(path, "t")
