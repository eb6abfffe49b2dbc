"""Soft labels made elsewhere: what a column may hold, and what each row is given."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from distill.errors import DistillError
from distill.reading import Columns, open_shards
from distill.shards import Position
from distill.soft_labels import SoftTeacher, read_soft_labels
from distill.teacher import Wanted
from tests.distill.data import drawn_table, open_stream
from tests.distill.models import tiny_encoder

CLASSES = ("negative", "positive")
TEXT = Columns(("sentence",))


def shards(folder, values, kind=None):
    """Two shards whose rows have these values, three in the first."""
    folder.mkdir()
    for number, part in enumerate((values[:3], values[3:])):
        table = drawn_table(len(part), number).append_column("soft", pa.array(part, kind))
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=2)
    return open_shards(str(folder), TEXT)


LOGITS = [[1.0, -1.0], [0.25, 3.0], [0.5, 0.5], [-2.0, 0.0], [0.0, 9.0]]


@pytest.mark.parametrize("kind", [None, pa.list_(pa.float32()), pa.large_list(pa.float16()), pa.list_(pa.float64(), 2)])
def test_logits_come_as_they_are(tmp_path, kind):
    values = [[np.float16(one) for one in row] for row in LOGITS] if kind == pa.large_list(pa.float16()) else LOGITS
    found = read_soft_labels(shards(tmp_path / "d", values, kind), "soft", CLASSES)
    assert not found.probable
    assert np.concatenate(found.logits).tolist() == LOGITS
    assert [len(part) for part in found.logits] == [3, 2]


def test_probabilities_become_their_logarithms(tmp_path):
    values = [[0.25, 0.75], [1.0, 0.0], [0.5, 0.5], [0.1, 0.9], [0.9, 0.1001]]
    found = read_soft_labels(shards(tmp_path / "d", values), "soft", CLASSES)
    assert found.probable
    assert found.logits[0] == pytest.approx(np.log([[0.25, 0.75], [1.0, 1e-6], [0.5, 0.5]]))


def test_structs_are_put_into_the_order_of_the_classes(tmp_path):
    values = [{"Positive": row[1], "Negative": row[0]} for row in LOGITS]
    found = read_soft_labels(shards(tmp_path / "d", values), "soft", CLASSES)
    assert np.concatenate(found.logits).tolist() == LOGITS


@pytest.mark.parametrize("values", [[0.5, 1.0, 2.0, 3.0, 4.5], [[0.5], [1.0], [2.0], [3.0], [4.5]]])
def test_a_score_is_a_number(tmp_path, values):
    found = read_soft_labels(shards(tmp_path / "d", values), "soft", ())
    assert np.concatenate(found.logits)[:, 0].tolist() == [0.5, 1.0, 2.0, 3.0, 4.5]


def changed(row: int, value) -> list:
    return [value if number == row else one for number, one in enumerate([[0.25, 0.75]] * 5)]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (changed(4, [0.25, 0.25, 0.5]), r"expected 2 numbers .* negative, positive; found 3 in .*1\.parquet, row 1\."),
        (changed(3, []), r"found 0 in .*1\.parquet, row 0\."),
        (changed(2, [0.25, 0.7]), r"found \[0\.25, 0\.7\] with the sum 0\.95 in .*0\.parquet, row 2\."),
        ([[0.25, 0.7]] * 5, r"as all rows look like them: 0 to 1, with the sum 1; found .* the sum 0\.95 in .*row 0\."),
        (changed(3, [1.25, -0.25]), r"found \[1\.25, -0\.25\] with the sum 1 in .*1\.parquet, row 0\."),
        (changed(1, [0.25, float("nan")]), r"expected finite numbers .* found \[0\.25, nan\] in .*0\.parquet, row 1\."),
        (changed(1, [0.25, None]), r"expected finite numbers .* found \[0\.25, nan\] in .*0\.parquet, row 1\."),
        (changed(4, [float("inf"), 0.0]), r"found \[inf, 0\] in .*1\.parquet, row 1\."),
        (changed(3, None), r"found none in .*1\.parquet, row 0\. Fill it"),
        ([0.5] * 5, r"expected lists of 2 numbers in column soft .*found double"),
        ([["a", "b"]] * 5, r"expected lists of 2 numbers in column soft .*found list"),
        ([{"negative": 1.0, "neutral": 0.0}] * 5, r"expected a number for each of negative, positive .*neutral"),
    ],
)
def test_what_is_refused_names_file_and_row(tmp_path, values, said):
    with pytest.raises(DistillError, match=said):
        read_soft_labels(shards(tmp_path / "d", values), "soft", CLASSES)


def test_a_column_that_is_not_there(tmp_path):
    with pytest.raises(DistillError, match=r"expected soft labels in column other of .*0\.parquet; found sentence,"):
        read_soft_labels(shards(tmp_path / "d", LOGITS), "other", CLASSES)


def test_each_row_is_given_its_own(tmp_path):
    values = [[float(row), -float(row)] for row in range(50)]
    files = shards(tmp_path / "d", values)
    labels = read_soft_labels(files, "soft", CLASSES)
    teacher, seen = SoftTeacher(tiny_encoder(), labels), []
    batches = list(open_stream(tmp_path / "d", TEXT).batches(Position()))
    for batch, given in zip(batches, teacher.targets_of_group(batches, Wanted(logits=True)), strict=True):
        rows = torch.from_numpy(batch.row + 3 * (batch.shard == 1))
        assert given.logits.tolist() == torch.stack([rows, -rows], 1).float().tolist()
        seen += rows.tolist()
    assert sorted(seen) == list(range(50))
    other = read_soft_labels(shards(tmp_path / "e", values[::-1]), "soft", CLASSES)
    assert teacher.note_fingerprint() != SoftTeacher(tiny_encoder(), other).note_fingerprint()
