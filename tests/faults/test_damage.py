"""Finished shards that are damaged, missing or belong to nothing: found and made again, to the same bytes."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.faults.conftest import job
from tests.pipelines.jobs import contents, done, identities, intact, tinyaug

STAGES = ("candidates", "augmented")


@pytest.fixture
def complete(reference, tmp_path):
    """A copy of the finished job."""
    return shutil.copytree(reference, tmp_path / "complete")


def shard(run, stage: str, number: int = 3):
    return sorted(run.glob(f"{stage}/data/*"))[number]


def flip(path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def truncate(path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lose_record(path) -> None:
    (path.parents[1] / "records" / f"{path.stem}.json").unlink()


def break_record(path) -> None:
    (path.parents[1] / "records" / f"{path.stem}.json").write_text('{"stage": "candi')


def foreign_record(path) -> None:
    record = path.parents[1] / "records" / f"{path.stem}.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "settings": "another"}))


DAMAGES = [truncate, lambda path: path.unlink(), lose_record, break_record, foreign_record]


@pytest.mark.parametrize("damage", DAMAGES, ids=["truncated", "missing", "no record", "half a record", "foreign"])
@pytest.mark.parametrize("stage", STAGES)
def test_damaged_shard_is_made_again(many, complete, reference, stage, damage):
    path = shard(complete, stage)
    others = identities(intact(complete) - {path})
    damage(path)
    done(*job(many, complete))
    assert contents(complete) == contents(reference)
    assert identities(set(others)) == others


@pytest.mark.parametrize("stage", STAGES)
def test_flipped_byte_is_found_with_verify(many, complete, reference, stage):
    flip(shard(complete, stage))
    ran = done(*job(many, complete))  # sizes alone
    assert "everything was done already" in ran.out
    assert contents(complete) != contents(reference)
    done(*job(many, complete, "--verify"))
    assert contents(complete) == contents(reference)


def test_verify_names_what_is_damaged(complete):
    assert tinyaug("verify", complete).code == 0
    flip(shard(complete, "augmented"))
    truncate(shard(complete, "candidates"))
    ran = tinyaug("verify", complete)
    assert ran.code == 1
    named = [line.split(": ")[1] for line in ran.out.splitlines() if line.startswith("missing or damaged: ")]
    assert named == [str(shard(complete, stage).relative_to(complete)) for stage in STAGES]


def test_status_counts_finished_shards(many, complete, run):
    assert tinyaug("status", complete).code == 0
    shard(complete, "augmented").unlink()
    ran = tinyaug("status", complete)
    assert ran.code == 1
    assert "not complete" in ran.out
    assert "23 of 24 shards" in ran.out


@pytest.mark.parametrize("what", ["input", "input/record.json"])
def test_a_run_without_its_input_is_not_complete(run, what):
    shutil.rmtree(run / what) if (run / what).is_dir() else (run / what).unlink()
    for verb in ("status", "verify"):
        ran = tinyaug(verb, run)
        assert (ran.code, "not complete" in ran.out) == (1, True)


def test_unreadable_candidates_are_named_with_the_way_out(many, complete, reference):
    """A damage that keeps the size and lets a part no longer be read stops the drawing, until --verify."""
    path = shard(complete, "candidates", 0)
    path.write_bytes(b"\xff" * path.stat().st_size)
    shard(complete, "augmented", 0).unlink()
    ran = tinyaug(*job(many, complete))
    assert ran.code == 1
    assert "--verify" in ran.err
    assert path.name in ran.err
    done(*job(many, complete, "--verify"))
    assert contents(complete) == contents(reference)


def test_damaged_input_is_read_again(many, complete, reference):
    truncate(complete / "input/texts.parquet")
    shard(complete, "candidates").unlink()
    done(*job(many, complete))
    assert contents(complete) == contents(reference)


def test_manifest_and_card_are_written_again(many, complete, reference):
    for name in ("augmented/manifest.json", "candidates/manifest.json", "augmented/README.md"):
        (complete / name).unlink()
    done(*job(many, complete))
    assert contents(complete) == contents(reference)
