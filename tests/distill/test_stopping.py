"""Runs that are asked to stop keep a checkpoint of their last step, and end as if nobody had asked."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from distill.cache_format import INDEX
from distill.errors import StoppedError
from distill.objectives import LabelStage
from distill.targets import fill_cache
from distill.training import train
from distill.training_settings import Hooks, TrainSettings
from tests.distill.data import open_stream
from tests.distill.models import tiny_student
from tests.distill.runs import losses, stop_at_call, tiny_pair, tiny_run, tiny_targets, weights
from tests.distill.test_resume import PATIENCE, start
from tests.ranks import two_ranks


def kept(folder) -> dict[str, object]:
    [checkpoint] = folder.glob("step-*")
    return json.loads((checkpoint / "state.json").read_text())["state"]


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A run that nobody stops, with a cache and without: its folder, its weights, its cache."""

    def ran(folder, cache):
        return folder, weights(tiny_run(data, folder / "whole", cache)[0]), cache

    folders = [tmp_path_factory.mktemp("whole") for _ in range(2)]
    return {False: ran(folders[0], None), True: ran(folders[1], folders[1] / "cache")}


# Of 13 steps an epoch, a checkpoint after every seventh: in the first epoch, at its end, in the second, at the end.
@pytest.mark.parametrize("steps", [[1], [6], [13], [17], [26], [2, 9, 13, 14]])
@pytest.mark.parametrize("cached", [False, True])
def test_stopped_and_resumed_it_is_the_same_curve(data, whole, tmp_path, steps, cached):
    cache = tmp_path / "cache" if cached else None
    undisturbed, expected, full_cache = whole[cached]
    for step in steps:

        def stop(folder=tmp_path / "stopped", step=step) -> bool:
            return (len(losses(folder)) if (folder / "losses.csv").exists() else 0) >= step - 1

        with pytest.raises(StoppedError) as stopped:
            tiny_run(data, tmp_path / "stopped", cache, stop=stop, checkpoint_every=7)
        assert stopped.value.step == kept(tmp_path / "stopped")["step"] == len(losses(tmp_path / "stopped")) == step
        assert kept(tmp_path / "stopped")["steps"] == 26
    resumed, state = tiny_run(data, tmp_path / "stopped", cache)
    assert (tmp_path / "stopped/losses.csv").read_bytes() == (undisturbed / "whole/losses.csv").read_bytes()
    assert state.step == 26
    assert all(torch.equal(value, expected[name]) for name, value in weights(resumed).items())
    if cached:
        files = sorted(path.name for path in full_cache.iterdir())
        assert files
        assert all((cache / name).read_bytes() == (full_cache / name).read_bytes() for name in files)


@pytest.mark.parametrize("during", [False, True])
@pytest.mark.parametrize("epochs", [1, 2])
def test_an_epoch_that_was_not_judged_is_judged_when_the_run_goes_on(data, tmp_path, during, epochs):
    """Asked before the evaluation of the first epoch, or during it; with one epoch nothing but that is left."""
    judged, resumed = [], []

    def go(folder, stopping=False):
        asked = []

        def progress(now) -> None:
            asked.extend([1] if stopping and not during and now.step == 12 else [])

        def evaluate(stage) -> dict[str, float]:
            if stopping:
                asked.append(1)
                raise StoppedError
            judged.append(sum(float(value.double().sum()) for value in weights(stage).values()))
            return {"accuracy": 1.0 / len(judged)}

        hooks = Hooks(progress, evaluate, "accuracy", lambda: bool(asked), lambda state: resumed.append(state.step))
        settings = TrainSettings(epochs=epochs, learning_rate=1e-2, log_every=1, checkpoint_every=7, cpu=True)
        stage = LabelStage(tiny_student())
        return train(stage, open_stream(data), None, folder, settings, hooks), weights(stage)

    with pytest.raises(StoppedError):
        go(tmp_path / "stopped", stopping=True)
    assert (kept(tmp_path / "stopped")["step"], kept(tmp_path / "stopped")["unjudged"], judged) == (13, True, [])
    state, best = go(tmp_path / "stopped")
    seen, judged[:] = list(judged), []
    whole, expected = go(tmp_path / "whole")
    assert seen == judged
    assert len(seen) == epochs
    assert (state.step, state.best_step, state.best_value) == (whole.step, 13, 1.0)
    assert all(torch.equal(value, expected[name]) for name, value in best.items())
    assert resumed == [13]


@pytest.mark.integration
@pytest.mark.parametrize("log_every", [1, 4])
def test_two_processes_stop_after_the_same_step(data, tmp_path, log_every):
    """One of them is asked; it is asked at other times than the other one would look by itself."""
    settings = json.dumps({"log_every": log_every, "checkpoint_every": 1000})
    asked = [{}, {"STOP_AT_CALL": "3"}]
    ranks = [
        start(data, tmp_path / "two", dropout=0.0, SETTINGS=settings, **variables, **more)
        for variables, more in zip(two_ranks(), asked, strict=True)
    ]
    said = [rank.communicate(PATIENCE) for rank in ranks]
    assert [rank.wait(0) for rank in ranks] == [0, 0], said
    step = kept(tmp_path / "two")["step"]
    assert [out for out, _ in said] == [f"{step}\n", f"{step}\n"]
    assert 3 <= step < 13
    again = [start(data, tmp_path / "two", dropout=0.0, SETTINGS=settings, **variables) for variables in two_ranks()]
    assert [rank.wait(PATIENCE) for rank in again] == [0, 0]
    whole = [start(data, tmp_path / "whole", dropout=0.0, SETTINGS=settings, **variables) for variables in two_ranks()]
    assert [rank.wait(PATIENCE) for rank in whole] == [0, 0]
    assert (tmp_path / "two/losses.csv").read_bytes() == (tmp_path / "whole/losses.csv").read_bytes()


def test_a_cache_that_is_being_filled_keeps_what_it_has(data, tmp_path):
    _, teacher = tiny_pair()
    stream = open_stream(data)
    with pytest.raises(StoppedError):
        fill_cache(tiny_targets(teacher, stream, tmp_path / "cache"), stream, stop_at_call("3"))
    rows = [len(np.fromfile(path, INDEX)) for path in (tmp_path / "cache").glob("*.idx")]
    assert sum(rows) == 3 * 8
    fill_cache(tiny_targets(teacher, stream, tmp_path / "cache"), stream)
    fill_cache(tiny_targets(teacher, stream, tmp_path / "whole"), stream)
    assert tiny_targets(teacher, stream, tmp_path / "cache").cache.complete
    for path in (tmp_path / "whole").glob("*.bin"):
        assert (tmp_path / "cache" / path.name).read_bytes() == path.read_bytes()
