"""Another run's cache: refused by plans as by what they plan, and spoken of where none is used."""

from __future__ import annotations

import shutil

import pytest

from tests.pipelines.jobs import done, everything, refused
from tests.pipelines.training.verbs import ahead, distill, general, run


@pytest.fixture(scope="module")
def shorter(parts, tmp_path_factory):
    """A cache of texts cut elsewhere; look, don't touch."""
    folder = tmp_path_factory.mktemp("foreign") / "cache"
    done(*ahead(parts, folder, "--max-length", 16))
    return folder


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
def test_it_is_refused(parts, shorter, tmp_path, dry_run):
    before = everything(shorter)
    said = refused(distill(parts, tmp_path / "s", "--cache-dir", shorter, *dry_run))
    assert (
        f"{shorter}/full: expected the cache of this run, found one with max_length 16, now 32 (--max-length)" in said
    )
    assert "choose another --cache-dir, or make it anew with --rebuild-cache" in said
    assert everything(shorter) == before
    assert not (tmp_path / "s/run.json").exists()


def test_a_plan_that_rebuilds_it(parts, shorter, tmp_path):
    before = everything(shorter)
    done(*distill(parts, tmp_path / "s", "--cache-dir", shorter, "--rebuild-cache", "--dry-run"))
    assert everything(shorter) == before


def test_a_folder_with_other_files(parts, tmp_path):
    (tmp_path / "mine/full").mkdir(parents=True)
    (tmp_path / "mine/full/thesis.txt").write_text("years of work")
    for more in ((), ("--rebuild-cache",)):
        said = refused(distill(parts, tmp_path / "s", "--cache-dir", tmp_path / "mine", *more, "--dry-run"))
        assert "found other files; choose another --cache-dir" in said


@pytest.fixture
def nothing_augmented(monkeypatch):
    monkeypatch.setattr("pipelines.whole_run.run_job.run_augment", lambda *_: pytest.fail("a stage was begun"))


@pytest.mark.parametrize(
    ("there", "more"),
    [
        ("full/thesis.txt", ()),
        ("full", ("--cache", "full")),
        ("logits/thesis.txt", ("--cache", "logits", "--max-steps", 3)),
        ("logits/thesis.txt", ("--epochs-intermediate", 0)),
    ],
)
def test_a_run_refuses_it_before_its_first_stage(parts, tmp_path, nothing_augmented, there, more):
    place = tmp_path / "mine" / there
    place.parent.mkdir(parents=True)
    place.write_text("years of work")
    for verb in (run, distill):
        said = refused(verb(parts, tmp_path / "new", "--cache-dir", tmp_path / "mine", *more))
        folder = tmp_path / "mine" / there.split("/")[0]
        assert f"{folder}: expected an empty folder or a teacher cache, found other files; choose another" in said
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("there", ["full", "logits"])
def test_a_run_refuses_another_runs_cache_before_its_first_stage(parts, shorter, tmp_path, nothing_augmented, there):
    cache = tmp_path / "cache"
    shutil.copytree(shorter / "full", cache / there)
    said = refused(run(parts, tmp_path / "new", "--cache-dir", cache))
    assert f"{cache / there}: expected the cache of this run, found one with max_length 16, now 32" in said
    assert "(--max-length); choose another --cache-dir, or make it anew with --rebuild-cache" in said
    assert not (tmp_path / "new").exists()


def test_a_run_minds_no_files_where_it_will_keep_nothing(parts, tmp_path):
    out, cache = tmp_path / "run", tmp_path / "mine"
    (cache / "full").mkdir(parents=True)
    (cache / "full/thesis.txt").write_text("years of work")
    done(*run(parts, out, "--cache-dir", cache, "--max-steps", 1))
    command = run(parts, tmp_path / "other", "--cache-dir", cache, "--epochs-intermediate", 0)
    done(*command)
    (cache / "logits/cache.json").unlink()  # nothing of a finished run is read
    assert "everything was done already" in done(*command).out


def test_one_that_is_swapped_for_another_while_a_run_stands_still(parts, shorter, tmp_path):
    cache, command = tmp_path / "cache", distill(parts, tmp_path / "s", "--cache-dir", tmp_path / "cache")
    done(*command)
    (tmp_path / "s/metrics.json").unlink()
    shutil.rmtree(cache)
    shutil.copytree(shorter, cache)
    assert "or make it anew with --rebuild-cache" in refused(command)


def test_of_general_distillation(parts, corpus, shorter, tmp_path):
    command = general(parts, corpus, tmp_path / "g", "--cache-dir", shorter, "--cache", "full")
    for dry_run in ((), ("--dry-run",)):
        assert "choose another --cache-dir" in refused([*command, *dry_run])


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
def test_a_cache_that_turns_itself_off(parts, shorter, tmp_path, dry_run):
    ran = done(*distill(parts, tmp_path / "s", "--cache-dir", shorter, "--max-steps", 3, *dry_run))
    said = " ".join((ran.out + ran.err).split())
    assert "teacher cache: off, for each stage ends before it has seen all rows once, and what never" in said


def test_the_words_of_one_that_is_half_off(parts, tmp_path):
    few = ("--max-steps", 1, "--batch-size-intermediate", 8, "--batch-size-prediction", 256, "--dry-run")
    said = done(*distill(parts, tmp_path / "s", *few)).out
    assert "teacher cache: logits for the prediction stage (5.8 kB), none for the intermediate stage: it ends" in said
    said = done(*distill(parts, tmp_path / "s", "--epochs-prediction", 0, "--max-steps", 1, "--dry-run")).out
    assert "the intermediate stage sees no row twice, and what is never read is not kept" in said
