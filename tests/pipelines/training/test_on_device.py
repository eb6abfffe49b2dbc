"""The verbs on a device: where the models are, what precision is recorded, and that they go on."""

from __future__ import annotations

import pytest
import torch

from tests.devices import DEVICES, expected_precision
from tests.distill.runs import losses
from tests.pipelines.jobs import done, finish, refused, start, tinyaug
from tests.pipelines.training.verbs import distill, evaluate, finetune, metrics, run_json

on_devices = pytest.mark.parametrize("device", DEVICES)


@on_devices
def test_teacher_and_student_are_made_there(parts, tmp_path, device, monkeypatch):
    places = []
    forward = torch.nn.Embedding.forward

    def noted(module, ids):
        places.append(str(module.weight.device))
        return forward(module, ids)

    monkeypatch.setattr(torch.nn.Embedding, "forward", noted)
    there = ("--device", device)
    done(*finetune(parts, tmp_path / "teacher", "--max-steps", 3, *there))
    done(*distill(parts, tmp_path / "student", "--teacher", tmp_path / "teacher", "--max-steps", 3, *there))
    done(*evaluate(parts, tmp_path / "student", *there))
    assert set(places) == {device if device != "cuda" else f"cuda:{torch.cuda.current_device()}"}
    for folder in ("teacher", "student"):
        assert run_json(tmp_path / folder)["settings"]["precision"] == expected_precision(device)
    # What is finished is told again, by the resolved name, too; another precision is another run.
    named = ("--precision", expected_precision(device))
    done(*finetune(parts, tmp_path / "teacher", "--max-steps", 3, *there, *named))
    other = "bf16" if expected_precision(device) == "fp32" else "fp32"
    said = refused(finetune(parts, tmp_path / "teacher", "--max-steps", 3, *there, "--precision", other))
    assert f'"{expected_precision(device)}" there, "{other}" now' in said


@on_devices
def test_a_killed_run_goes_on_there(parts, tmp_path, device, monkeypatch):
    usual = (parts, tmp_path / "student", "--device", device, "--cache", "full", "--epochs-prediction", 1)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("pipelines.training.task_job.TaskJob.dev", stop)
        assert tinyaug(*distill(*usual)).code != 0
    done(*distill(*usual))
    assert metrics(tmp_path / "student")["stages"]["prediction"]["steps"] > 0


@on_devices
def test_dry_runs_measure_there(parts, tmp_path, device):
    done(*distill(parts, tmp_path / "student", "--device", device, "--dry-run"))
    assert not (tmp_path / "student").exists()


@pytest.mark.integration
@on_devices
def test_two_runs_are_at_work_on_one_device(parts, tmp_path, device):
    """Side by side, each as if it were alone."""
    places = [tmp_path / name for name in ("one", "other")]
    started = [start(*finetune(parts, place, "--max-steps", 12, "--device", device)) for place in places]
    for ran in map(finish, started):
        assert ran.code == 0, ran.err
    one, other = (losses(place / "labels") for place in places)
    assert len(one) == 12
    assert one == pytest.approx(other, rel=0 if device == "cpu" else 2e-2)
