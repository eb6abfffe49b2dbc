"""Variants that are drawn while a device finds candidates: the same run as one stage after the other."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest

import pipelines.engines
from pipelines.augmenting import stage_run
from pipelines.augmenting.snapshot import ROWS, TEXT_NUMBERS, last_texts
from pipelines.augmenting.stages import AUGMENTED, CANDIDATES, ShardMaker, Stage
from pipelines.engines import worker_count
from pipelines.run_folder.parquet import write_tables
from pipelines.run_folder.records import Record
from pipelines.run_folder.storage import Storage
from tests.pipelines.jobs import contents, done, records, sentences, tinyaug, write_sst2

LONG = 90  # seconds until what never comes is waited for no more
SMALL = ("--device", "cpu", "--engine", "local", "--part-tokens", 500, "--shard-rows", 10)


@pytest.fixture
def one_card(monkeypatch):
    """A device: parts overlap in the one worker that has it, while two workers draw."""
    monkeypatch.setattr(Stage, "overlaps", property(lambda stage: stage.name == CANDIDATES))
    monkeypatch.setattr(
        pipelines.engines,
        "worker_count",
        lambda settings, *more: 1 if settings.overlaps else worker_count(settings, *more),
    )


@pytest.fixture
def told(monkeypatch) -> list[tuple[str, int]]:
    """What was done, in order."""
    order, on_done = [], stage_run.StageRun._on_done

    def noted(run, made):
        order.append((run._stage.name, made.part if isinstance(made, Record) else -1))
        on_done(run, made)

    monkeypatch.setattr(stage_run.StageRun, "_on_done", noted)
    return order


@pytest.fixture
def waiting(monkeypatch):
    """Has the last part of the candidates wait until a shard is drawn, where two workers draw."""
    work = ShardMaker.work

    def last_one_waits(maker, part):
        stage, deadline = maker._stage, time.monotonic() + LONG
        is_last = stage.name == CANDIDATES and part == stage.names.parts - 1
        while is_last and stage.job.root.endswith("beside"):
            if Storage(stage.job.root).names(f"{AUGMENTED}/records"):
                break
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return work(maker, part)

    monkeypatch.setattr(ShardMaker, "work", last_one_waits)


@pytest.fixture(scope="module")
def repeating(tmp_path_factory, inputs):
    """Sentences that come again anywhere, so that flat parts are made."""
    texts = list(sentences(40, seed=6))
    again = texts + [texts[number * 7 % 40] for number in range(40)]
    return write_sst2(tmp_path_factory.mktemp("repeating") / "SST-2", again, list(sentences(3, seed=1)))


@pytest.mark.integration
@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.usefixtures("one_card", "waiting")
def test_shards_are_drawn_before_the_last_candidates_are_found(inputs, repeating, tmp_path, told, repeats):
    data = ("--data", repeating) if repeats else ()
    ran = done(*inputs.augment(tmp_path / "beside", *SMALL, "--workers", 2, *data))
    parts, shards = (len(records(tmp_path / "beside", stage)) for stage in (CANDIDATES, AUGMENTED))
    last = told.index((CANDIDATES, parts - 1))
    assert sorted(told) == [(AUGMENTED, n) for n in range(shards)] + [(CANDIDATES, n) for n in range(parts)]
    drawn = sum(stage == AUGMENTED for stage, _ in told[:last])
    assert drawn >= 1
    assert shards == len(told) - parts >= 6
    assert [line for line in ran.err.splitlines() if "shard" in line and "already" not in line] == [
        f"finding candidates: {parts} shards",
        f"drawing variants: {shards - drawn} shards",
    ]
    assert f"drawing variants: {drawn} of {shards} shards done already" in ran.err.splitlines()
    told.clear()
    done(*inputs.augment(tmp_path / "one after the other", *SMALL, "--workers", 1, *data))
    assert [stage for stage, _ in told] == [CANDIDATES] * parts + [AUGMENTED] * shards
    assert contents(tmp_path / "beside") == contents(tmp_path / "one after the other")


@pytest.mark.integration
@pytest.mark.usefixtures("one_card")
def test_a_part_that_fails_leaves_the_shards_that_were_ready(inputs, tmp_path, monkeypatch):
    """Each text is another one, so each shard reads the next parts."""
    command, work = inputs.augment(tmp_path, *SMALL, "--workers", 2), ShardMaker.work

    def failing(maker, part):
        if maker._stage.name == CANDIDATES and part == 8:
            raise ValueError("failed as told")
        return work(maker, part)

    with monkeypatch.context() as patch:
        patch.setattr(ShardMaker, "work", failing)
        ran = tinyaug(*command)
    parts = int(records(tmp_path, CANDIDATES)[0].stem.split("-of-")[1])
    failed = f"candidates/data/part-00008-of-{parts:05d}.parquet"
    assert ran.code == 1
    assert f"{failed} failed: ValueError: failed as told" in ran.err.splitlines()
    assert ran.err.splitlines()[-1] == (
        f"tinyaug: failed: 1 of {parts} shards failed: {failed} (ValueError: failed as told); see the logs in "
        f"{tmp_path}/logs. What was finished is kept: run the same command again"
    )
    assert len(records(tmp_path, CANDIDATES)) == parts - 1
    drawn = records(tmp_path, AUGMENTED)
    assert [path.stem.split("-")[1] for path in drawn] == [f"{shard:05d}" for shard in range(len(drawn))]
    assert 0 < len(drawn) < 6
    assert not (tmp_path / AUGMENTED / "manifest.json").exists()
    before = {path: path.stat().st_mtime_ns for path in drawn}
    done(*command)
    assert {path: path.stat().st_mtime_ns for path in drawn} == before
    for stage in (CANDIDATES, AUGMENTED):
        assert (tmp_path / stage / "manifest.json").exists()
    done(*inputs.augment(tmp_path / "plain", *SMALL))
    assert contents(tmp_path / "plain") == contents(tmp_path)


@pytest.mark.integration
@pytest.mark.usefixtures("one_card")
def test_shards_that_fail_leave_the_candidates_complete(inputs, tmp_path, monkeypatch):
    """The first part of the candidates is damaged once it is there; a shard far behind has a text of it, too."""
    on_done = stage_run.StageRun._on_done

    def damaging(run, made):
        if run._stage.name == CANDIDATES and made.part == 0:
            (tmp_path / run._stage.names.data(0)).write_bytes(bytes(made.bytes))
        on_done(run, made)

    monkeypatch.setattr(stage_run.StageRun, "_on_done", damaging)
    ran = tinyaug(*inputs.augment(tmp_path, *SMALL, "--workers", 2))
    assert ran.code == 1
    last = ran.err.splitlines()[-1]
    assert last.startswith("tinyaug: failed: 2 of 6 shards failed: augmented/data/train-0000")
    assert all(f"augmented/data/train-{shard:05d}-of-00006.parquet" in last for shard in (0, 4))
    assert [path.name[:11] for path in records(tmp_path, AUGMENTED)] == [f"train-{n:05d}" for n in (1, 2, 3, 5)]
    assert (tmp_path / CANDIDATES / "manifest.json").exists()
    assert not (tmp_path / AUGMENTED / "manifest.json").exists()


@pytest.mark.integration
def test_several_workers_with_cards_and_several_that_draw(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(Stage, "overlaps", property(lambda stage: stage.name == CANDIDATES))
    done(*inputs.augment(tmp_path / "beside", *SMALL, "--workers", 2))
    done(*inputs.augment(tmp_path / "plain", *SMALL))
    assert contents(tmp_path / "beside") == contents(tmp_path / "plain")


@pytest.mark.usefixtures("one_card")
def test_ray_runs_one_stage_after_the_other(inputs, tmp_path, told, monkeypatch):
    def on_ray(stage, parts, engine, on_done):
        assert engine.engine == "ray"
        for part in parts:
            on_done(stage.make_worker().work(part))

    monkeypatch.setattr(stage_run, "run_parts", on_ray)
    done(*inputs.augment(tmp_path, *SMALL, "--workers", 2, "--engine", "ray"))
    assert [stage for stage, _ in told] == sorted((stage for stage, _ in told), reverse=True)


@pytest.mark.usefixtures("one_card")
@pytest.mark.parametrize("more", [("--workers", 1), ("--workers", 2, "--shard-rows", 60)])
def test_where_one_process_draws_it_waits_for_its_turn(inputs, tmp_path, told, more):
    done(*inputs.augment(tmp_path, *SMALL, *more))
    stages = [stage for stage, _ in told]
    assert stages == sorted(stages, reverse=True)
    assert {*stages} == {CANDIDATES, AUGMENTED}


@pytest.mark.parametrize("rows", [1, 7, 1000, 70_000])
def test_up_to_which_text_the_rows_of_a_shard_reach(tmp_path, rows):
    """Also where a file of rows is read in several pieces, and where no text of a shard is new."""
    chance, numbers, count = np.random.default_rng(rows), [], 0
    for _ in range(rows):
        pair = [count if chance.random() < 0.3 else int(chance.integers(count)) if count else 0 for _ in range(2)]
        count = max(count, *(number + 1 for number in pair))
        numbers.append(pair)
    link = pa.FixedSizeListArray.from_arrays(pa.array(np.array(numbers).reshape(-1)), 2)
    write_tables(Storage(str(tmp_path)), ROWS, [pa.table({"text": ["x"] * rows, TEXT_NUMBERS: link})])
    bounds = sorted({0, rows, rows // 2, rows // 3, *range(0, rows, 4096)})
    expected = [max(max(pair) for pair in numbers[:end]) for end in bounds[1:]]
    assert last_texts(Storage(str(tmp_path)), bounds).tolist() == expected
