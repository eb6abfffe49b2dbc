"""The `datasets` features of a schema, as that library keeps them in Parquet metadata; pure JSON."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipelines.tasks.task import AUGMENTED_COLUMNS

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


def is_augmented(schema: pa.Schema) -> bool:
    """Whether rows have the columns that augmented shards add; other programs may have left out rows and `edits`."""
    *numbers, edits = AUGMENTED_COLUMNS
    known = edits not in schema.names or pa.types.is_nested(schema.field(edits).type)
    return set(numbers) <= set(schema.names) and known


def _feature(kind: pa.DataType) -> Any:
    """The feature of a type, as JSON; None where there is none."""
    if pa.types.is_struct(kind):
        members = {field.name: _feature(field.type) for field in kind}
        return None if None in members.values() else members
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind):
        inner = _feature(kind.field(0).type)
        length = {"length": kind.list_size} if pa.types.is_fixed_size_list(kind) else {}
        name = "LargeList" if pa.types.is_large_list(kind) else "List"
        return None if inner is None else {"feature": inner, "_type": name, **length}
    name = str(kind)
    return {"dtype": _NAMES.get(name, name), "_type": "Value"} if _SIMPLE.fullmatch(name) else None
