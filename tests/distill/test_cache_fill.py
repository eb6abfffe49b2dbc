"""A cache that is made ahead of training, and the process that makes it killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from distill.targets import fill_cache
from tests.distill.data import open_stream, write_shards
from tests.distill.runs import tiny_pair, tiny_targets

FILLING = """
import os, signal, sys
from pathlib import Path
from distill import targets
from tests.distill.data import open_stream
from tests.distill.runs import tiny_pair, tiny_targets

class Killed:
    def batches(self, start):
        for number, batch in enumerate(stream.batches(start)):
            if number == 9:
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

stream, teacher = open_stream(Path(sys.argv[1])), tiny_pair()[1]
targets.FLUSH_SECONDS = 0
targets.fill_cache(tiny_targets(teacher, stream, Path(sys.argv[2])), Killed())
"""


def filled(teacher, stream, folder):
    targets = tiny_targets(teacher, stream, folder)
    fill_cache(targets, stream)
    return targets.cache


@pytest.mark.integration
@pytest.mark.parametrize("torn", [b"", b"torn off in the middle of an entry"])
def test_a_killed_fill_goes_on(tmp_path, monkeypatch, torn):
    data = write_shards(tmp_path / "data")
    root, folder = Path(__file__).resolve().parents[2], tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    killed = subprocess.run([sys.executable, "-c", FILLING, data, folder], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
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
