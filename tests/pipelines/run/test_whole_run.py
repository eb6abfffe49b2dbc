"""The whole run, and what is announced of it and of its stages before they begin."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest

from pipelines.errors import JobError, UserError
from pipelines.whole_run import checks as run_plan
from pipelines.whole_run import run_job
from tests.fixtures import SPECIAL, save_tiny_masked_lm
from tests.pipelines.jobs import done, refused, tinyaug
from tests.pipelines.training.verbs import distill, finetune, metrics, run


def test_the_whole_run(parts, tmp_path, monkeypatch):
    out, archive = tmp_path / "run", tmp_path / "glue.zip"
    monkeypatch.chdir(parts.data.parent)
    command = run(parts, out, "--submission", archive, "--data", parts.data.name)
    ran = done(*command)
    found = metrics(out)
    assert ("% kept" in ran.out) != (re.search(r"(near|below)\s+chance", ran.out) is not None)
    assert found["augmented"] == {"rows": 180, "examples": 60}
    assert list(found["stages"]) == ["finetune", "intermediate", "prediction"]
    assert found["dev"]["student"] == metrics(out / "student")["dev"]
    assert found["dev"]["teacher"] == metrics(out / "teacher")["dev"]
    assert set(found["intervals"]["student"]["validation"]) == {"accuracy"}
    assert found["dev_rows"] == {"validation": 30}
    assert [found["sizes"][model]["layers"] for model in ("teacher", "student")] == [4, 2]
    assert "verdicts" not in found
    assert [path.name for path in (out / "teacher_cache").glob("[!.]*")] == ["logits"]  # layers of one epoch
    assert f"may be deleted: {out}/teacher_cache (" in ran.out
    assert archive.exists()
    assert (done("status", out).out.count("trained"), tinyaug("status", out).out[-9:]) == (2, "complete\n")
    monkeypatch.setattr("distill.training.train", lambda *_: pytest.fail("something was trained"))
    monkeypatch.setattr("pipelines.augmenting.stage_run.run_parts", lambda *_: pytest.fail("something was augmented"))
    assert "everything was done already" in done(*command).out
    assert f"{out}/teacher_cache\n" in done("clean", out).out
    assert not (out / "teacher_cache").exists()
    assert "everything was done already" in done("run", "--config", out / "config.toml").out
    monkeypatch.chdir(tmp_path)
    for folder, model in ((out, "student"), (out / "teacher", "teacher")):
        judged = done("evaluate", "--run", folder, "--json", tmp_path / "judged.json")
        assert f"model: {out}/{model}; --model judges another" in judged.err
        assert json.loads((tmp_path / "judged.json").read_text())["dev"] == found["dev"][model]


def test_config_toml_is_there_from_the_start_and_has_what_made_the_run(parts, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise JobError("stopped")

    command = run(parts, tmp_path / "run", "--teacher", parts.teacher, "--max-steps", 1)
    with monkeypatch.context() as patched:
        patched.setattr("pipelines.augmenting.stage_run.run_parts", fail)
        assert tinyaug(*command).code == 1
    begun = (tmp_path / "run/config.toml").read_text()
    assert "max-steps = 1\n" in begun
    done(*command)
    assert "--max-steps" in refused([*command[:-1], "2"])
    assert (tmp_path / "run/config.toml").read_text() == begun


def test_a_run_without_a_student_is_not_judged(finished):
    assert "expected a folder of `tinyaug run` with a student" in refused(["evaluate", "--run", str(finished)])
    assert "expected --model, or --run, found neither" in refused(["evaluate", "--task", "sst2"])


def test_a_run_with_a_given_teacher(parts, tmp_path):
    done(*run(parts, tmp_path / "run", "--teacher", parts.teacher, "--max-steps", 2))
    assert not (tmp_path / "run/teacher").exists()
    found = metrics(tmp_path / "run")
    assert list(found["stages"]) == ["intermediate", "prediction"]
    assert found["sizes"]["teacher"]["bytes"] == (parts.teacher / "model.safetensors").stat().st_size


def test_what_is_said_of_the_masked_lm_is_said_once(parts, tmp_path):
    """Though a run checks its inputs before the first stage, for its announcement and in the augmentation."""
    words = [*SPECIAL, *"The the Berlin berlin film Film is Is . ##s".split()]
    folder = save_tiny_masked_lm(tmp_path / "mlm", vocab_size=len(words))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    command = run(parts, tmp_path / "run", "--mlm", folder, "--teacher", parts.teacher, "--max-steps", 1)
    assert done(*command).err.count("its vocabulary is cased") == 1


def test_status_tells_which_models_are_still_to_be_trained(parts, tmp_path, monkeypatch):
    out = tmp_path / "run"

    def stop(*_: object) -> None:
        raise JobError("stopped here")

    with monkeypatch.context() as patched:
        patched.setattr("pipelines.whole_run.run_job.DistillJob", stop)
        assert tinyaug(*run(parts, out, "--max-steps", 2)).code == 1
    ran = tinyaug("status", out)
    assert (ran.code, ran.out.splitlines()[-1]) == (1, "not complete: run its command again to go on")
    assert ran.out.splitlines()[-3:-1] == ["teacher     trained", "student     not trained yet"]
    (out / "teacher/metrics.json").unlink()
    assert "teacher     not trained yet" in tinyaug("status", out).out


@pytest.mark.parametrize("verb", [finetune, distill, run])
def test_dry_run_prints_a_plan_and_writes_nothing(parts, tmp_path, verb):
    ran = done(*verb(parts, tmp_path / "out", "--dry-run"))
    assert "examples/s" in ran.out
    assert "nothing was written" in ran.out
    assert not (tmp_path / "out").exists()


def test_a_long_run_is_announced_before_anything_is_done(parts, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.training.estimates.LONG_ON_CPU", 0.0)
    out = tmp_path / "run"

    def stop(*_: object) -> None:
        raise JobError("stopped here")

    with monkeypatch.context() as patched:
        patched.setattr("pipelines.whole_run.run_job.run_augment", stop)
        ran = tinyaug(*run(parts, out))
    assert ran.err.index("all stages will take") < ran.err.index("stopped here")
    assert "--profile quick takes" in ran.err
    assert not out.exists()
    done(*run(parts, out, "--max-steps", 2))
    (out / "metrics.json").unlink()
    (out / "student/metrics.json").unlink()
    assert "all stages will take" not in done(*run(parts, out, "--max-steps", 2)).err
    monkeypatch.setattr("pipelines.whole_run.run_job.announcement", lambda *_: pytest.fail("measured"))
    done(*run(parts, tmp_path / "quick", "--profile", "quick", "--max-steps", 1))
    assert not run_job._is_unannounced(SimpleNamespace(demo=True, profile="demo"))


def test_the_announced_estimate_is_that_of_all_rows(parts, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.whole_run.checks.ANNOUNCED_ROWS", 20)
    plans = []
    real = run_plan._with_training

    def kept(*arguments):
        plans.append(real(*arguments))
        return plans[-1]

    monkeypatch.setattr(run_plan, "_with_training", kept)
    done(*run(parts, tmp_path / "run", "--max-steps", 1))
    [plan] = plans
    assert (plan.augment.rows, plan.augment.output_rows) == (60, 180)
    assert {stage.name: stage.rows for stage in plan.training.stages} == {
        "finetune": 60, "intermediate": 180, "prediction": 180
    }  # fmt: skip


def test_a_run_that_cannot_be_estimated_is_not_stopped(parts, tmp_path, monkeypatch):
    def broken(*_) -> None:
        raise UserError("no such thing")

    monkeypatch.setattr(run_plan, "estimate", broken)
    assert "no estimate: no such thing" in done(*run(parts, tmp_path / "run", "--max-steps", 1)).err


def test_a_long_fine_tuning_is_announced_once(parts, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.training.estimates.LONG_ON_CPU", 0.0)
    assert "this will take" in done(*finetune(parts, tmp_path / "t", "--max-steps", 1)).err
    (tmp_path / "t/metrics.json").unlink()
    assert "this will take" not in done(*finetune(parts, tmp_path / "t", "--max-steps", 1)).err
    quick = finetune(parts, tmp_path / "q", "--max-steps", 1, "--profile", "quick")
    assert "this will take" not in done(*quick).err


@pytest.mark.parametrize("verb", [finetune, distill])
def test_the_quick_profile_is_not_offered_to_itself(parts, tmp_path, monkeypatch, verb):
    monkeypatch.setattr("pipelines.training.estimates.LONG_ON_CPU", 0.0)
    assert "--profile quick" in done(*verb(parts, tmp_path / "s", "--dry-run")).out
    assert "--profile quick" not in done(*verb(parts, tmp_path / "s", "--dry-run", "--profile", "quick")).out


def test_quick_profile_is_stated(parts, tmp_path):
    command = distill(parts, tmp_path / "s", "--profile", "quick", "--dry-run")
    for option in ("--epochs-intermediate", "--epochs-prediction"):
        place = command.index(option)
        del command[place : place + 2]
    table = done(*command).out.splitlines()
    [row] = [line.split() for line in table if line.strip().startswith("intermediate")]
    assert row[1:5] == ["240", "3", "24", "720"]
