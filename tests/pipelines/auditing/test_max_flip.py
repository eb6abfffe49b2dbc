"""`distill --max-flip`: variants that flip are left out, by what `audit --all` wrote."""

from __future__ import annotations

import shutil

import pyarrow.parquet as pq
import pytest

from pipelines.run_folder.storage import Storage
from tests.pipelines.jobs import done, kill, refused, sha256, start, wait_for
from tests.pipelines.run_folder.test_object_store import endpoint, store
from tests.pipelines.training.verbs import ahead, distill, finetune, metrics, results, run_json

__all__ = ["endpoint", "store"]


@pytest.fixture(scope="module")
def audited(parts, tmp_path_factory):
    """An augmentation with all judgements; look, don't touch."""
    run = shutil.copytree(parts.train.parent, tmp_path_factory.mktemp("audited") / "run")
    done("audit", run, "--teacher", parts.teacher, "--all", "--device", "cpu")
    return run


def kept_texts(run, least):
    """The texts of rows that do not flip with so much confidence."""
    found = []
    for path in sorted((run / "augmented/data").iterdir()):
        judged = pq.read_table(run / "augmented/audit" / path.name).to_pylist()
        texts = pq.read_table(path).column("sentence").to_pylist()
        found += [
            text for text, one in zip(texts, judged, strict=True) if not (one["flips"] and one["confidence"] >= least)
        ]
    return found


def flipped(parts, run, out, *more):
    return distill(parts, out, "--train", run / "augmented", "--max-flip", 0.6, *more)


def test_variants_that_flip_are_left_out(parts, audited, tmp_path):
    command, kept = flipped(parts, audited, tmp_path / "s"), kept_texts(audited, 0.6)
    assert 60 < len(kept) < 240
    said = f"--max-flip 0.6 leaves out {240 - len(kept)} of 240 rows"
    planned = done(*command, "--dry-run")
    assert said in planned.out
    steps = 2 * -(-len(kept) // 32)
    assert [line.split()[1:4] for line in planned.out.splitlines() if line.strip().startswith("prediction")] == [
        [str(len(kept)), "2", str(steps)]
    ]
    assert not (tmp_path / "s").exists()
    assert said in done(*command).err
    assert pq.read_table(tmp_path / "s/data/kept.parquet").column("sentence").to_pylist() == kept
    stage = metrics(tmp_path / "s")["stages"]["prediction"]
    assert (stage["rows"], stage["steps"]) == (len(kept), steps)
    assert run_json(tmp_path / "s")["settings"]["max_flip"] == 0.6
    assert f"- left out: {said}\n" in (tmp_path / "s/README.md").read_text()
    assert "everything was done already" in done(*command).out
    other = refused(flipped(parts, audited, tmp_path / "s", "--max-flip", 0.9))
    assert "--max-flip: 0.6 there, 0.9 now" in other


def test_fine_tuning_leaves_them_out_too(parts, audited, tmp_path):
    command = finetune(parts, tmp_path / "t", "--train", audited / "augmented", "--max-flip", 0.6, "--epochs", 1)
    kept = len(kept_texts(audited, 0.6))
    assert f"{kept}" in done(*command, "--dry-run").out
    assert f"--max-flip 0.6 leaves out {240 - kept} of 240 rows" in done(*command).err
    assert metrics(tmp_path / "t")["rows"] == kept
    assert run_json(tmp_path / "t")["settings"]["max_flip"] == 0.6
    assert "--max-flip: 0.6 there, 0.9 now" in refused([*command, "--max-flip", 0.9])


def test_a_cache_made_ahead_is_of_the_same_rows(parts, audited, tmp_path):
    cache, out = tmp_path / "cache", tmp_path / "s"
    done(*ahead(parts, cache, "--train", audited / "augmented", "--max-flip", 0.6))
    assert metrics(cache)["rows"] == len(kept_texts(audited, 0.6))
    before = {path: sha256(path) for path in cache.rglob("*.bin")}
    done(*flipped(parts, audited, out, "--cache", "full", "--cache-dir", cache))
    assert before
    assert {path: sha256(path) for path in cache.rglob("*.bin")} == before


@pytest.mark.integration
def test_a_killed_distillation_goes_on_to_the_same_student(parts, audited, tmp_path):
    more = ("--checkpoint-every", 2, "--epochs-prediction", 6)
    done(*flipped(parts, audited, tmp_path / "whole", *more))
    command = flipped(parts, audited, tmp_path / "killed", *more)
    process = start(*command)
    wait_for(lambda: list((tmp_path / "killed/prediction").glob("step-*")), process)
    kill(process)
    done(*command)
    assert results(tmp_path / "killed") == results(tmp_path / "whole")
    assert (tmp_path / "killed/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()


@pytest.mark.integration
def test_in_an_object_store(parts, audited, store, tmp_path):
    uri = store("audited")
    for path in audited.rglob("*"):
        if path.is_file() and path.parent.name != "audit":
            Storage(uri).write_bytes(str(path.relative_to(audited)), path.read_bytes())
    command = flipped(parts, audited, tmp_path / "s", "--train", store("audited/augmented"), "--max-steps", 2)
    assert "`tinyaug audit s3://bucket/audited --teacher … --all`" in refused(command)
    done("audit", uri, "--teacher", parts.teacher, "--all", "--device", "cpu")
    assert Storage(uri).names("augmented/audit") == sorted(
        path.name for path in (audited / "augmented/audit").iterdir()
    )
    done(*command)
    assert pq.read_table(tmp_path / "s/data/kept.parquet").column("sentence").to_pylist() == kept_texts(audited, 0.6)


def test_judgements_that_are_missing_or_of_other_rows(parts, audited, tmp_path):
    run = shutil.copytree(audited, tmp_path / "run")
    command, shards = flipped(parts, run, tmp_path / "s"), sorted((run / "augmented/audit").iterdir())
    first = shards[0].read_bytes()
    shards[0].unlink()
    said = refused(command)
    assert "judgements of 3 shards" in said
    assert "found those of 2;" in said
    assert f"`tinyaug audit {run} --teacher … --all`" in said
    data = sorted((run / "augmented/data").iterdir())[0]
    shards[0].write_bytes(first)
    pq.write_table(pq.read_table(data).set_column(0, "sentence", [["other"] * pq.read_table(data).num_rows]), data)
    assert "found those of 2;" in refused(command)
    shards[0].write_bytes(b"damaged")
    assert "judgements of" in refused(command)
    shutil.rmtree(run / "augmented/audit")
    assert "found those of 0;" in refused(command)
    assert not (tmp_path / "s").exists()


def test_judgements_of_two_teachers(parts, audited, tmp_path):
    run = shutil.copytree(audited, tmp_path / "run")
    path = sorted((run / "augmented/audit").iterdir())[1]
    table = pq.read_table(path)
    told = table.schema.metadata[b"judge"].replace(b'"max_length": 32', b'"max_length": 16')
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"judge": told}), path)
    assert "found those of several teachers" in refused(flipped(parts, run, tmp_path / "s"))


def test_what_does_not_go_together(parts, audited, tmp_path):
    command = flipped(parts, audited, tmp_path / "s")
    place = command.index("--train")
    assert "--max-flip: expected --train with Parquet shards beside it" in refused(
        command[:place] + command[place + 2 :]
    )
    assert "expected a number from 0 to 1, found 2" in refused(flipped(parts, audited, tmp_path / "s", "--max-flip", 2))
