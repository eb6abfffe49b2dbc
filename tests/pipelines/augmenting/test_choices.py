"""Presets, pairs, duplicates and leaks through the whole job."""

from __future__ import annotations

import pytest

from tests.pipelines.jobs import done, manifest, rebuilt, rows, variants

N = 6


def pair_rows(inputs, folder, run, *more):
    done(*inputs.augment(run, "--task", "rte", "--data", folder, "--n", N, *more))
    by_source = {}
    for row in rows(run):
        by_source.setdefault(row["source_idx"], []).append(row)
    for original, *drawn in by_source.values():
        for row in drawn:
            for column in ("sentence1", "sentence2"):
                assert rebuilt(row, original, column) == row[column]
    return by_source


def changed(rows, column: str) -> int:
    return sum(any(edit["column"] == column for edit in row["edits"]) for row in rows)


@pytest.mark.parametrize(
    ("pairs", "per_row", "columns"),
    [("joint", N, [1, 1]), ("first", N, [1, 0]), ("second", N, [0, 1]), ("each", 2 * N, [1, 1])],
)
def test_pairs(inputs, pairs_folder, tmp_path, pairs, per_row, columns):
    by_source = pair_rows(inputs, pairs_folder, tmp_path, "--pairs", pairs)
    for found in by_source.values():
        assert [row["variant"] for row in found] == list(range(per_row + 1))
    everyone = [row for found in by_source.values() for row in found]
    assert [int(changed(everyone, column) > 0) for column in ("sentence1", "sentence2")] == columns
    if pairs == "each":
        assert changed([row for found in by_source.values() for row in found[: N + 1]], "sentence2") == 0
        assert changed([row for found in by_source.values() for row in found[N + 1 :]], "sentence1") == 0
    both = sum(len({edit["column"] for edit in row["edits"]}) == 2 for row in everyone)
    assert (both > 0) == (pairs == "joint")


def test_pair_context_gives_candidates_to_each_text_beside_its_partner(inputs, pairs_folder, tmp_path):
    pair_rows(inputs, pairs_folder, tmp_path / "with", "--pair-context")
    pair_rows(inputs, pairs_folder, tmp_path / "without")
    with_partner, without = (manifest(tmp_path / run, "candidates")["counts"] for run in ("with", "without"))
    assert with_partner["texts"] > without["texts"]  # the same text beside two partners is two
    assert with_partner["mlm_tokens"] > without["mlm_tokens"]
    assert rows(tmp_path / "with") != rows(tmp_path / "without")


@pytest.mark.parametrize("preset", ["paper", "fast", "algorithm1", "official", "texts"])
def test_presets(inputs, pairs_folder, tmp_path, preset):
    by_source = pair_rows(inputs, pairs_folder, tmp_path, "--preset", preset, "--limit", 8)
    told = manifest(tmp_path)["settings"]["candidates"]
    chosen = {name: told[name] for name in ("k", "context", "segment", "mask_spacing", "skip_stopwords", "keep_whole")}
    assert chosen == {
        "k": 15 if preset == "official" else 20,
        "context": "running" if preset == "algorithm1" else "original",
        "segment": "self" if preset == "official" else "none",
        "mask_spacing": 8 if preset == "fast" else 0,
        "skip_stopwords": preset == "official",
        "keep_whole": preset == "texts",
    }
    assert len(by_source) == 8
    assert (tmp_path / "candidates/manifest.json").exists() == (preset != "algorithm1")


def test_official_drops_equal_variants_and_takes_the_tasks_own_n(inputs, pairs_folder, tmp_path):
    arguments = inputs.augment(tmp_path, "--task", "rte", "--data", pairs_folder, "--preset", "official", "--limit", 5)
    place = arguments.index("--n")
    done(*arguments[:place], *arguments[place + 2 :])
    counts = manifest(tmp_path)["counts"]
    assert counts["rows"] == 5 * (2 * 30 + 1) - counts["dropped_duplicates"]
    texts = [(row["source_idx"], row["sentence1"], row["sentence2"]) for row in rows(tmp_path)]
    assert len(set(texts)) == len(texts)


def test_spacing_masks_many_words_in_a_pass(inputs, tmp_path):
    done(*inputs.augment(tmp_path / "exact", "--limit", 20))
    done(*inputs.augment(tmp_path / "fast", "--limit", 20, "--preset", "fast"))
    exact, fast = (manifest(tmp_path / run, "candidates")["counts"] for run in ("exact", "fast"))
    assert exact["masked_words"] == fast["masked_words"] == exact["masked_copies"]
    assert fast["masked_copies"] < exact["masked_copies"]


