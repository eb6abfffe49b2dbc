"""A cache that is made ahead of training, and the process that makes it killed."""

from __future__ import annotations

import os
import signal

import pytest

from distill.targets import fill_cache
from tests.distill.data import open_stream
from tests.distill.runs import tiny_pair, tiny_targets
from tests.ready import start_ready


def filled(teacher, stream, folder):
    targets = tiny_targets(teacher, stream, folder)
    fill_cache(targets, stream)
    return targets.cache


@pytest.mark.integration
@pytest.mark.parametrize("torn", [b"", b"torn off in the middle of an entry"])
def test_a_killed_fill_goes_on(data, tmp_path, monkeypatch, torn):
    folder = tmp_path / "killed"
    killed = start_ready("tests.distill.filling", [str(data), str(folder)], dict(os.environ))
    assert killed.wait(120) == -signal.SIGKILL
    for path in (*folder.glob("*.bin"), *folder.glob("*.idx")):
        path.write_bytes(path.read_bytes() + torn)
    stream, teacher, taught = open_stream(data), tiny_pair()[1], []
    real = teacher.targets
    monkeypatch.setattr(teacher, "targets", lambda batch, wanted: taught.append(len(batch)) or real(batch, wanted))
    goes_on = filled(teacher, stream, folder)
    assert goes_on.complete
    assert len(taught) == 13 - 9
    whole = filled(teacher, stream, tmp_path / "whole")
    assert len(taught) == 4 + 13
    for shard, rows in enumerate((37, 50, 13)):
        for row in range(rows):
            (tokens, record), (expected, other) = goes_on.read(shard, row), whole.read(shard, row)
            assert (tokens, record.tobytes()) == (expected, other.tobytes())
