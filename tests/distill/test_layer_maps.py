"""Layer maps by hand, and their refusals."""

from __future__ import annotations

import pytest

from distill.errors import DistillError
from distill.layer_maps import LayerMap, resolve_layer_map


@pytest.mark.parametrize(
    ("choice", "student", "teacher", "expected"),
    [
        ("uniform", 4, 12, (3, 6, 9, 12)),
        (LayerMap.UNIFORM, 6, 12, (2, 4, 6, 8, 10, 12)),
        ("uniform", 4, 6, (1, 3, 4, 6)),
        ("uniform", 5, 12, (2, 4, 7, 9, 12)),
        ("top", 4, 12, (9, 10, 11, 12)),
        ("bottom", 4, 12, (1, 2, 3, 4)),
        (LayerMap.DISTILBERT, 6, 12, (1, 3, 5, 8, 10, 12)),
        ("distilbert", 4, 12, (3, 6, 9, 12)),
        ("3,6,9,12", 4, 12, (3, 6, 9, 12)),
        ((2, 2, 1), 3, 2, (2, 2, 1)),
    ],
)
def test_maps(choice, student, teacher, expected):
    assert resolve_layer_map(choice, student, teacher) == expected


@pytest.mark.parametrize(
    ("choice", "student", "teacher", "message"),
    [
        ("middle", 4, 12, "found 'middle'"),
        ("uniform", 6, 4, "student of 1 to 4 layers.*found 6"),
        ("3,6,9", 4, 12, "expected 4 layers.*found 3"),
        ((0, 6), 2, 12, "between 1 and 12"),
        ((6, 13), 2, 12, "between 1 and 12"),
    ],
)
def test_refusals(choice, student, teacher, message):
    with pytest.raises(DistillError, match=message):
        resolve_layer_map(choice, student, teacher)
