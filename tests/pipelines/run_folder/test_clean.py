"""What `tinyaug clean` deletes, and what it never does."""

from __future__ import annotations

import shutil

import pytest

from pipelines.run_folder.lock import only_writer
from pipelines.run_folder.storage import Storage
from tests.pipelines.jobs import done, everything, refused

MADE_AGAIN = ("teacher_cache/logits/rows.npy", "student/tokens/ids.bin", "student/.partial/export/x", ".partial/half")


@pytest.fixture
def run(finished, tmp_path):
    """A run with a student that was begun, and 100 bytes in each folder that can be made again."""
    run = shutil.copytree(finished, tmp_path / "run")
    for name in ("student/run.json", "student/prediction/step-10/state.json", "elsewhere/teacher_cache/x"):
        (run / name).parent.mkdir(parents=True)
        (run / name).write_text('{"tinyaug": "0.1.0", "kind": "distill"}')
    for name in MADE_AGAIN:
        (run / name).parent.mkdir(parents=True)
        (run / name).write_bytes(b"x" * 100)
    return run


def test_results_stay(run):
    before = everything(run)
    listed = done("clean", run, "--dry-run").out
    assert "400 B would be deleted; nothing was" in listed
    assert [line.split()[-1] for line in listed.splitlines()[:-1]] == [
        str(run / name) for name in ("teacher_cache", ".partial", "student/tokens", "student/.partial")
    ]
    assert everything(run) == before
    assert done("clean", run).out.splitlines()[-1] == "400 B deleted"
    gone = {name for name, _ in before.items() - everything(run).items() if not name.endswith(".lock")}
    assert gone == {*MADE_AGAIN}
    assert "0 B deleted" in done("clean", run).out


def test_what_cache_teacher_made_stays(run):
    (run / "student/run.json").write_text('{"tinyaug": "0.1.0", "kind": "cache-teacher"}')
    shutil.move(run / "teacher_cache", run / "student/teacher_cache")
    done("clean", run / "student")
    assert (run / "student/teacher_cache/logits/rows.npy").exists()


def test_other_folders_are_refused(run, tmp_path):
    assert "found none; nothing was deleted" in refused(["clean", str(tmp_path)])
    (run / "run.json").write_text('{"name": "mine"}')
    refused(["clean", str(run)])
    assert all((run / name).exists() for name in MADE_AGAIN)


@pytest.mark.parametrize("at_work", ["", "student"])
def test_a_folder_in_which_a_job_works_is_refused(run, at_work):
    with only_writer(Storage(str(run / at_work))):
        for more in ([], ["--dry-run"]):
            assert refused(["clean", str(run), *more]).endswith("at work on it; wait for it")
    assert (run / "teacher_cache/logits/rows.npy").exists()
