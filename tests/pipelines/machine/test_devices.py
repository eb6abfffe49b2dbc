"""Which GPU a worker gets, and devices that are refused before anything is loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.engines import EngineSettings, run_parts
from pipelines.errors import UserError
from pipelines.machine.devices import check_device, local_device, named_device, take_gpu, visible_gpus
from tests.pipelines.engines.test_engines import Work


@pytest.mark.parametrize(
    ("environment", "count", "names"),
    [
        ({}, 3, ["0", "1", "2"]),
        ({"CUDA_VISIBLE_DEVICES": "3, 5"}, 2, ["3", "5"]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1a,GPU-2b"}, 2, ["GPU-1a", "GPU-2b"]),
        ({"CUDA_VISIBLE_DEVICES": "0,1,7"}, 2, ["0", "1"]),  # CUDA stops at the first that is not there
        ({"CUDA_VISIBLE_DEVICES": ""}, 0, []),
    ],
)
def test_gpus_are_named_as_the_user_named_them(environment, count, names):
    assert visible_gpus(environment, count) == names


def test_one_gpu_each_and_shared_only_if_there_are_too_few(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    for worker, name in enumerate(("3", "5", "3", "5", "3")):
        take_gpu(worker, ["3", "5"])
        assert os.environ["CUDA_VISIBLE_DEVICES"] == name


def test_taking_a_gpu_hides_the_others(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    take_gpu(1, ["3", "5"])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"
    take_gpu(0, [])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"


@dataclass(frozen=True)
class Seeing(Work):
    """A stage whose workers write down which GPUs they see, each once."""

    def make_worker(self) -> Seeing:
        (Path(self.folder) / f"sees-{os.getpid()}").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
        while len(list(Path(self.folder).glob("sees-*"))) < 2:  # till the other one is here, too
            pass
        return self


@pytest.mark.integration
@pytest.mark.parametrize(("gpu", "seen"), [(True, ["3", "5"]), (False, ["3,5", "3,5"])])
def test_processes_see_their_own_gpu(tmp_path, monkeypatch, gpu, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.setattr("pipelines.engines.processes.gpu_count", lambda: 2)
    run_parts(Seeing(str(tmp_path), ("",) * 4), list(range(4)), EngineSettings("local", 2, gpu=gpu), lambda _: None)
    assert sorted(path.read_text() for path in tmp_path.glob("sees-*")) == seen


@pytest.mark.parametrize("device", ["tpu", "cuda:", "cuda:x", "cuda1", ""])
def test_devices_that_do_not_exist(device):
    with pytest.raises(UserError, match="--device: expected auto, cpu, cuda or cuda:N"):
        named_device(device)


@pytest.mark.parametrize(("count", "device"), [(0, "cpu"), (2, "cuda")])
def test_auto_takes_what_is_there(monkeypatch, count, device):
    monkeypatch.setattr("pipelines.machine.devices.gpu_count", lambda: count)
    assert named_device("auto") == device


LOCAL, RAY, JOINED = EngineSettings("local"), EngineSettings("ray"), EngineSettings("ray", address="head:6379")


@pytest.mark.parametrize(
    ("device", "count", "engine", "said"),
    [
        ("cuda", 0, LOCAL, "found none"),
        ("cuda", 0, RAY, "found none"),
        ("cuda:2", 2, LOCAL, "found 2"),
        ("cuda:1", 2, RAY, "CUDA_VISIBLE_DEVICES=1 and --device cuda"),
        ("cuda:1", 2, EngineSettings(), "CUDA_VISIBLE_DEVICES=1 and --device cuda"),
    ],
)
def test_devices_that_are_refused(monkeypatch, device, count, engine, said):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("pipelines.machine.devices.gpu_count", lambda: count)
    with pytest.raises(UserError, match=said):
        check_device(device, engine)


@pytest.mark.parametrize(
    ("device", "count", "engine"),
    [("cpu", 0, RAY), ("cuda", 1, RAY), ("cuda:1", 2, LOCAL), ("cuda", 0, JOINED)],
    ids=["no GPU", "one GPU", "the second of two", "the cluster's"],
)
def test_devices_that_are_there(monkeypatch, device, count, engine):
    monkeypatch.setattr("pipelines.machine.devices.gpu_count", lambda: count)
    check_device(device, engine)


def test_a_cluster_named_in_the_environment_is_joined_too(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    monkeypatch.setattr("pipelines.machine.devices.gpu_count", lambda: 0)
    check_device("cuda", RAY)
    with pytest.raises(UserError, match="found none"):
        check_device("cuda", LOCAL)


def test_what_runs_in_this_process_needs_its_gpu_here(monkeypatch):
    monkeypatch.setattr("pipelines.machine.devices.gpu_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.set_device", lambda _: None)
    assert [local_device(name) for name in ("auto", "cpu", "cuda", "cuda:0")] == ["cuda", "cpu", "cuda", "cuda:0"]
    with pytest.raises(UserError, match="--device cuda:1: expected a CUDA device of that name, found 1; use"):
        local_device("cuda:1")


@pytest.mark.parametrize("built", ["2.13.0+cpu", "2.13.0"])
def test_a_torch_without_cuda_is_named(monkeypatch, built):
    monkeypatch.setattr("pipelines.machine.devices.gpu_count", lambda: 0)
    monkeypatch.setattr("importlib.metadata.version", lambda _: built)
    with pytest.raises(UserError, match="found none; use --device cpu or auto") as refusal:
        local_device("cuda")
    assert ("(this torch, 2.13.0+cpu, has no CUDA)" in str(refusal.value)) == built.endswith("cpu")


def test_without_a_driver_torch_is_not_asked(monkeypatch):
    def missing(_: str) -> None:
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr("ctypes.CDLL", missing)
    monkeypatch.setattr("torch.cuda.is_available", lambda: pytest.fail("torch was asked"))
    assert named_device("auto") == "cpu"


def test_a_gpu_by_its_number_becomes_the_process_s_own(monkeypatch):
    chosen = []
    monkeypatch.setattr("pipelines.machine.devices.gpu_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.set_device", chosen.append)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert [local_device(name) for name in ("cpu", "cuda", "cuda:1")] == ["cpu", "cuda", "cuda:1"]
    assert chosen == ["cuda:1"]


def test_a_gpu_by_its_number_is_refused_under_torchrun(monkeypatch):
    monkeypatch.setattr("pipelines.machine.devices.gpu_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.set_device", pytest.fail)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match=r"--device cuda:1: expected cuda under torchrun.*CUDA_VISIBLE_DEVICES"):
        local_device("cuda:1")
    assert local_device("cuda") == "cuda"
