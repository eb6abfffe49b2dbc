"""A cache holds what the losses use of the layers, and no more; one that holds more serves them, too."""

from __future__ import annotations

import json

import pytest

from distill import timing
from pipelines.teacher_cache import speed
from tests.pipelines.jobs import done, everything, refused
from tests.pipelines.training.verbs import ahead, distill, general, run_json

FEW = ("--train-rows", 20, "--epochs-prediction", 1)


def kept_in(folder) -> list[str]:
    """Folders of caches with records."""
    return sorted({path.parent.name for path in folder.glob("*/*.bin")})


@pytest.mark.parametrize(
    ("losses", "kept"), [("embedding,hidden", "hidden"), ("attention", "scores"), ("embedding", "logits")]
)
def test_of_distillation(parts, tmp_path, losses, kept):
    out = tmp_path / "s"
    done(*distill(parts, out, "--losses", losses, *FEW))
    assert kept_in(out / "teacher_cache") == [kept]
    assert run_json(out)["resolved"]["cache"]["intermediate"] == kept
    key = json.loads((out / "teacher_cache" / kept / "cache.json").read_text())
    assert (key["heads"] > 0, key["width"] > 0) == (kept == "scores", kept == "hidden")


def test_of_general_distillation(parts, corpus, tmp_path):
    done(*general(parts, corpus, tmp_path / "g", "--losses", "embedding,hidden", "--max-steps", 40, "--epochs", 2))
    assert kept_in(tmp_path / "g/teacher_cache") == ["hidden"]
    said = done(*general(parts, corpus, tmp_path / "e", "--losses", "embedding", "--max-steps", 1)).err
    assert "off (the embedding loss uses nothing that a cache keeps)" in " ".join(said.split())
    said = refused(general(parts, corpus, tmp_path / "f", "--losses", "embedding", "--cache", "full"))
    assert "--cache full: expected a loss of attention or hidden states" in said


def test_the_soft_loss_reads_hidden_states(parts, corpus, tmp_path):
    more = ("--losses", "attention", "--mlm-soft", 1, "--cache", "full", "--max-steps", 2)
    done(*general(parts, corpus, tmp_path / "g", *more))
    assert run_json(tmp_path / "g")["resolved"]["cache"]["content"] == "full"


def test_a_cache_of_all_states_serves_fewer_losses(parts, tmp_path):
    done(*ahead(parts, tmp_path / "cache", "--train-rows", 20))
    before = everything(tmp_path / "cache")
    more = ("--cache-dir", tmp_path / "cache", "--losses", "embedding,hidden", *FEW)
    done(*distill(parts, tmp_path / "shared", *more))
    assert run_json(tmp_path / "shared")["resolved"]["cache"]["intermediate"] == "full"
    assert everything(tmp_path / "cache") == before
    done(*distill(parts, tmp_path / "own", *more[2:]))
    curve = "intermediate/losses.csv"
    assert (tmp_path / "shared" / curve).read_text().splitlines()[0].count(",") == 6
    assert (tmp_path / "own" / curve).read_text().splitlines()[0].count(",") == 6


def test_other_layer_maps_share_a_cache_of_logits(parts, tmp_path):
    for name, layers in (("a", "uniform"), ("b", "1,3")):
        more = ("--cache", "logits", "--cache-dir", tmp_path / "cache", "--layer-map", layers, *FEW)
        done(*distill(parts, tmp_path / name, *more))
    assert len(list((tmp_path / "cache/logits").glob("*.bin"))) == 1


def test_a_fast_teacher_runs_again_unless_reading_is_measured_to_be_faster(parts, tmp_path, monkeypatch):
    """As on a GPU; what was measured first holds for resumes."""
    reads = {"slow": 1.0, "fast": 1e-9}
    measured = []
    monkeypatch.setattr(speed, "is_fast", lambda _: True)
    for name, seconds in reads.items():
        monkeypatch.setattr(timing, "reading_cost", lambda *_, seconds=seconds: measured.append(seconds) or seconds)
        done(*distill(parts, tmp_path / name, *FEW))
    assert kept_in(tmp_path / "slow/teacher_cache") == ["logits"]
    assert kept_in(tmp_path / "fast/teacher_cache") == ["full"]
    told = run_json(tmp_path / "slow")["resolved"]["cache"]
    assert (told["intermediate"], told["prediction"]) == ("logits", "logits")
    assert "an example takes 1000000 µs to read, " in told["words"]
    (tmp_path / "slow/metrics.json").unlink()
    (tmp_path / "slow/model.safetensors").unlink()
    done(*distill(parts, tmp_path / "slow", *FEW))
    assert measured == [*reads.values()]
    more = ("--epochs-prediction", 0, "--train-rows", 20)
    monkeypatch.setattr(timing, "reading_cost", lambda *_: 1.0)
    done(*distill(parts, tmp_path / "alone", *more))
    assert not (tmp_path / "alone/teacher_cache").exists()
    done(*distill(parts, tmp_path / "asked", *more, "--cache", "full"))
    assert kept_in(tmp_path / "asked/teacher_cache") == ["full"]
