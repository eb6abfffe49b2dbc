"""The folder of the teacher caches: what lies there is used, counted, rebuilt or refused before anything is trained."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from types import SimpleNamespace

import pytest
from safetensors.torch import load_file, save_file

from distill import teacher_cache
from tests.pipelines.jobs import done, everything, refused
from tests.pipelines.training.verbs import ahead, distill, general, run_json


@pytest.fixture(scope="module")
def cache(parts, tmp_path_factory):
    """A full cache made ahead; look, don't touch."""
    folder = tmp_path_factory.mktemp("ahead") / "cache"
    done(*ahead(parts, folder))
    return folder


@pytest.fixture
def other_teacher(parts, tmp_path):
    folder = shutil.copytree(parts.teacher, tmp_path / "other")
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"] += 1
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def shard_names(folder) -> set[str]:
    return {path.name.split(".")[0] for path in folder.glob("*.bin")}


def test_other_rows_are_refused_and_made_when_asked(parts, tmp_path):
    cache = tmp_path / "cache"
    done(*ahead(parts, cache, "--train-rows", 50))
    before = everything(cache)
    assert "--seed: 42 there, 7 now" in refused(ahead(parts, cache, "--train-rows", 50, "--seed", 7))
    assert "input files: train.tsv is new" in refused(ahead(parts, cache, "--train-rows", 50, train=False))
    assert "--rebuild-cache" in refused(ahead(parts, cache, "--max-length", 16))
    assert everything(cache) == before
    old = shard_names(cache / "full")
    ran = done(*ahead(parts, cache, "--train-rows", 50, "--seed", 7, "--rebuild-cache"))
    assert "everything was done already" not in ran.out
    assert len(shard_names(cache / "full")) == 1
    assert not shard_names(cache / "full") & old


