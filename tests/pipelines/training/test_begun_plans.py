"""`--dry-run` where an earlier start left something: what is done costs nothing, what would be refused is refused."""

from __future__ import annotations

import shutil

import pytest

from tests.pipelines.jobs import done, everything, refused
from tests.pipelines.training.verbs import ahead, distill, finetune, run

SAID = "everything was done already"


def rows_of(out: str) -> dict[str, str]:
    return {line.split()[0]: line for line in reversed(out.splitlines()) if line.strip()}


@pytest.fixture(scope="module")
def finished(parts, tmp_path_factory):
    """A finished run; look, don't touch."""
    folder = tmp_path_factory.mktemp("begun") / "run"
    done(*run(parts, folder))
    return folder


@pytest.mark.parametrize("verb", [finetune, distill, ahead])
def test_a_finished_folder(parts, tmp_path, verb):
    command = verb(parts, tmp_path / "out")
    assert SAID not in done(*command, "--dry-run").out
    done(*command)
    before = everything(tmp_path / "out")
    said = done(*command, "--dry-run").out
    assert SAID in said
    assert "disk: caches 0 B" in said
    last = {finetune: "finetune", distill: "prediction", ahead: "teacher"}[verb]
    assert "done already" in rows_of(said)[last]
    assert everything(tmp_path / "out") == before


def test_other_settings_are_refused_by_plans_too(parts, tmp_path):
    for verb in (finetune, distill):
        out = tmp_path / verb.__name__
        done(*verb(parts, out, "--max-steps", 1))
        assert "--max-steps: 1 there, 2 now" in refused(verb(parts, out, "--max-steps", 2, "--dry-run"))
        assert SAID not in done(*verb(parts, out, "--max-steps", 2, "--overwrite", "--dry-run")).out


def test_a_distillation_whose_first_stage_is_done(parts, tmp_path):
    out = tmp_path / "s"
    done(*distill(parts, out))
    (out / "metrics.json").unlink()
    said = done(*distill(parts, out, "--dry-run")).out
    assert "done already" in rows_of(said)["intermediate"]
    assert "done already" not in rows_of(said)["prediction"]
    assert SAID not in said
    assert "disk: caches 0 B" in said


def test_a_finished_run(parts, finished):
    before = everything(finished)
    said = done(*run(parts, finished, "--dry-run")).out
    assert SAID in said
    for stage in ("augment:", "finetune", "intermediate", "prediction"):
        assert "done already" in rows_of(said)[stage]
    assert "in all about 0 s" in said
    assert "other records there" not in said
    assert everything(finished) == before


def test_a_finished_distillation_reads_no_cache(parts, tmp_path):
    command = distill(parts, tmp_path / "s", "--cache-dir", tmp_path / "cache")
    done(*command)
    shutil.rmtree(tmp_path / "cache")
    done(*ahead(parts, tmp_path / "cache", "--max-length", 16))
    for dry_run in ((), ("--dry-run",)):
        assert SAID in done(*command, *dry_run).out


def test_a_run_whose_student_is_left(parts, finished, tmp_path):
    """Shards and teacher are there: the plan is made with them, not with what would stand in for them."""
    begun = shutil.copytree(finished, tmp_path / "run")
    (begun / "student/metrics.json").unlink()
    said = done(*run(parts, begun, "--dry-run")).out
    assert "done already" in rows_of(said)["finetune"]
    assert "done already" not in rows_of(said)["prediction"]
    assert "other records there" not in said
    shutil.rmtree(begun / "student")
    said = done(*run(parts, begun, "--dry-run")).out
    assert "made ahead" in said
    assert "other records there" not in said
    assert "done already" not in rows_of(said)["intermediate"]


def test_a_run_with_other_settings(parts, finished):
    assert "--n: 2 there, 3 now" in refused(run(parts, finished, "--n", 3, "--dry-run"))
    said = done(*run(parts, finished, "--n", 3, "--overwrite", "--dry-run")).out
    assert "done already" not in said
