"""A model or device that fails on everything: nothing is rejected, nothing is published, a fresh process goes on."""

from __future__ import annotations

import pytest

from augment.masked_lm import MaskedLM
from pipelines.engines import EngineSettings, run_parts
from pipelines.errors import JobError
from tests.faults.on_a_gpu import OnAGpu
from tests.pipelines.engines.test_engines import run
from tests.pipelines.jobs import done, rows, tinyaug


@pytest.mark.parametrize("context", ["original", "running"])
@pytest.mark.parametrize("reason", ["CUDA error: an illegal memory access was encountered", "no numbers"])
def test_nothing_is_published(inputs, finished, tmp_path, monkeypatch, reason, context):
    def failing(*_):
        raise RuntimeError(reason)

    command = inputs.augment(tmp_path, "--shard-rows", 10, "--context", context)
    with monkeypatch.context() as patch:
        patch.setattr(MaskedLM, "start", failing)
        ran = tinyaug(*command)
    assert ran.code == 1
    assert "fails on [CLS] [MASK] [SEP], too" in ran.err
    assert "run the same command again" in ran.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and "records" in path.parts]
    assert not (tmp_path / "rejected.parquet").exists()
    done(*command)
    if context == "original":
        assert rows(tmp_path) == rows(finished)


@pytest.mark.integration
def test_a_fresh_process_tries_again(tmp_path):
    assert run(OnAGpu(str(tmp_path), ("", "lose", "")), 2) == ({0, 1, 2}, {})
    assert "CUDA error" in next((tmp_path / "logs").glob("*00001*")).read_text()


def test_a_job_in_one_process_ends(tmp_path):
    work = OnAGpu(str(tmp_path), ("", "lose", ""))
    found = []
    with pytest.raises(JobError, match="CUDA error"):
        run_parts(work, [0, 1, 2], EngineSettings("local", 1), found.append)
    assert [record.part for record in found] == [0]
