from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, load_dataset

from pipelines.tasks import GLUE, METADATA_KEY, Label, Task, features_metadata

EDIT = pa.struct(
    [
        ("column", pa.string()),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("original", pa.string()),
        ("replacement", pa.string()),
        ("source", pa.string()),
        ("rank", pa.int16()),
        ("score", pa.float32()),
    ]
)
OURS = [("source_idx", pa.int64()), ("variant", pa.int32()), ("edits", pa.list_(EDIT))]


def round_trip(folder, schema, rows, task):
    schema = schema.with_metadata({METADATA_KEY: features_metadata(schema, task)})
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "r.parquet")
    return load_dataset("parquet", data_files=str(folder / "r.parquet"), split="train", cache_dir=str(folder / "c"))


def test_glue_rows_with_edits(tmp_path):
    schema = pa.schema([("sentence", pa.string()), ("label", pa.int64()), ("idx", pa.int32()), *OURS])
    edit = {"column": "sentence", "start": 2, "end": 6, "original": "warm", "replacement": "cold", "source": "mlm"}
    row = {"sentence": "a warm film", "label": 1, "idx": 0, "source_idx": 0, "variant": 1}
    row["edits"] = [{**edit, "rank": 3, "score": 0.5}]
    data = round_trip(tmp_path, schema, [row, {**row, "edits": []}], GLUE["sst2"])
    assert data.features["label"] == ClassLabel(names=["negative", "positive"])
    assert data.features.arrow_schema.field("edits").type == pa.list_(EDIT)
    assert data[0] == row
    assert data.features["variant"].dtype == "int32"


SIMPLE = [
    pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(),
    pa.float32(), pa.float64(), pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.null(),
    pa.date32(), pa.timestamp("us"), pa.timestamp("ns", tz="Europe/Berlin"), pa.time32("ms"),
    pa.time64("us"), pa.duration("s"), pa.decimal128(10, 2), pa.decimal256(50, 3), pa.list_(pa.list_(pa.int8())),
    pa.large_list(pa.string()), pa.list_(pa.float32(), 3),
    pa.struct([("_type", pa.string()), ("x", pa.list_(pa.int8()))]),
]  # fmt: skip


@pytest.mark.parametrize("kind", SIMPLE, ids=str)
def test_types_of_custom_columns_survive(tmp_path, kind):
    task = Task("custom", ("t",), Label("y", "class", ("no", "yes")))
    schema = pa.schema([("t", pa.string()), ("y", pa.int64()), ("extra", kind)])
    data = round_trip(tmp_path, schema, [{"t": "a", "y": 0, "extra": None}], task)
    assert data.features["y"] == ClassLabel(names=["no", "yes"])
    assert data.features.arrow_schema.field("extra").type == kind


@pytest.mark.parametrize("kind", [pa.binary(4), pa.map_(pa.string(), pa.int8()), pa.list_(pa.binary(2))], ids=str)
def test_types_without_a_feature_are_left_out(kind):
    schema = pa.schema([("t", pa.string()), ("extra", kind), ("s", pa.struct([("k", kind)]))])
    features = json.loads(features_metadata(schema, Task("custom", ("t",), Label(None, "none"))))
    assert features == {"info": {"features": {"t": {"dtype": "string", "_type": "Value"}}}}
