"""The main job on tiny real models: what other libraries read from it, and what its manifest counts."""

from __future__ import annotations

import json
from typing import Any

import datasets
import pandas as pd
import pyarrow.parquet as pq
import pytest

from augment import Augmenter, augment_table
from augment.candidate_table import from_arrow
from tests.pipelines.conftest import ROWS
from tests.pipelines.jobs import done, in_a_process, manifest, rebuilt, rows


@pytest.fixture(scope="module")
def by_source(finished) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows(finished):
        found.setdefault(row["source_idx"], []).append(row)
    return found


@pytest.mark.integration
def test_the_command_line_in_a_process_of_its_own_gives_the_same(inputs, finished, tmp_path):
    ran = in_a_process(*inputs.augment(tmp_path / "run", "--shard-rows", 10))
    assert ran.code == 0, ran.err
    assert "Traceback" not in ran.err
    assert str(tmp_path / "run/augmented/data") in ran.out
    assert rows(tmp_path / "run") == rows(finished)


def test_every_example_has_its_original_and_n_variants_in_order(finished):
    order = [(row["source_idx"], row["variant"]) for row in rows(finished)]
    assert order == [(source, variant) for source in range(ROWS) for variant in range(4)]


def test_edits_rebuild_each_variant_from_the_original(by_source):
    edits = 0
    for original, *variants in by_source.values():
        assert original["edits"] == []
        for row in variants:
            edits += len(row["edits"])
            assert rebuilt(row, original, "sentence") == row["sentence"]
    assert edits > ROWS


def test_originals_are_the_input(inputs, by_source):
    lines = (inputs.data / "train.tsv").read_text(encoding="utf-8").splitlines()[1:]
    for line, (original, *variants) in zip(lines, by_source.values(), strict=True):
        sentence, label = line.split("\t")
        assert original["sentence"] == sentence
        assert {row["label"] for row in [original, *variants]} == {int(label)}


def test_pandas_reads_the_data_folder(finished):
    frame = pd.read_parquet(finished / "augmented/data")
    assert list(frame.columns) == ["sentence", "label", "idx", "source_idx", "variant", "edits"]
    assert frame["sentence"].tolist() == [row["sentence"] for row in rows(finished)]


@pytest.mark.parametrize("what", ["folder", "files"])
def test_datasets_gives_back_the_class_names(finished, tmp_path, what):
    if what == "folder":
        found = datasets.load_dataset(str(finished / "augmented"), cache_dir=str(tmp_path), split="train")
    else:
        files = str(finished / "augmented/data/*.parquet")
        found = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path), split="train")
    assert found.features["label"] == datasets.ClassLabel(names=["negative", "positive"])
    assert found["sentence"][:] == [row["sentence"] for row in rows(finished)]


def test_datasets_tells_runs_apart_by_their_cards(inputs, finished, tmp_path):
    """It caches what it read by the card's content; folder names and files do not count."""
    done(*inputs.augment(tmp_path / "other", "--limit", 5))
    for run in (finished, tmp_path / "other"):
        found = datasets.load_dataset(str(run / "augmented"), cache_dir=str(tmp_path / "cache"), split="train")
        assert found["sentence"][:] == [row["sentence"] for row in rows(run)]


def test_manifest_counts_are_those_of_the_rows(finished, by_source):
    found = manifest(finished)
    counts, edits = found["counts"], [edit for row in rows(finished) for edit in row["edits"]]
    assert (found["rows"], counts["rows"], counts["source_rows"]) == (4 * ROWS, 4 * ROWS, ROWS)
    assert counts["edits"] == len(edits)
    for source in ("mlm", "glove"):
        assert counts[f"edits_{source}"] == sum(edit["source"] == source for edit in edits) > 0
    assert counts["draws"] == counts["edits"] + counts["identity_draws"]
    assert counts["duplicate_variants"] == sum(
        len(variants) - len({row["sentence"] for row in variants}) for variants in by_source.values()
    )
    assert found["rejected_rows"] == 0


def test_drawable_words_are_those_with_candidates(finished, by_source):
    words = _words_with_candidates(finished)
    expected = sum(3 * words[original["sentence"]] for original, *_ in by_source.values())
    assert manifest(finished)["counts"]["drawable_words"] == expected


def test_candidates_are_counted_by_source(finished):
    table = pd.read_parquet(finished / "candidates/data")
    words = [word for words in table["words"] for word in words]
    counts = manifest(finished, "candidates")["counts"]
    assert counts["texts"] == len(table) == table["text"].nunique()
    for source, name in (("mlm", "single_piece_words"), ("glove", "multi_piece_words")):
        assert counts[name] == sum(word["source"] == source for word in words)
        found = sum(word["source"] == source and len(word["replacements"]) > 0 for word in words)
        assert counts[f"words_with_{source}_candidates"] == found > 0
    assert counts["masked_words"] == counts["single_piece_words"]  # each once, though texts repeat


def test_shards_in_the_manifest_are_the_files(finished):
    shards = manifest(finished)["shards"]
    assert [finished / "augmented" / shard["file"] for shard in shards] == sorted(finished.glob("augmented/data/*"))
    assert [(shard["first"], shard["last"]) for shard in shards] == [(n, n + 10) for n in range(0, ROWS, 10)]
    assert sum(shard["bytes"] for shard in shards) == manifest(finished)["bytes"]


def test_inputs_in_the_manifest_are_the_files_with_their_rows(finished, inputs):
    for stage in ("candidates", "augmented"):
        found = {file["name"]: file["rows"] for file in manifest(finished, stage)["inputs"]}
        assert found == {"train.tsv": ROWS, "dev.tsv": 9, "test.tsv": 1}
    for file in manifest(finished)["inputs"]:
        assert file["bytes"] == (inputs.data / file["name"]).stat().st_size


def test_rows_that_were_not_counted_are_not_told(inputs, tmp_path):
    done(*inputs.augment(tmp_path, "--limit", 3))
    assert {file["name"]: file["rows"] for file in manifest(tmp_path)["inputs"]} == {
        "train.tsv": None,
        "dev.tsv": 9,
        "test.tsv": 1,
    }
    assert "rows" not in json.loads((tmp_path / "run.json").read_text())["identity"]["inputs"][0]


def test_metadata_names_settings_but_no_paths_times_or_workers(finished, inputs):
    import pyarrow.parquet as pq

    path = next(finished.glob("augmented/data/*"))
    content = pq.read_schema(path).metadata[b"tinyaug"].decode()
    assert json.loads(content)["settings"]["draw"]["seed"] == 42
    for never in (str(finished), str(inputs.mlm), "workers", "time"):
        assert never not in content


def _words_with_candidates(run) -> dict[str, int]:
    table = pd.read_parquet(run / "candidates/data")
    return {
        text: sum(len(word["replacements"]) > 0 for word in words)
        for text, words in zip(table["text"], table["words"], strict=True)
    }


def test_a_table_in_memory_becomes_the_rows_of_the_job(finished):
    candidates = from_arrow(pq.read_table(finished / "candidates/data"))
    originals = [row for row in rows(finished) if row["variant"] == 0]
    data = {name: [row[name] for row in originals] for name in ("sentence", "label", "idx")}
    found = augment_table(data, "sentence", Augmenter.from_candidates(candidates), n=3)
    assert found.to_pylist() == rows(finished)
