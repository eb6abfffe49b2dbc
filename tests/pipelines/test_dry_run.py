"""`--dry-run`: exact counts, and nothing written."""

from __future__ import annotations

import pytest

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
