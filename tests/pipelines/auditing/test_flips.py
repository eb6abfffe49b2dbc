"""Flips and their shares by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipelines.auditing.flips import Flips, Keys, find_flips
from pipelines.auditing.report import Report
from pipelines.errors import UserError

KEYS = Keys(np.array([4, 4, 4, 9, 9]), np.array([0, 1, 2, 0, 1], np.int32))


def test_a_variant_flips_whose_label_is_not_its_originals():
    logits = np.log(np.array([[0.8, 0.2], [0.3, 0.7], [0.6, 0.4], [0.1, 0.9], [0.05, 0.95]], np.float32))
    found = find_flips(logits, KEYS.originals("x"))
    assert found.flips.tolist() == [False, True, False, False, False]
    assert found.prediction.tolist() == [0, 1, 0, 1, 1]
    assert found.confidence == pytest.approx([0.8, 0.7, 0.6, 0.9, 0.95])


def test_a_score_flips_beyond_one():
    scores = np.array([[2.0], [3.0], [0.5], [1.0], [2.5]], np.float32)
    found = find_flips(scores, KEYS.originals("x"))
    assert found.flips.tolist() == [False, False, True, False, True]
    assert found.confidence.tolist() == [1] * 5


@pytest.mark.parametrize(("source", "variant", "row"), [([3, 3], [1, 2], 0), ([3, 3, 5], [0, 1, 1], 2), ([3], [1], 0)])
def test_variants_without_their_original(source, variant, row):
    with pytest.raises(UserError, match=rf"shard, row {row}: expected the variants of an example behind its original"):
        Keys(np.array(source), np.array(variant, np.int32)).originals("shard")


def test_no_rows_have_no_originals():
    assert len(Keys(np.zeros(0, np.int64), np.zeros(0, np.int32)).originals("shard")) == 0


def edit(source: str, rank: int) -> dict[str, object]:
    return {"source": source, "rank": rank}


def test_shares_by_hand():
    edits = pa.chunked_array([[[], [edit("mlm", 0), edit("glove", 4)], [edit("mlm", 3)], [], [edit("mlm", 12)] * 6]])
    flips = Flips(
        np.array([0, 1, 0, 1, 0], np.float32),
        np.array([0.9, 0.8, 0.7, 0.6, 0.95], np.float32),
        np.array([False, True, False, False, True]),
    )
    report = Report(("bad", "good"))
    report.add(KEYS, flips, flips.prediction[KEYS.originals("x")], edits)
    found = report.to_json()
    assert (found["examples"], found["variants"]) == (2, {"of": 3, "flips": 2, "share": 2 / 3})
    counted = {
        group: {name: (one["of"], one["flips"]) for name, one in members.items()}
        for group, members in found["by"].items()
    }
    assert counted == {
        "class": {"bad": (2, 1), "good": (1, 1)},
        "edits": {"1": (1, 0), "2": (1, 1), "5-9": (1, 1)},
        "source": {"mlm": (8, 7), "glove": (1, 1)},
        "rank": {"0": (1, 1), "3-4": (2, 1), "10-19": (6, 6)},
    }
    assert found["flips_with_confidence"] == {"0.5": 2, "0.7": 2, "0.9": 1, "0.99": 0}
