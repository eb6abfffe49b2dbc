"""Arrow types of JSON values: found from a first block, then every later value is checked against them."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable

_SCALARS: dict[type, pa.DataType] = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
_LARGEST_EXACT = 2**53
"""Integers up to here are exact as float64."""


def type_of(value: object) -> pa.DataType:
    """The Arrow type of a parsed JSON value; null for None, empty objects and nothing else."""
    if isinstance(value, dict) and value:
        return pa.struct([(key, type_of(member)) for key, member in value.items()])
    if isinstance(value, list):
        nothing: pa.DataType = pa.null()
        return pa.list_(reduce(joined, map(type_of, value), nothing))
    return _SCALARS.get(type(value), pa.null())


def joined(known: pa.DataType, found: pa.DataType) -> pa.DataType:
    """The type that holds both; where there is none, the one known first."""
    if known == found or pa.types.is_null(found):
        return known
    if pa.types.is_null(known):
        return found
    if {known, found} == {pa.int64(), pa.float64()}:
        return pa.float64()
    if pa.types.is_list(known) and pa.types.is_list(found):
        return pa.list_(joined(known.value_type, found.value_type))
    if pa.types.is_struct(known) and pa.types.is_struct(found):
        return _joined_structs(known, found)
    return known


def _joined_structs(known: pa.StructType, found: pa.StructType) -> pa.StructType:
    members = {field.name: field.type for field in known}
    for field in found:
        members[field.name] = joined(members.get(field.name, pa.null()), field.type)
    return pa.struct(list(members.items()))


def joined_columns(rows: Iterable[dict[str, object]]) -> dict[str, pa.DataType]:
    """The type of each key of the rows, in the order of their first occurrence."""
    types: dict[str, pa.DataType] = {}
    for row in rows:
        for key, value in row.items():
            types[key] = joined(types.get(key, pa.null()), type_of(value))
    return types


def fits(value: object, kind: pa.DataType) -> bool:
    """Whether a value can be stored with that type and nothing of it lost."""
    if value is None:
        return True
    if pa.types.is_struct(kind):
        return isinstance(value, dict) and _struct_fits(value, kind)
    if pa.types.is_list(kind):
        return isinstance(value, list) and all(fits(member, kind.value_type) for member in value)
    if pa.types.is_floating(kind):
        return type(value) is float or (type(value) is int and abs(value) <= _LARGEST_EXACT)
    if pa.types.is_integer(kind):
        return type(value) is int and -(2**63) <= value < 2**63
    return _SCALARS.get(type(value)) == kind


def _struct_fits(value: dict[str, object], kind: pa.StructType) -> bool:
    members = {field.name: field.type for field in kind}
    return all(key in members and fits(member, members[key]) for key, member in value.items())