def test_a_folder_of_something_else(parts, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    for more in ((), ("--rebuild-cache",)):
        assert "thesis.txt" in refused(ahead(parts, tmp_path / "mine", *more))
    assert everything(tmp_path / "mine") == {"thesis.txt": b"years of work"}
    assert "a run of `tinyaug finetune`" in refused(ahead(parts, parts.teacher))


def test_several_processes(parts, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "expected one process, found 2; start it without torchrun" in refused(ahead(parts, tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("mode", ["auto", "full"])
def test_a_cache_made_ahead_is_used_whatever_the_budget(parts, cache, tmp_path, mode):
    before = everything(cache)
    done(*distill(parts, tmp_path / "s", "--cache-dir", cache, "--cache", mode, "--cache-budget", "1kB"))
    resolved = run_json(tmp_path / "s")["resolved"]["cache"]
    assert (resolved["intermediate"], resolved["prediction"], resolved["bytes"]) == ("full", "full", 0)
    assert resolved["words"].endswith("made ahead")
    assert everything(cache) == before


def test_a_cache_goes_on_though_it_has_eaten_the_disk(parts, cache, tmp_path, monkeypatch):
    """Half of what was free is less than what is left to do, and less than the cache."""
    half = shutil.copytree(cache, tmp_path / "cache")
    for name in sorted(shard_names(half / "full"))[1:]:
        (half / "full" / f"{name}.json").unlink()
    (half / "metrics.json").unlink()
    size = sum(path.stat().st_size for path in (half / "full").glob("*.bin"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=size // 3))
    done(*ahead(parts, half))
    assert everything(half / "full") == everything(cache / "full")
    (half / "run.json").unlink()  # decided anew, as by a distillation: half the disk without the cache would hold it
    free = int(1.2 * size)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    name = min(shard_names(half / "full"))
    (half / "full" / f"{name}.json").unlink()
    command = distill(parts, tmp_path / "s", "--cache-dir", half, "--dry-run")
    assert "teacher cache: full" in done(*command).out


def test_records_of_other_data_count(parts, cache, tmp_path):
    """The budget holds one cache, not two."""
    size = sum(path.stat().st_size for path in (cache / "full").iterdir())
    shared = shutil.copytree(cache, tmp_path / "cache")
    command = distill(parts, tmp_path / "s", "--cache-dir", shared, "--cache-budget", str(int(1.2 * size)))
    at = command.index("--train")
    del command[at : at + 2]
    done(*command)
    resolved = run_json(tmp_path / "s")["resolved"]["cache"]
    assert resolved["intermediate"] == "logits"
    assert "of which other records there take" in resolved["words"]


def test_rebuilding_drops_all_that_lies_there(parts, cache, tmp_path):
    shared = shutil.copytree(cache, tmp_path / "cache")
    old = {path: path.stat().st_mtime_ns for path in (shared / "full").glob("*.bin")}
    done(*distill(parts, tmp_path / "same", "--cache-dir", shared, "--rebuild-cache"))
    assert {path.name for path in old} == {path.name for path in (shared / "full").glob("*.bin")}
    assert all(path.stat().st_mtime_ns > then for path, then in old.items())
    command = distill(parts, tmp_path / "own", "--cache-dir", shared, "--rebuild-cache")
    at = command.index("--train")
    del command[at : at + 2]
    done(*command)
    assert len(shard_names(shared / "full")) == 1


def test_a_foreign_cache_of_the_second_stage_is_met_before_the_first(parts, other_teacher, tmp_path, monkeypatch):
    shared = tmp_path / "cache"
    done(*ahead(parts, shared, "--cache", "logits", "--teacher", other_teacher))
    before = everything(shared)
    monkeypatch.setattr("distill.training.train", lambda *_: pytest.fail("something was trained"))
    few = ("--max-steps", 3, "--batch-size-intermediate", 8, "--batch-size-prediction", 256)
    said = refused(distill(parts, tmp_path / "s", "--cache-dir", shared, *few))
    assert "found one with teacher" in said
    assert everything(shared) == before
    assert not [path for path in (tmp_path / "s").rglob("*") if path.name != ".lock"]


def test_a_cache_is_checked_once(parts, cache, tmp_path, monkeypatch):
    hashed: Counter[str] = Counter()
    real = teacher_cache._sha256

    def counted(path):
        hashed[path.name] += 1
        return real(path)

    monkeypatch.setattr(teacher_cache, "_sha256", counted)
    done(*distill(parts, tmp_path / "s", "--cache-dir", cache))
    assert hashed
    assert set(hashed.values()) == {1}


def test_a_dry_run_beside_a_cache_plans_what_would_be_done(parts, tmp_path):
    cache = tmp_path / "cache"
    done(*ahead(parts, cache, "--cache", "logits"))
    before = everything(cache)
    for more, said in (
        (("--cache", "full"), '--cache: "logits" there, "full" now'),
        (("--cache", "logits", "--train-rows", 10), "--train-rows: null there, 10 now"),
        (("--cache", "logits", "--max-length", 16), "--max-length: 32 there, 16 now"),
    ):
        assert said in refused(ahead(parts, cache, *more, "--dry-run"))
        assert refused(ahead(parts, cache, *more)) == refused(ahead(parts, cache, *more, "--dry-run"))
    assert "teacher cache: logits" in done(*ahead(parts, cache, "--cache", "logits", "--dry-run")).out
    afresh = ahead(parts, cache, "--cache", "full", "--rebuild-cache", "--dry-run")
    new = ahead(parts, tmp_path / "new", "--cache", "full", "--dry-run")
    afresh, new = (done(*command).out for command in (afresh, new))
    assert "teacher cache: full" in afresh
    for line in ("teacher cache:", "disk:"):
        assert [text for text in afresh.splitlines() if line in text] == [
            text for text in new.splitlines() if line in text
        ]
    assert everything(cache) == before


def test_logits_have_a_budget_too(parts, cache, tmp_path):
    small = ("--cache", "logits", "--cache-budget", "100")
    said = "--cache-budget: expected at least 5.8 kB for --cache logits, found 100 B; raise it, or choose auto or off"
    for command in (distill(parts, tmp_path / "new", *small), ahead(parts, tmp_path / "new", *small)):
        assert said in refused(command)
        assert said in refused([*command, "--dry-run"])
    assert not (tmp_path / "new").exists()
    few = ("--max-steps", 1)
    done(*distill(parts, tmp_path / "auto", "--cache-budget", "100", "--epochs-intermediate", 0, *few))
    logits = tmp_path / "logits"
    done(*ahead(parts, logits, "--cache", "logits", "--cache-budget", "10kB"))
    done(*distill(parts, tmp_path / "ahead", "--cache-dir", logits, *small, *few))


def test_a_full_cache_beyond_its_budget(parts, corpus, cache, tmp_path):
    small = ("--cache", "full", "--cache-budget", "1kB")
    for less, command in (
        ("logits", distill(parts, tmp_path / "new", *small)),
        ("logits", ahead(parts, tmp_path / "new", *small)),
        ("off", general(parts, corpus, tmp_path / "general", *small)),
    ):
        said = refused(command)
        assert said.startswith("tinyaug: error: --cache full: expected a cache within 1.0 kB; a full one takes about ")
        assert said.endswith(f"B; raise --cache-budget, or choose --cache auto or {less}")
    command = distill(parts, tmp_path / "new", "--cache-dir", cache, *small)
    at = command.index("--train")
    del command[at : at + 2]
    said = refused(command)
    assert ", and other records there " in said
    assert said.endswith("; raise --cache-budget, choose another --cache-dir, or choose --cache auto or logits")
    assert not (tmp_path / "new").exists()
    assert (tmp_path / "general" / "corpus.json").exists()  # the work of hours where the corpus is large


def test_sizes_are_the_same_wherever_they_stand(parts, tmp_path):
    said = done(*ahead(parts, tmp_path / "new", "--cache", "full", "--dry-run")).out
    [taken] = re.findall(r"hidden states (.*?), budget", said)
    assert f"disk: caches {taken}\n" in said


def test_a_run_that_goes_on_says_that_it_keeps_its_cache(parts, tmp_path):
    out = tmp_path / "s"
    command = distill(parts, out, "--rebuild-cache", "--epochs-prediction", 1)
    said = "--rebuild-cache: nothing was emptied, for this run began before"
    assert said not in done(*command).err
    before = everything(out / "teacher_cache/full")
    assert said in " ".join(done(*command).err.split())
    (out / "metrics.json").unlink()
    assert said in " ".join(done(*command).err.split())
    assert everything(out / "teacher_cache/full") == before
    assert said not in " ".join(done(*command, "--overwrite").err.split())


def test_a_general_run_says_so_too(parts, corpus, tmp_path):
    command = general(parts, corpus, tmp_path / "g", "--rebuild-cache", "--max-steps", 1)
    said = "--rebuild-cache: nothing was emptied"
    assert said not in done(*command).err
    assert said in " ".join(done(*command).err.split())


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        (["--epochs-intermediate", 1], "logits"),
        (["--epochs-intermediate", 2], "full"),
        (["--epochs-intermediate", 1, "--cache", "full"], "full"),
        (["--epochs-intermediate", 1, "--cache-dir", "named"], "full"),  # for other runs, too
    ],
)
def test_layers_that_are_seen_once_are_not_kept(parts, tmp_path, monkeypatch, more, kept):
    monkeypatch.chdir(tmp_path)
    ran = done(*distill(parts, tmp_path / "s", "--epochs-prediction", 1, *more))
    assert run_json(tmp_path / "s")["resolved"]["cache"]["intermediate"] == kept
    folder = tmp_path / ("named" if "named" in more else "s/teacher_cache")
    assert [path.name for path in folder.glob("[!.]*")] == [kept]
    assert ("sees no row twice, and what is never read is not kept" in ran.err) == (kept == "logits")
    assert next((folder / kept).glob("*.bin")).stat().st_size > 0
