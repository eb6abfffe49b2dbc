"""One writer for a run directory."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from pipelines.run_folder.lock import only_writer
from pipelines.run_folder.storage import Storage
from tests.faults.conftest import job
from tests.pipelines.jobs import done, everything, finish, records, start, tinyaug, wait_for


def test_second_writer_is_refused_by_name(many, run):
    before = everything(run)
    with only_writer(Storage(str(run))):
        ran = tinyaug(*job(many, run))
    assert ran.code == 2
    assert f"found process {os.getpid()} on host {socket.gethostname()} at work on it" in ran.err
    assert {name: found for name, found in everything(run).items() if name != ".lock"} == {
        name: found for name, found in before.items() if name != ".lock"
    }


@pytest.mark.parametrize("more", [("--overwrite",), ()], ids=["overwrite", "resume"])
def test_the_first_writer_is_not_disturbed(many, run, more):
    with only_writer(Storage(str(run))):
        assert tinyaug(*job(many, run, *more)).code == 2
        assert (run / "input/rows.parquet").exists()
        assert tinyaug(*job(many, run)).code == 2


@pytest.mark.integration
def test_lock_of_a_killed_job_is_free(command, run):
    process = start(*command())
    wait_for(lambda: records(run), process)
    process.send_signal(signal.SIGSTOP)
    ran = tinyaug(*command())
    assert ran.code == 2
    assert f"found process {process.pid} on host" in ran.err
    process.send_signal(signal.SIGKILL)
    finish(process)
    done(*command())
