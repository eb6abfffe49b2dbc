"""Cores, GPUs, memory and disk of this machine, the limits of its control group included."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from distill.wording import shown_bytes
from pipelines.doctor import FAIL, OK, WARN, Finding
from pipelines.machine.limits import cpu_limit, memory_left, text_of, usable_cores, usable_memory, visible_cores
from pipelines.wording import first_line

CPUINFO = Path("/proc/cpuinfo")
DEMO_MEMORY, FULL_MEMORY = 2_000_000_000, 4_000_000_000  # bytes: the demo; BERT-base as masked LM and as teacher
DEMO_DISK, FULL_DISK = 500_000_000, 5_000_000_000  # bytes: the demo; models, vectors, augmented rows, caches
HALF_PRECISION = ("amx_bf16", "avx512_bf16", "bf16")  # of x86 and of ARM


def check_cores() -> Finding:
    """CPU cores that this process may use, and whether they multiply in bf16."""
    cores = visible_cores()
    flags = set(text_of(CPUINFO).split())
    kinds = [flag for flag in HALF_PRECISION if flag in flags]
    bf16 = f"bf16 in hardware ({', '.join(kinds)})" if kinds else "no bf16 in hardware: --precision bf16 is slow here"
    limit = cpu_limit()
    if limit is not None and limit < cores:
        found = f"{cores} cores, of which the control group gives {limit:g}: threads of training beyond that only wait"
        return Finding("cores", WARN, f"{found}; {bf16}", f"set OMP_NUM_THREADS={usable_cores()}")
    return Finding("cores", OK, f"{cores} of {os.cpu_count()}; {bf16}")


def check_gpus() -> Finding:
    """GPUs that torch can use. Imports torch, which takes seconds."""
    import ctypes.util

    try:
        import torch
    except Exception as error:  # missing libraries raise OSError, a broken installation whatever it likes
        found = f"torch cannot be imported ({first_line(error)}): nothing that runs a model works"
        return Finding("gpus", FAIL, found, "install it again: pip install --force-reinstall torch")
    driver = ctypes.util.find_library("cuda") is not None
    if torch.cuda.is_available():
        shown = []
        for number in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(number)
            shown.append(f"cuda:{number} {about.name}, {shown_bytes(about.total_memory)}")
        bf16 = "with bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "without bf16"
        return Finding("gpus", OK, f"{'; '.join(shown)}; {bf16}")
    if driver:
        build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "a build for CPUs"
        found = f"a driver, but torch {torch.__version__} ({build}) cannot use it: everything runs on the CPU"
        return Finding("gpus", WARN, found, "install a torch that fits the driver (nvidia-smi names its CUDA version)")
    return Finding("gpus", OK, "none; everything runs on the CPU")


def check_memory() -> Finding:
    """Memory that is free, or left of the control group's."""
    amount = usable_memory()
    if amount is None:
        return Finding("memory", WARN, "cannot be told on this system", "make sure that some 4 GB are free")
    found = f"{shown_bytes(amount)} {'left of the control group' if amount == memory_left() else 'free'}"
    if amount < DEMO_MEMORY:
        why = f"{found}; the demo takes {shown_bytes(DEMO_MEMORY)}: processes would be killed"
        return Finding("memory", FAIL, why, "end other programs, or raise the container's limit")
    if amount < FULL_MEMORY:
        why = f"{found}; a BERT-base takes up to {shown_bytes(FULL_MEMORY)}: its workers may be killed"
        return Finding("memory", WARN, why, "give --workers 1, or a smaller --batch-tokens")
    return Finding("memory", OK, found)


def check_disk(name: str, folder: Path) -> Finding:
    """Space where something will be written.

    Args:
        name: what will be.
        folder: may not exist yet.
    """
    existing = nearest(folder)
    free = shutil.disk_usage(existing).free
    found = f"{shown_bytes(free)} free at {existing}"
    if free < DEMO_DISK:
        why = f"{found}; the demo takes {shown_bytes(DEMO_DISK)} there: it would stop when the disk is full"
        return Finding(name, FAIL, why, "free some, or name another place")
    if free < FULL_DISK:
        why = f"{found}; models, vectors, augmented rows and teacher caches of a GLUE task take more"
        return Finding(name, WARN, why, "free some, or name another place; --dry-run says what a run takes")
    return Finding(name, OK, found)


def nearest(folder: Path) -> Path:
    """A folder, or the closest one above it that exists."""
    folder = folder.expanduser().absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())
