"""Arrow types of JSON values, and the type that holds the values of several rows or files."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MIXED = pa.month_day_nano_interval()
"""Stands for the type of a column whose values no type holds, so that they are kept as JSON text; neither JSON nor
Parquet has this one."""

EXACT = 2**53  # integers up to here are exact as float64
LONG = pa.uint64()  # stands for integers beyond
_SCALARS: dict[type, pa.DataType] = {bool: pa.bool_(), float: pa.float64(), str: pa.string()}


def type_of(value: object) -> pa.DataType:
    """The Arrow type of a parsed JSON value; MIXED where there is none."""
    if isinstance(value, dict):
        return _whole(pa.struct([(key, type_of(member)) for key, member in value.items()]))
    if isinstance(value, list):
        nothing: pa.DataType = pa.null()
        return _whole(pa.list_(reduce(joined, map(type_of, value), nothing)))
    if type(value) is int:
        return pa.int64() if abs(value) <= EXACT else LONG if -(2**63) <= value < 2**63 else MIXED
    return _SCALARS.get(type(value), pa.null())


def joined(known: pa.DataType, found: pa.DataType) -> pa.DataType:
    """The type that holds both without loss; MIXED where there is none."""
    if known == found or pa.types.is_null(found):
        return known
    if pa.types.is_null(known):
        return found
    both = {known, found}
    if both in ({pa.int64(), pa.float64()}, {pa.int64(), LONG}):
        return pa.float64() if pa.float64() in both else LONG
    if pa.types.is_list(known) and pa.types.is_list(found):
        return _whole(pa.list_(joined(known.value_type, found.value_type)))
    if pa.types.is_struct(known) and pa.types.is_struct(found):
        members = {field.name: field.type for field in known}
        for field in found:
            members[field.name] = joined(members.get(field.name, pa.null()), field.type)
        return _whole(pa.struct(list(members.items())))
    return MIXED


def _whole(kind: pa.DataType) -> pa.DataType:
    """The type itself, or MIXED where a member is."""
    return MIXED if any(kind.field(index).type == MIXED for index in range(kind.num_fields)) else kind


def joined_columns(rows: Iterable[Mapping[str, pa.DataType]]) -> dict[str, pa.DataType]:
    """The type of each key, in the order of their first occurrence, that holds what several rows have."""
    types: dict[str, pa.DataType] = {}
    for row in rows:
        for key, kind in row.items():
            types[key] = joined(types.get(key, pa.null()), kind)
    return types


def stored_columns(types: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
    """Types that Parquet holds; as JSON text what has none."""
    return {key: _stored(kind) for key, kind in types.items()}


def _stored(kind: pa.DataType) -> pa.DataType:
    """A type that Parquet holds: it has no objects without a member."""
    if kind == LONG:
        return pa.int64()
    if pa.types.is_list(kind):
        inner = _stored(kind.value_type)
        return MIXED if inner == MIXED else pa.list_(inner)
    if pa.types.is_struct(kind):
        members = [(field.name, _stored(field.type)) for field in kind]
        return pa.struct(members) if members and MIXED not in dict(members).values() else MIXED
    return kind


def widest(kinds: Iterable[pa.DataType]) -> pa.DataType:
    """The type that files of one part share in a column, as Arrow's permissive promotion has it; otherwise MIXED."""
    every = list(dict.fromkeys(kinds))
    if MIXED in every:
        return MIXED
    try:
        schemas = [pa.schema([("column", kind)]) for kind in every]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return MIXED


def holds_integers(kind: pa.DataType, values: Iterable[object]) -> bool:
    """Whether a type that files of one part share keeps those of the values that are integers as they are."""
    if not pa.types.is_floating(kind) and kind != pa.int64():  # which unsigned ones widen to
        return True
    most = EXACT if pa.types.is_floating(kind) else 2**63 - 1
    return all(abs(value) <= most for value in values if isinstance(value, int))
