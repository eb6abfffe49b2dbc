"""Source rows are cut so that their variants fit into memory, whatever their columns hold."""

from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from augment.chunks import BLOCK, CHUNK_BYTES, CHUNK_ROWS, chunk_bounds, row_costs
from augment.presets import DrawSettings
from pipelines.augmenting.plan import rows_of_example
from pipelines.augmenting.variants import VariantWorker
from tests.pipelines.jobs import done, rejected, rows, tinyaug

WIDE = 100_000


def chunk_costs(table: pa.Table, copies: int) -> list[float]:
    costs = row_costs(table, copies)
    bounds = chunk_bounds(costs)
    assert (bounds[0], bounds[-1]) == (0, table.num_rows)
    return [float(costs[first:last].sum()) for first, last in pairwise(bounds)]


@pytest.mark.parametrize(
    "wide",
    [["x" * WIDE] * 500, [["x"] * (WIDE // 5)] * 500, [{"a": b"x" * WIDE}] * 500],
    ids=["text", "list", "struct"],
)
def test_all_columns_count(wide):
    table = pa.table({"text": ["a film"] * 500, "wide": wide})
    costs = chunk_costs(table, 21)
    assert max(costs) <= CHUNK_BYTES
    assert sum(costs) >= 500 * 21 * WIDE


def test_short_texts_with_many_variants_are_bounded_too():
    costs = chunk_costs(pa.table({"text": ["a"] * 4096}), 10_001)
    assert max(costs) <= CHUNK_BYTES
    assert sum(costs) > 4096 * 10_001 * 200  # what a row takes beside its text


def test_one_heavy_row_among_light_ones_stands_alone():
    table = pa.table({"text": ["a"] * 40 + ["x" * (2 * CHUNK_BYTES // 21)] + ["b"] * 40})
    costs = row_costs(table, 21)
    assert costs[40] > CHUNK_BYTES > 1000 * costs[41]
    assert chunk_bounds(costs) == [0, 40, 41, 81]


def test_light_rows_stay_together():
    assert chunk_bounds(row_costs(pa.table({"text": ["a film"] * (CHUNK_ROWS + BLOCK + 1)}), 4)) == [0, 4096, 4113]


@pytest.mark.parametrize(("pairs", "copies"), [("joint", 6), ("first", 6), ("second", 6), ("each", 11)])
def test_rows_of_an_example(pairs, copies):
    assert rows_of_example(DrawSettings(n=5, pairs=pairs), 2) == copies


@pytest.fixture
def wide_data(tmp_path):
    """Ten texts, each with a long column beside it, the sixth with one ten times as long."""
    lengths = [1000, 1000, 1000, 1000, 1000, 10_000, 1000, 1000, 1000, 1000]
    texts = [f"the film is good {number}" for number in range(10)]
    pq.write_table(pa.table({"text": texts, "wide": ["x" * length for length in lengths]}), tmp_path / "data.parquet")
    return tmp_path / "data.parquet"


def test_small_chunks_give_the_same_rows(inputs, wide_data, tmp_path, monkeypatch):
    done(*inputs.custom(wide_data, tmp_path / "one"))
    taken: list[int] = []
    monkeypatch.setattr("augment.chunks.CHUNK_BYTES", 10_000)
    augment = VariantWorker._augment
    monkeypatch.setattr(
        VariantWorker, "_augment", lambda self, rows, *more: taken.append(rows.num_rows) or augment(self, rows, *more)
    )
    done(*inputs.custom(wide_data, tmp_path / "many"))
    assert taken == [2, 2, 1, 1, 2, 2]
    assert rows(tmp_path / "many") == rows(tmp_path / "one")


def test_an_example_too_large_for_any_memory_is_rejected(inputs, wide_data, tmp_path, monkeypatch):
    monkeypatch.setattr("augment.chunks.CHUNK_BYTES", 10_000)
    monkeypatch.setattr("pipelines.augmenting.variants.MOST_BYTES", 20_000)
    ran = tinyaug(*inputs.custom(wide_data, tmp_path / "run"))
    assert ran.code == 1
    (bad,) = rejected(tmp_path / "run")
    assert (bad["source_idx"], bad["stage"]) == (5, "augmented")
    assert "its 4 rows would take" in bad["error"]
    assert {row["source_idx"] for row in rows(tmp_path / "run")} == set(range(10)) - {5}
