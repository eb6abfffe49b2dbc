"""The `datasets` features of a schema, as that library keeps them in Parquet metadata; pure JSON."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from pipelines.tasks.task import Task

METADATA_KEY = b"huggingface"
"""The key of the schema metadata that the bytes belong under."""

_NAMES = {"halffloat": "float16", "float": "float32", "double": "float64", "date32[day]": "date32"}
_NAMES |= {"date64[ms]": "date64"}
_SIMPLE = re.compile(
    r"bool|null|u?int\d+|halffloat|float|double|(large_)?(string|binary)|(date|time|timestamp|duration|decimal[12]).*"
)


def features_metadata(schema: pa.Schema, task: Task) -> bytes:
    """The value for the schema metadata key b"huggingface".

    With it `datasets.load_dataset("parquet", …)` knows the names of the classes. Columns that `datasets`
    has no feature for are left out; it derives those from the Arrow type as it would without us.

    Args:
        schema: All columns of the file, ours included.
        task: The task; its label becomes a ClassLabel where it has classes.
    """
    features: dict[str, object] = {}
    for field in schema:
        if field.name == task.label.column and task.label.kind == "class" and field.type == pa.int64():
            features[field.name] = {"names": list(task.label.names), "_type": "ClassLabel"}
        elif (feature := _feature(field.type)) is not None:
            features[field.name] = feature
    return json.dumps({"info": {"features": features}}, ensure_ascii=False).encode("utf-8")


def _feature(kind: pa.DataType) -> dict[str, object] | None:
    """The feature of a type as a dictionary; None where there is none."""
    if pa.types.is_struct(kind):
        return _struct(kind)
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return _list(kind, "List", kind.list_size if pa.types.is_fixed_size_list(kind) else None)
    if pa.types.is_large_list(kind):
        return _list(kind, "LargeList", None)
    name = _NAMES.get(str(kind), str(kind))
    return {"dtype": name, "_type": "Value"} if _is_simple(kind) else None


def _struct(kind: pa.StructType) -> dict[str, object] | None:
    members = {field.name: _feature(field.type) for field in kind}
    return None if None in members.values() else dict(members)


def _list(kind: pa.DataType, name: str, length: int | None) -> dict[str, object] | None:
    inner = _feature(kind.field(0).type)
    if inner is None:
        return None
    return {"feature": inner, "_type": name} | ({} if length is None else {"length": length})


def _is_simple(kind: pa.DataType) -> bool:
    return _SIMPLE.fullmatch(str(kind)) is not None
