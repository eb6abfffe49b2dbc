"""Parts made on several kinds of hardware are refused by name unless allowed; what is finished is left alone."""

from __future__ import annotations

import json
from itertools import cycle

import pyarrow.parquet as pq
import pytest

from pipelines.engines import run_parts
from pipelines.machine import hardware
from tests.pipelines.jobs import contents, done, everything, manifest, records, refused

HERE, OTHER = hardware.hardware_of("cpu"), "NVIDIA Abacus"
MIXED = "--mixed-hardware"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr("pipelines.augmenting.plan.PART_COST", 2_000)


@pytest.fixture
def elsewhere(monkeypatch):
    """Makes this machine another one."""
    return lambda: monkeypatch.setattr(hardware, "hardware_of", lambda _: OTHER)


@pytest.fixture
def mixed_cluster(monkeypatch):
    """Workers of two kinds in turn, a part each."""

    def run(stage, parts, engine, on_done):
        for part, kind in zip(parts, cycle((HERE, OTHER)), strict=False):
            monkeypatch.setattr(hardware, "hardware_of", lambda _, kind=kind: kind)
            on_done(stage.make_worker().work(part))

    monkeypatch.setattr("pipelines.augmenting.stage_run.run_parts", run)


def command(inputs, run, *more) -> list[str]:
    return inputs.augment(run, "--shard-rows", 10, *more)


def kinds(run, stage="candidates") -> list[str | None]:
    return [json.loads(path.read_text()).get("hardware") for path in records(run, stage)]


def test_records_name_it_where_a_model_computes(inputs, tmp_path):
    done(*command(inputs, tmp_path))
    parts = len(records(tmp_path, "candidates"))
    assert parts > 3
    assert kinds(tmp_path) == [HERE] * parts
    assert kinds(tmp_path, "augmented") == [None] * 6
    assert manifest(tmp_path, "candidates")["hardware"] == {HERE: parts}
    assert "hardware" not in manifest(tmp_path)
    for path in [*tmp_path.glob("*/data/*")]:
        assert HERE not in pq.read_schema(path).metadata[b"tinyaug"].decode()
    assert HERE not in (tmp_path / "run.json").read_text()


@pytest.mark.parametrize("preset", ["paper", "algorithm1"])
def test_going_on_elsewhere_is_refused_and_can_be_allowed(inputs, tmp_path, elsewhere, preset):
    again = command(inputs, tmp_path, "--preset", preset)
    done(*again)
    stage = "candidates" if preset == "paper" else "augmented"
    parts = len(records(tmp_path, stage))
    records(tmp_path, stage)[1].unlink()
    elsewhere()
    before = everything(tmp_path / stage / "data")
    said = refused(again)
    assert f"expected {HERE}, which the finished parts of {stage}/ were made on, found {OTHER}" in said
    assert said.endswith(f"go on with machines of that kind, or add {MIXED}")
    assert everything(tmp_path / stage / "data") == before
    done(*again, MIXED)
    assert manifest(tmp_path, stage)["hardware"] == {HERE: parts - 1, OTHER: 1}


def test_what_is_left_to_draw_is_drawn_anywhere(inputs, tmp_path, elsewhere):
    done(*command(inputs, tmp_path / "run"))
    whole = contents(tmp_path / "run")
    records(tmp_path / "run", "augmented")[1].unlink()
    elsewhere()
    done(*command(inputs, tmp_path / "run"))
    assert contents(tmp_path / "run") == whole
    assert "everything was done already" in done(*command(inputs, tmp_path / "run")).out
    done("status", tmp_path / "run")
    done("verify", tmp_path / "run")
    done("resample", "--candidates", tmp_path / "run", "--out", tmp_path / "again", "--seed", 7, "--engine", "local")


def test_records_of_earlier_versions_are_of_an_unknown_kind(inputs, tmp_path, elsewhere):
    done(*command(inputs, tmp_path))
    parts = records(tmp_path, "candidates")
    for path in parts:
        content = json.loads(path.read_text())
        del content["hardware"]
        path.write_text(json.dumps(content))
    parts[0].unlink()
    elsewhere()
    done(*command(inputs, tmp_path))
    assert manifest(tmp_path, "candidates")["hardware"] == {OTHER: 1, hardware.UNKNOWN: len(parts) - 1}


def test_a_mixed_cluster_is_noticed(inputs, tmp_path, mixed_cluster, monkeypatch):
    again = command(inputs, tmp_path / "run")
    said = refused(again)
    assert "candidates/data/part-00001-of-" in said
    assert f"expected it made on {HERE} as the parts before it, found {OTHER}" in said
    assert kinds(tmp_path / "run") == [HERE]
    monkeypatch.setattr("pipelines.augmenting.stage_run.run_parts", run_parts)
    monkeypatch.setattr(hardware, "hardware_of", lambda _: HERE)
    done(*again)
    done(*command(inputs, tmp_path / "whole"))
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_mixed_cluster_is_allowed_and_counted(inputs, tmp_path, mixed_cluster):
    again = command(inputs, tmp_path)
    done(*again, MIXED)
    found = manifest(tmp_path, "candidates")["hardware"]
    assert set(found) == {HERE, OTHER}
    records(tmp_path, "candidates")[0].unlink()
    said = refused(again)
    assert f"{found[OTHER]} on {OTHER}" in said
    assert f"go on with {MIXED}, or delete the records of one kind" in said
    assert "candidates/records/part-0000" in said
