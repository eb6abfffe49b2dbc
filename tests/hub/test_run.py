"""`tinyaug run --task sst2` without a single local path, against servers in the place of the hub and of gensim's."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import termios
import threading
import time

import pytest

from tests.hub.conftest import NOWHERE, Ran, command, side_by_side
from tests.hub.vectors import NAME

pytestmark = pytest.mark.integration

RUN = ("run", "--task", "sst2", "--profile", "quick", "--max-steps", "2", "--n", "1", "--out", "run")
AUGMENT = ("augment", "--task", "sst2", "--n", "1")


def in_a_terminal(machine, *arguments: str, patience: float = 600) -> Ran:
    """The command in a terminal of 120 columns; killed if it has not ended in `patience` seconds."""
    begin = time.monotonic()
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(machine.folder)
        words = command(*arguments)
        os.execve(words[0], words, machine.environment(TERM="xterm"))
    patience_ends = threading.Timer(patience, os.kill, (process, signal.SIGKILL))  # which closes its end, too
    patience_ends.start()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # the process has closed its end
            break
        if not piece:
            break
        shown += piece
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    patience_ends.cancel()
    return Ran(code, shown.decode(), time.monotonic() - begin)


def test_a_command_that_hangs_fails_its_test(machine):
    assert in_a_terminal(machine(), "--help", patience=0.05).code == -signal.SIGKILL


def test_from_download_to_student_and_again_without_a_network(machine, repositories):
    here = machine()
    first = in_a_terminal(here, *RUN)
    assert first.code == 0, first.text
    assert f"{NAME}: downloading" in first.text
    for shown in ("Fetching 3 files: 100%", "Fetching 4 files: 100%"):
        assert shown in first.text
    data, mlm, student = repositories
    sources = json.loads((here.folder / "run" / "run.json").read_text())["sources"]
    assert (sources["data_revision"], sources["mlm_revision"]) == (data.commit("main"), mlm.commit("main"))
    begun = json.loads((here.folder / "run" / "student" / "run.json").read_text())
    assert begun["sources"]["student_revision"] == student.commit("main")
    assert begun["sources"]["data_revision"] == data.commit("main")
    assert json.loads((here.folder / "run" / "metrics.json").read_text())["stages"].keys() >= {"finetune", "prediction"}
    fetched = [path.rsplit("/", 1)[1] for path in here.hub.asked if path.startswith("GET /cdn/")]
    assert sorted(fetched) == sorted({*fetched})
    assert {"model.safetensors", "pytorch_model.bin"} <= {*fetched}
    assert not [path for path in here.vectors.asked if "__init__" in path]

    asked = len(here.hub.asked)
    down = {"HF_ENDPOINT": NOWHERE, "TINYAUG_GENSIM_URL": NOWHERE}
    again, offline, other = side_by_side(
        lambda: here.run(*RUN, **down),
        lambda: here.run(*AUGMENT, "--out", "offline", HF_HUB_OFFLINE="1"),
        lambda: here.run(*AUGMENT, "--out", "other", "--data-revision", "first", HF_HUB_OFFLINE="1"),
    )
    assert again.code == 0, again.text
    assert "everything was done already" in again.text
    assert offline.code == 0, offline.text
    assert "latest cached" not in offline.text
    assert other.code == 2
    assert "revision first) from the hub or its cache, found: HF_HUB_OFFLINE is set" in other.text
    assert data.commit("main")[:12] in other.text
    assert len(here.hub.asked) == asked


def test_an_earlier_revision_is_read_and_recorded(machine, repositories):
    here = machine()
    ran = here.run(*AUGMENT, "--out", "run", "--revision", "first", "--data-revision", "first", "--glove", "none")
    assert ran.code == 0, ran.text
    data, mlm, _ = repositories
    sources = json.loads((here.folder / "run" / "run.json").read_text())["sources"]
    assert (sources["data_revision"], sources["mlm_revision"]) == (data.commit("first"), mlm.commit("first"))
    assert data.commit("first") != data.commit("main")
