"""Processes that wait for the first one: they say so, and end when it is gone."""

from __future__ import annotations

import errno
import fcntl
import itertools
from dataclasses import dataclass, field

import pytest

from pipelines.errors import JobError
from pipelines.reporting import Silent
from pipelines.run_folder import lease
from pipelines.run_folder.lock import only_writer
from pipelines.run_folder.storage import Storage
from pipelines.training import ranks
from pipelines.training.ranks import Ranks, wait_for_main


@dataclass
class Said(Silent):
    """What was said."""

    messages: list[str] = field(default_factory=list)

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(ranks, "LOOK_EVERY", 0.001)
    monkeypatch.setattr(ranks, "SAY_EVERY", 0.0)


@pytest.mark.usefixtures("impatient")
def test_it_says_what_it_waits_for(tmp_path):
    said, looks = Said(), itertools.count()
    storage = Storage(str(tmp_path / "out"))
    with only_writer(storage):
        wait_for_main(storage, lambda _: next(looks) == 3, "the corpus", Ranks(cpu=True), said)
    assert said.messages == ["process 0: waiting for the first process to write the corpus"] * 3


def test_the_first_process_says_whose_lease_it_waits_for(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSYS, "no locks here")))
    monkeypatch.setattr(lease, "LAPSES_AFTER", 0.1)
    monkeypatch.setattr(lease, "SETTLE", 0)
    monkeypatch.setattr(lease, "_age", lambda _: 0.0)
    said, storage = Said(), Storage(str(tmp_path))
    storage.write_json(".lock", {"host": "other", "process": 7, "token": "t"})
    with Ranks(cpu=True).writing(storage, said):
        pass
    assert said.messages == ["waiting for the lease of process 7 on host other to lapse, at most 0 s"]


@pytest.mark.usefixtures("impatient")
def test_it_gives_up_when_nobody_is_at_work(tmp_path):
    storage = Storage(str(tmp_path / "out"))
    with pytest.raises(JobError, match=r"write the corpus, found nobody at work there; .* share the folder of --out"):
        wait_for_main(storage, lambda _: False, "the corpus", Ranks(cpu=True), Said())
    with only_writer(storage):
        pass
    with pytest.raises(JobError, match="found nobody at work there"):
        wait_for_main(storage, lambda _: False, "the corpus", Ranks(cpu=True), Said())
    wait_for_main(storage, lambda _: True, "the corpus", Ranks(cpu=True), Said())
