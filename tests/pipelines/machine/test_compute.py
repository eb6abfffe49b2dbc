"""Precision and tokens of a pass: what a command decides, records and compares, on CPUs, on GPUs, for a cluster."""

from __future__ import annotations

import json
from threading import get_ident
from types import SimpleNamespace

import pytest
import torch

from augment.candidates import CandidateFinder
from augment.files.find import ModelFiles
from pipelines.augmenting.settings import Compute
from pipelines.augmenting.stages import Stage
from pipelines.engines import EngineSettings
from pipelines.errors import UserError
from pipelines.machine.compute import resolve_compute
from pipelines.machine.precision import training_precision
from tests.pipelines.jobs import done, everything, refused

LOCAL, JOINED = EngineSettings("local", gpu=True), EngineSettings("ray", gpu=True, address="head:6379")
OPEN = Compute("cuda", "auto", None)


@pytest.fixture
def model(tmp_path) -> ModelFiles:
    """A masked LM of which the configuration is there."""
    content = {"hidden_size": 768, "intermediate_size": 3072, "vocab_size": 30_522}
    (tmp_path / "config.json").write_text(json.dumps(content))
    return ModelFiles("masked LM", "bert", tmp_path, None, "")


@pytest.fixture
def card(monkeypatch):
    """Puts a GPU of a compute capability and 16 GB into this machine."""

    def make(major: int) -> None:
        about = SimpleNamespace(major=major, total_memory=16 * 10**9)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: about)
        monkeypatch.setattr("pipelines.machine.compute.gpu_count", lambda: 1)

    return make


@pytest.mark.parametrize(("major", "resolved"), [(7, ("fp16", 65_536)), (8, ("bf16", 65_536))])
@pytest.mark.parametrize("engine", [LOCAL, JOINED], ids=["local", "cluster"])
def test_a_command_decides_by_its_own_card(model, card, major, resolved, engine):
    card(major)
    found = resolve_compute(OPEN, model, engine)
    assert (found.precision, found.batch_tokens) == resolved
    found = resolve_compute(Compute("cuda", "fp32", None, part_tokens=None), model, engine)
    assert (found.precision, found.batch_tokens, found.part_tokens) == ("fp32", 32_768, 2_000_000)
    assert training_precision("auto", "cuda") == {7: "fp32", 8: "bf16"}[major]


def test_what_was_chosen_stays(model, card):
    card(9)
    chosen = Compute("cuda", "tf32", 1000)
    assert resolve_compute(chosen, model, LOCAL) == chosen


def test_a_cluster_whose_cards_are_elsewhere_wants_a_precision(model, monkeypatch):
    monkeypatch.setattr("pipelines.machine.compute.gpu_count", lambda: 0)
    with pytest.raises(UserError, match=r"--precision auto: expected a GPU on this machine.*give --precision bf16"):
        resolve_compute(OPEN, model, JOINED)
    found = resolve_compute(Compute("cuda", "bf16", None), model, JOINED)
    assert (found.precision, found.batch_tokens) == ("bf16", 16_384)


def recorded(folder) -> dict[str, object]:
    return json.loads((folder / "run.json").read_text())["identity"]["settings"]["compute"]


def test_on_a_cpu_auto_is_what_it_always_was(inputs, tmp_path):
    for name, more in (
        ("auto", ()),
        ("named", ("--precision", "fp32", "--batch-tokens", 2048, "--part-tokens", 150_000)),
    ):
        done(*inputs.augment(tmp_path / name, "--device", "cpu", *more))
        settings = {"device": "cpu", "precision": "fp32", "batch_tokens": 2048, "threads": 1, "part_tokens": 150_000}
        assert recorded(tmp_path / name) == settings
    made, named = (everything(tmp_path / name / "augmented" / "data") for name in ("auto", "named"))
    assert made == named


def test_a_run_of_numbers_goes_on_with_auto_and_no_other(inputs, tmp_path):
    named = ("--device", "cpu", "--precision", "fp32", "--batch-tokens", 2048)
    done(*inputs.augment(tmp_path, *named))
    done(*inputs.augment(tmp_path, "--device", "cpu"))
    said = refused(inputs.augment(tmp_path, "--device", "cpu", "--precision", "bf16", "--batch-tokens", 1024))
    assert "--batch-tokens: 2048 there, 1024 now" in said
    assert '--precision (in `run`: --augment-precision): "fp32" there, "bf16" now' in said


@pytest.mark.parametrize("more", [("--workers", 1), ("--workers", 2), ()])
def test_parts_are_those_that_were_asked_for(inputs, tmp_path, more):
    """However many workers there are, and when the run goes on."""
    command = inputs.augment(tmp_path, "--device", "cpu", "--engine", "local", "--part-tokens", 500, *more)
    done(*command)
    bounds = json.loads((tmp_path / "input" / "record.json").read_text())["text_bounds"]
    assert len(bounds) == len({*bounds}) == 14
    assert "--part-tokens: 500 there, 150000 now" in refused(inputs.augment(tmp_path, "--device", "cpu"))
    done(*command)


def test_parts_that_overlap_give_the_same_bytes(inputs, tmp_path, monkeypatch):
    """As on a GPU: one part is read and another one written while the masked LM is at work on a third."""
    small = ("--device", "cpu", "--engine", "local", "--workers", 1, "--part-tokens", 500)
    done(*inputs.augment(tmp_path / "plain", *small))
    threads = set()
    propose = CandidateFinder.propose

    def watched(finder, asked):
        threads.add(get_ident())
        return propose(finder, asked)

    monkeypatch.setattr(CandidateFinder, "propose", watched)
    monkeypatch.setattr(Stage, "overlaps", property(lambda stage: stage.name == "candidates"))
    done(*inputs.augment(tmp_path / "overlapping", *small))
    assert len(threads) > 1
    for stage in ("candidates", "augmented"):
        plain, overlapping = (everything(tmp_path / name / stage / "data") for name in ("plain", "overlapping"))
        assert plain == overlapping


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--batch-tokens", "many"), "--batch-tokens: expected auto or a number of tokens, found 'many'"),
        (("--batch-tokens", "0"), "--batch-tokens: expected a number of at least 1, found 0"),
        (("--precision", "tf32"), "--precision tf32: expected a GPU, found --device cpu; use bf16 or fp32"),
    ],
)
def test_what_is_refused(inputs, tmp_path, more, said):
    assert said in refused(inputs.augment(tmp_path / "out", "--device", "cpu", *more))
    assert not (tmp_path / "out").exists()
