"""Signals that come while Ray starts, when it has put handlers of its own in the place of ours."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from pipelines.engines import EngineSettings
from pipelines.engines.ray_start import _own_token, ended_with, start_ray
from pipelines.errors import JobError


class Stopped(BaseException):
    """What our own handler raises."""


@pytest.fixture
def starting(monkeypatch):
    """Starts Ray with another function in the place of `ray.init`, under a handler of our own."""
    before = signal.getsignal(signal.SIGTERM)

    def stop(*_) -> None:
        raise Stopped

    def start(init):
        _own_token()  # read when Ray is imported, which the next line does
        monkeypatch.setattr("ray.init", lambda **_: init())
        return start_ray(EngineSettings("ray", 1), 1)

    signal.signal(signal.SIGTERM, stop)
    yield start
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("code", [1, 15])
def test_sigterm_is_not_what_ray_makes_of_it(starting, code):
    def init() -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(code))
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        starting(init)


def test_rays_handler_does_not_stay(starting):
    starting(lambda: signal.signal(signal.SIGTERM, lambda *_: sys.exit(1)))
    with pytest.raises(Stopped):
        os.kill(os.getpid(), signal.SIGTERM)


def test_beside_the_main_thread_no_handler_is_touched(starting):
    codes = []

    def init() -> None:
        sys.exit(3)

    def elsewhere() -> None:
        try:
            starting(init)
        except SystemExit as stop:
            codes.append(stop.code)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert codes == [3]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Ray ends its processes by their group")
def test_a_signal_to_our_group_does_not_reach_rays_processes(starting):
    groups = []

    def init() -> None:
        with subprocess.Popen(["true"], preexec_fn=lambda: None) as process:  # as Ray starts its own
            groups.append((os.getpgid(process.pid), process.pid))

    starting(init)
    [(group, leader)] = groups
    assert group == leader != os.getpgrp()
    with subprocess.Popen(["sleep", "60"]) as process:
        assert os.getpgid(process.pid) == os.getpgrp()
        process.kill()


@pytest.mark.parametrize("address", [None, "127.0.0.1:1"])
def test_without_an_address_ray_looks_for_no_cluster(monkeypatch, address):
    """`ray start` leaves a file that names its cluster, and `ray.init` joins that unless told to start one."""
    asked = {}
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("pipelines.engines.ray_start.require_reachable", lambda _: None)
    _own_token()  # read when Ray is imported, which the next line does
    monkeypatch.setattr("ray.init", lambda **named: asked.update(named))
    start_ray(EngineSettings("ray", 1, address=address), 1)
    assert asked["address"] == (address or "local")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Ray's processes are not looked at")
def test_a_raylet_that_ends_ends_the_work_at_once(starting, tmp_path):
    (tmp_path / "raylet").symlink_to(shutil.which("sleep"))
    (tmp_path / "gcs_server").symlink_to(shutil.which("sleep"))
    others = []

    def init() -> None:
        others.append(subprocess.Popen([tmp_path / "gcs_server", "60"]))
        others.append(subprocess.Popen([tmp_path / "raylet", "60"]))

    def work() -> None:
        others[0].kill()
        assert others[0].wait() == -signal.SIGKILL  # Ray gets by without it
        raylet.kill()
        time.sleep(60)

    _, raylet = starting(init)
    assert raylet is others[1]
    before = signal.getsignal(signal.SIGCHLD)
    with pytest.raises(JobError, match=r"raylet .* by SIGKILL; .* run the same command again"), ended_with(raylet):
        work()
    assert signal.getsignal(signal.SIGCHLD) is before
    with pytest.raises(JobError), ended_with(raylet):
        pytest.fail("it had ended before")
    with ended_with(None):
        assert signal.getsignal(signal.SIGCHLD) is before
