"""Parts of a step: a run goes on with any number of processes that gives as many, and keeps their number unasked."""

from __future__ import annotations

import json

import pytest

from pipelines.found import Found
from pipelines.general.general_job import GeneralJob
from pipelines.general.request import GeneralRequest
from pipelines.methods.general import GENERAL
from pipelines.options.data import CorpusChoice, DataChoice
from pipelines.options.running import GeneralMachine, Machine
from pipelines.options.teacher_cache import GeneralCacheChoice
from pipelines.options.training import LossChoice, MaskedLmChoice, PackedReading, Reading
from pipelines.training.finetune_job import FinetuneJob
from pipelines.training.request import FinetuneRequest
from tests.pipelines.jobs import done, finish, refused, start, tinyaug
from tests.pipelines.training.general import MASKED
from tests.pipelines.training.verbs import distill, finetune, general, run_json
from tests.ranks import two_ranks


def asked(kind=GeneralRequest, **machine):
    machine = {"device": "cpu", **machine}
    if kind is FinetuneRequest:
        recipe, machine, data = GENERAL.recipe, Machine(**machine), DataChoice("sst2")
        return kind(out="out", data=data, model="model", recipe=recipe, reading=Reading(), machine=machine)
    learnt = {"masked_lm": MaskedLmChoice(), "losses": LossChoice(), "cache": GeneralCacheChoice()}
    read = {"corpus": CorpusChoice("corpus.txt"), "reading": PackedReading(), "machine": GeneralMachine(**machine)}
    return kind(out="out", teacher="teacher", recipe=GENERAL.recipe, **read, **learnt)


def parts(kind=GeneralRequest, earlier=None, **machine) -> int:
    """Parts that each process cuts its share of a step into."""
    job = (FinetuneJob if kind is FinetuneRequest else GeneralJob)(asked(kind, **machine), Found())
    job.keep_parts({"parts": earlier})
    return job.request.machine.accumulation


@pytest.mark.parametrize(("processes", "each"), [("1", 8), ("2", 4), ("4", 2), ("8", 1)])
def test_the_number_of_an_earlier_start_is_kept(monkeypatch, processes, each):
    monkeypatch.setenv("WORLD_SIZE", processes)
    assert parts(FinetuneRequest, 8) == parts(earlier=8, device="cuda") == each
    assert parts(earlier=8, accumulation=3) == 3


def test_the_number_of_a_first_start(monkeypatch):
    assert (parts(), parts(device="cuda"), parts(FinetuneRequest)) == (8, 1, 1)
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert parts(earlier=8) == 3  # 8 cannot be shared by three


@pytest.mark.parametrize("verb", [finetune, distill, general])
def test_what_is_refused(parts, corpus, tmp_path, monkeypatch, verb):
    given = (parts, corpus) if verb is general else (parts,)
    command = verb(*given, tmp_path / "out", "--max-steps", 1)
    done(*command, "--accumulation", 4)
    assert run_json(tmp_path / "out")["parts"] == 4
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert "done already" in done(*command, "--dry-run").out
    (tmp_path / "out/metrics.json").unlink()
    assert "--accumulation times processes: 4 there, 3 now" in refused([*command, "--dry-run"])
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "--accumulation times processes: 4 there, 8 now" in refused([*command, "--accumulation", "4", "--dry-run"])
    for more in ((), ("--accumulation", "2")):
        assert "nothing was written" in done(*command, *more, "--dry-run").out


@pytest.mark.integration
def test_two_processes_go_on_where_one_stopped(parts, corpus, tmp_path, monkeypatch):
    """Dropout included: it is drawn for each part, wherever that runs."""
    more = (*MASKED, "--max-steps", 6, "--checkpoint-every", 3)
    whole, out = tmp_path / "whole", tmp_path / "out"
    done(*general(parts, corpus, whole, *more, "--accumulation", 4))
    with monkeypatch.context() as patch:  # as a kill before the end
        patch.setattr("distill.training._Loop._end_of_epoch", lambda _: 1 / 0)
        assert tinyaug(*general(parts, corpus, out, *more, "--accumulation", 4)).code == 1
    state = json.loads((out / "general/step-000000003/state.json").read_text())
    assert state["run"]["parts"] == 4
    ranks = [start(*general(parts, corpus, out, *more), **variables) for variables in two_ranks()]
    ended = [finish(rank) for rank in ranks]
    assert [ran.code for ran in ended] == [0, 0], ended[0].err
    curves = [(folder / "general/losses.csv").read_text().splitlines()[1:] for folder in (out, whole)]
    mine, theirs = ([float(line.split(",")[4]) for line in curve] for curve in curves)
    assert len(mine) == 6
    assert mine == pytest.approx(theirs, rel=1e-4)
