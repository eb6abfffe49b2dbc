"""Limits of control groups in made-up trees, and what doctor and engines make of them."""

from __future__ import annotations

import os

import pytest

from pipelines.doctor import FAIL, OK, WARN, Finding, machine
from pipelines.engines import EngineSettings, worker_count
from pipelines.machine import limits as machine_limits

NO_LIMIT = "9223372036854771712\n"  # of version 1


@pytest.fixture
def system(monkeypatch, tmp_path):
    """Eight cores, 16 GB and no control group."""
    monkeypatch.setattr(machine_limits, "CGROUPS", tmp_path)
    monkeypatch.setattr(machine_limits, "OWN_GROUP", tmp_path / "own")
    monkeypatch.setattr(machine_limits, "MEMINFO", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text("MemTotal: 99 kB\nMemAvailable:   16000000 kB\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return tmp_path


@pytest.fixture
def cgroup(system):
    """A control group two levels deep; the outer one holds the limits."""
    (system / "own").write_text("0::/box/job\n")
    write(system / "box" / "job", {"cpu.max": "max 100000\n", "memory.max": "max\n"})
    return system / "box"


@pytest.fixture(params=["on the host", "in a container", "without links"])
def version_1(system, request):
    """Folders of the controllers of memory and CPU; in a container the group's name is that on the host."""
    together = "cpu,cpuacct" if request.param == "without links" else "cpu"
    (system / "own").write_text("9:name=systemd:/box\n4:memory:/box/job\n2:cpu,cpuacct:/box/job\n0::/\n")
    for name in ("memory", together):
        write(system / name / ("" if request.param == "in a container" else "box/job"), {})
        write(system / name, {"cpu.cfs_quota_us": "-1\n", "memory.limit_in_bytes": NO_LIMIT})
        write(system / name, {"cpu.cfs_period_us": "100000\n", "memory.usage_in_bytes": "50000000\n"})
    where = "" if request.param == "in a container" else "box"
    return system / "memory" / where, system / together / where


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def test_cores_that_a_control_group_withholds(cgroup):
    assert machine_limits.cpu_limit() is None
    (cgroup / "cpu.max").write_text("150000 100000\n")
    assert machine_limits.cpu_limit() == 1.5
    found = machine.check_cores()
    assert (found.state, found.remedy) == (WARN, "set OMP_NUM_THREADS=2")
    (cgroup / "cpu.max").write_text("800000 100000\n")
    assert machine.check_cores().state == OK


def test_memory_that_a_control_group_withholds(cgroup, system):
    assert machine.check_memory() == Finding("memory", OK, "16.4 GB free")
    write(cgroup, {"memory.max": "6000000000\n", "memory.current": "3000000000\n"})
    found = machine.check_memory()
    assert (found.state, "3.0 GB left of the control group" in found.found) == (WARN, True)
    (cgroup / "memory.current").write_text("5900000000\n")
    assert machine.check_memory().state == FAIL
    (system / "meminfo").unlink()
    assert machine.check_memory().state == FAIL
    (cgroup / "memory.max").unlink()
    assert machine.check_memory().state == WARN


def test_files_that_were_read_hold_no_memory(cgroup):
    write(cgroup, {"memory.max": "6000000000\n", "memory.current": "5900000000\n"})
    stat = "anon 1000000000\ninactive_file 3000000000\nactive_file 1900000000\nshmem 5\n"
    (cgroup / "memory.stat").write_text(stat)
    assert machine_limits.memory_left() == 5_000_000_000
    assert machine.check_memory().state == OK
    for odd in ("inactive_file\nactive_file much\n\n", "active_file -5 \x00\xff\n", ""):
        (cgroup / "memory.stat").write_text(odd, encoding="latin-1")
        assert machine_limits.memory_left() == 100_000_000
    (cgroup / "memory.stat").write_text("inactive_file 7000000000\n")  # the two files are not read at one moment
    assert machine_limits.memory_left() == 6_000_000_000


def test_limits_of_version_1(version_1):
    assert (machine_limits.cpu_limit(), machine_limits.memory_left()) == (None, None)
    memory, cpu = version_1
    write(cpu, {"cpu.cfs_quota_us": "150000\n", "cpu.cfs_period_us": "100000\n"})
    write(memory, {"memory.limit_in_bytes": "4000000000\n", "memory.usage_in_bytes": "3900000000\n"})
    assert machine_limits.cpu_limit() == 1.5
    assert machine_limits.memory_left() == 100_000_000
    stat = "inactive_file 1\nactive_file 1\ntotal_inactive_file 2000000000\ntotal_active_file 900000000\n"
    (memory / "memory.stat").write_text(stat)
    assert machine_limits.memory_left() == 3_000_000_000
    assert "3.0 GB left of the control group" in machine.check_memory().found


def test_no_more_workers_than_a_container_holds(cgroup, system):
    settings = EngineSettings("local")
    assert worker_count(settings, 100) == 8
    (cgroup / "cpu.max").write_text("150000 100000\n")
    assert worker_count(settings, 100) == 2
    (cgroup / "cpu.max").write_text("50000 100000\n")
    assert worker_count(settings, 100) == 1
    (cgroup / "cpu.max").unlink()
    write(cgroup, {"memory.max": "4000000000\n", "memory.current": "500000000\n"})
    assert worker_count(settings, 100) == 2
    (cgroup / "memory.current").write_text("4000000000\n")
    assert worker_count(settings, 100) == 1
    assert worker_count(EngineSettings("local", 5), 100) == 5
    (cgroup / "memory.max").unlink()
    (system / "meminfo").unlink()
    assert worker_count(settings, 100) == 8
