"""Where a masked LM runs: which device is meant, and which GPU each worker of this machine gets (design section 6)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.engines import EngineSettings


def named_device(device: str) -> str:
    """`auto` decided by what this machine has.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        UserError: another one.
    """
    number = device.removeprefix("cuda:")
    if device not in ("auto", "cpu", "cuda") and (number == device or not number.isdecimal()):
        raise UserError(f"--device: expected auto, cpu, cuda or cuda:N, found {device!r}")
    if device == "auto":
        return "cuda" if gpu_count() else "cpu"
    return device


def local_device(device: str) -> str:
    """The same for what runs in this process: a GPU that is not there is refused before anything is begun.

    A GPU that is named by its number becomes the one that `cuda` means from here on, to accelerate, too.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        UserError: another one, no such GPU, or one GPU by its number for several processes.
    """
    named = named_device(device)
    if named == "cpu":
        return named
    _check_there(named)
    if named != "cuda":
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise UserError(
                f"--device {named}: expected cuda under torchrun, which gives each process a GPU of its own, found a "
                "number; choose among the GPUs by CUDA_VISIBLE_DEVICES"
            )
        import torch

        torch.cuda.set_device(named)
    return named


def check_device(device: str, engine: EngineSettings) -> None:
    """Refuses a GPU that is not there, without importing torch on a machine that has no driver.

    Args:
        device: `cpu`, `cuda` or `cuda:N`.
        engine: a cluster that is joined may have GPUs which this machine has not: there its workers look.

    Raises:
        UserError: no such GPU, or one that Ray's workers could not see under that name.
    """
    if device == "cpu":
        return
    if device != "cuda" and engine.engine != "local":
        raise UserError(
            f"--device {device}: expected cuda with Ray, which gives each worker a GPU of its own, found one by its "
            f"number; use --engine local, or CUDA_VISIBLE_DEVICES={device.removeprefix('cuda:')} and --device cuda"
        )
    if not engine.joins_cluster:
        _check_there(device)


def _check_there(device: str) -> None:
    from importlib.metadata import version

    found = gpu_count()
    if int(device.removeprefix("cuda").removeprefix(":") or 0) >= found:
        built = version("torch")
        hint = f" (this torch, {built}, has no CUDA)" if built.endswith("+cpu") else ""
        raise UserError(
            f"--device {device}: expected a CUDA device of that name, found {found or 'none'}; use --device cpu or auto"
            f"{hint}"
        )


def gpu_count() -> int:
    """GPUs this process can use; 0 without a driver, torch is asked only where there is one."""
    import ctypes

    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def visible_gpus(environment: Mapping[str, str], count: int) -> list[str]:
    """Names of the GPUs this process can use, as CUDA_VISIBLE_DEVICES takes them.

    Args:
        environment: of this process.
        count: how many it can use.
    """
    given = environment.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in given.split(",") if name.strip()]
    return names[:count] if names else [str(number) for number in range(count)]


def take_gpu(worker: int, gpus: list[str]) -> None:
    """Makes this process see its own GPU alone, as `cuda`; only before CUDA is first used in it.

    Workers take them in turn: GPUs are shared only where there are more workers than GPUs.

    Args:
        worker: number of the worker, from 0.
        gpus: names of the machine's GPUs; with none nothing is changed.
    """
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[worker % len(gpus)]
