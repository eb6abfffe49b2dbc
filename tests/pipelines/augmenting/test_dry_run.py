"""`--dry-run`: exact counts, and nothing written."""

from __future__ import annotations

import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from augment.proposals import Proposals
from augment.similar import SimilarWords
from pipelines.augmenting.estimate import _Spent
from tests.pipelines.jobs import done, everything, manifest, refused, write_sst2


def plan(out: str) -> dict[str, str]:
    return dict(line.strip().split("  ", 1) for line in out.splitlines() if "  " in line.strip())


@pytest.fixture
def repeated(tmp_path):
    """Texts that repeat, and two rows that cannot be read."""
    folder = write_sst2(tmp_path / "SST-2", ["a good film .", "the dog is old", "a good film ."] * 4, ["a film"])
    with (folder / "train.tsv").open("a") as stream:
        stream.write("no label\nwrong\t7\n")
    return folder


def test_counts_are_those_of_the_job_and_nothing_is_written(inputs, repeated, tmp_path):
    command = inputs.augment(tmp_path / "run", "--data", repeated, "--on-bad-row", "skip", "--allow-rejects")
    ran = done(*command, "--dry-run")
    assert not (tmp_path / "run").exists()
    found = plan(ran.out)
    done(*command)
    counts = manifest(tmp_path / "run", "candidates")["counts"]
    assert found["rows"].strip() == "12, 2 rejected"
    assert found["unique texts"].strip() == "2" == str(counts["texts"])
    assert found["masked words"].strip() == f"{counts['masked_words']} in {counts['masked_copies']} copies"
    assert found["masked-LM tokens"].strip() == str(counts["mlm_tokens"])
    assert found["output rows"].strip() == f"{manifest(tmp_path / 'run')['rows']} with the originals"


def test_more_texts_than_are_sampled(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.augmenting.counting.SAMPLED_TEXTS", 4)
    found = plan(done(*inputs.augment(tmp_path / "run", "--dry-run")).out)
    assert found["rows"].strip() == "60"
    assert "tokens/s each" in found["time here"]


def test_a_finished_run_has_nothing_left_to_do(inputs, tmp_path):
    command, said = inputs.augment(tmp_path / "run"), "everything was done already; nothing is left to do"
    assert said not in done(*command, "--dry-run").out
    done(*command)
    before = everything(tmp_path / "run")
    ran = done(*command, "--dry-run")
    assert said in ran.out
    assert plan(ran.out)["time here"].strip() == "done already"
    assert everything(tmp_path / "run") == before
    assert "--n: 3 there, 4 now" in refused([*command, "--n", "4", "--dry-run"])
    assert said not in done(*command, "--n", 4, "--overwrite", "--dry-run").out
    next((tmp_path / "run/augmented/data").iterdir()).unlink()
    assert said not in done(*command, "--dry-run").out


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_large_input_is_sampled(inputs, tmp_path, monkeypatch, suffix):
    rows = [{"text": f"the film {number} was good", "label": number % 2} for number in range(20_000)]
    rows = [rows[number // 2] if number % 2 else row for number, row in enumerate(rows)]  # a quarter repeats another
    path = tmp_path / f"reviews{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2500)
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in rows))
    command = inputs.custom(path, tmp_path / "run", "--label", "label", "--glove", "none", "--dry-run")
    counted = plan(done(*command).out)
    monkeypatch.setattr("pipelines.tasks.readers.source.LARGE_BYTES", 10_000)
    monkeypatch.setattr("pipelines.tasks.readers.source.SAMPLE_BYTES", path.stat().st_size // 8)
    out = done(*command).out
    assert "classes: 0, 1" in out
    for name in ("rows", "unique texts", "masked-LM tokens", "output rows"):
        about, exact = plan(out)[name].strip(), counted[name].strip()
        assert about.startswith("about "), name
        assert number_in(about) == pytest.approx(number_in(exact), rel=0.05 if "rows" in name else 0.35), name
    assert counted["rows"].strip() == plan(done(*command, "--limit", 99_000).out)["rows"].strip() == "20,000"


def number_in(words: str) -> int:
    return int(words.removeprefix("about ").split()[0].replace(",", ""))


def test_on_a_device_the_slower_one_of_host_and_device_counts():
    assert _Spent(host=2.0, device=5.0, drawing=1.0).finding == 7.0
    assert _Spent(host=2.0, device=5.0, drawing=1.0, overlaps=True).finding == 5.0
    assert _Spent(host=6.0, device=5.0, drawing=1.0, overlaps=True).finding == 6.0
    assert _Spent(host=2.0, device=5.0, drawing=1.0, running=True).finding == 8.0


def test_neighbours_are_timed_apart_and_two_batches_are_filled(inputs, tmp_path, monkeypatch):
    """A word is looked up once a job, not in each text of the measurement."""
    looked_up, tokens, of, run = [], [], SimilarWords._search, Proposals.run

    def seen(self, vectors, words):
        looked_up.extend(words)
        return of(self, vectors, words)

    def counted(self, copies, batch_tokens):
        tokens.append(copies.counts["mlm_tokens"])
        return run(self, copies, batch_tokens)

    monkeypatch.setattr(SimilarWords, "_search", seen)
    monkeypatch.setattr(Proposals, "run", counted)
    monkeypatch.setattr("pipelines.augmenting.estimate.MEASURED_SECONDS", 0.0)
    found = plan(done(*inputs.augment(tmp_path / "run", "--batch-tokens", 500, "--dry-run")).out)
    assert found["neighbours"].strip().startswith("of ")
    assert tokens[-1] >= 1000
    assert max(Counter(looked_up).values()) <= 2  # once by the stage's worker, once remembered
    assert "neighbours" not in plan(done(*inputs.augment(tmp_path / "run", "--glove", "none", "--dry-run")).out)