def test_unique_variants(inputs, tmp_path):
    data = tmp_path / "data.csv"
    data.write_text("text\nfilm\nthe film is good\n.\n")
    done(*inputs.custom(data, tmp_path / "keep", "--n", 40, "--keep-duplicates"))
    done(*inputs.custom(data, tmp_path / "unique", "--n", 40, "--unique"))
    kept, unique = variants(tmp_path / "keep", "text"), variants(tmp_path / "unique", "text")
    assert [len(texts) for texts in kept.values()] == [41, 41, 41]
    for number, texts in unique.items():
        assert len(set(texts)) == len(texts)
        assert len(texts) >= len(set(kept[number]))
    assert len(unique[1]) == 41  # redrawn, not only dropped
    assert unique[2] == ["."]
    counts = manifest(tmp_path / "unique")["counts"]
    assert counts["rows"] == sum(map(len, unique.values())) == 3 * 41 - counts["dropped_duplicates"]
    assert [row["variant"] for row in rows(tmp_path / "unique")] == [
        n for texts in unique.values() for n in range(len(texts))
    ]


def test_leaks_are_counted_and_dropped_on_demand(inputs, tmp_path):
    done(*inputs.augment(tmp_path / "first", "--n", 20))
    texts = variants(tmp_path / "first")
    leaked = [next(text for text in drawn if text != original) for original, *drawn in texts.values()][:3]
    folder = tmp_path / "SST-2"
    folder.mkdir()
    (folder / "train.tsv").write_bytes((inputs.data / "train.tsv").read_bytes())
    (folder / "dev.tsv").write_text("sentence\tlabel\n" + "".join(f"{text}\t0\n" for text in leaked[:2]))
    (folder / "test.tsv").write_text(f"index\tsentence\n0\t{leaked[2]}\n1\t{texts[30][0]}\n")
    held_out = {*leaked, texts[30][0]}
    expected = sum(text in held_out for _, *drawn in texts.values() for text in drawn)
    assert expected >= 3

    done(*inputs.augment(tmp_path / "counted", "--n", 20, "--data", folder))
    assert manifest(tmp_path / "counted")["counts"]["leaked_variants"] == expected
    assert variants(tmp_path / "counted") == texts

    done(*inputs.augment(tmp_path / "dropped", "--n", 20, "--data", folder, "--drop-leaks"))
    found = variants(tmp_path / "dropped")
    assert manifest(tmp_path / "dropped")["counts"]["leaked_variants"] == expected
    assert found == {
        number: [original, *(text for text in drawn if text not in held_out)]
        for number, (original, *drawn) in texts.items()
    }
    for number in found:
        assert [row["variant"] for row in rows(tmp_path / "dropped") if row["source_idx"] == number] == list(
            range(len(found[number]))
        )


def test_a_pair_leaks_only_as_a_pair(inputs, tmp_path):
    folder = tmp_path / "RTE"
    folder.mkdir()
    head = "index\tsentence1\tsentence2\tlabel\n"
    (folder / "train.tsv").write_text(head + "0\tfilm\tgood\tentailment\n")
    done(*inputs.augment(tmp_path / "first", "--task", "rte", "--data", folder, "--n", 30, "--p", 1))
    found = [(row["sentence1"], row["sentence2"]) for row in rows(tmp_path / "first")][1:]
    one, other = found[0], next(pair for pair in found if pair[0] != found[0][0] and pair[1] != found[0][1])
    mixed = (one[0], other[1])
    (folder / "dev.tsv").write_text(head + "".join(f"0\t{a}\t{b}\tentailment\n" for a, b in (one, other)))
    done(*inputs.augment(tmp_path / "second", "--task", "rte", "--data", folder, "--n", 30, "--p", 1))
    expected = found.count(one) + found.count(other)
    assert manifest(tmp_path / "second")["counts"]["leaked_variants"] == expected
    assert mixed not in (one, other)


def test_a_probability_of_0_copies_the_texts(inputs, tmp_path):
    done(*inputs.augment(tmp_path / "never", "--p", 0))
    assert all(len(set(texts)) == 1 and len(texts) == 4 for texts in variants(tmp_path / "never").values())


def test_protected_words_stay_and_without_vectors_so_do_words_of_many_pieces(inputs, tmp_path):
    done(*inputs.augment(tmp_path, "--glove", "none", "--protect", "film", "--protect", r"/\bg/", "--p", 1))
    edits = [edit for row in rows(tmp_path) for edit in row["edits"]]
    assert edits
    assert {edit["source"] for edit in edits} == {"mlm"}
    assert not [edit for edit in edits if edit["original"] == "film" or edit["original"].startswith("g")]


def test_limit_reads_the_first_rows_alone(inputs, tmp_path, finished):
    done(*inputs.augment(tmp_path, "--limit", 7))
    assert list(variants(tmp_path)) == list(range(7))
