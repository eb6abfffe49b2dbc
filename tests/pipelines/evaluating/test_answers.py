"""Files for the server: refused before anything is predicted, and complete without MNLI's diagnostic set."""

from __future__ import annotations

import zipfile
from contextlib import suppress

import pytest

from pipelines.errors import UserError
from pipelines.evaluating import submission
from pipelines.evaluating.output_files import check_place
from pipelines.evaluating.submission import add_to_archive, read_archive
from pipelines.options.data import DataChoice
from tests.pipelines.evaluating.test_evaluate import write_mnli
from tests.pipelines.jobs import done, refused
from tests.pipelines.training.verbs import evaluate, finetune, run


@pytest.fixture
def nothing_is_predicted(monkeypatch):
    monkeypatch.setattr("distill.evaluation.predict", lambda *_: pytest.fail("predicted before it was refused"))
    monkeypatch.setattr("pipelines.whole_run.run_job.run_augment", lambda *_: pytest.fail("augmented"))


@pytest.mark.parametrize("option", ["--submission", "--predictions", "--json"])
def test_a_folder_that_is_not_there(parts, tmp_path, nothing_is_predicted, option):
    path = tmp_path / "nowhere/deep/glue.csv"
    said = refused(evaluate(parts, parts.teacher, option, path))
    assert f"{option} {path}: expected a folder to write it into, found no {path.parent}" in said
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "taken.csv").mkdir()
    said = refused(evaluate(parts, parts.teacher, option, tmp_path / "taken.csv"))
    assert "expected the name of a file, found a folder" in said


@pytest.mark.parametrize("verb", ["evaluate", "run"])
def test_a_file_that_is_no_archive(parts, tmp_path, nothing_is_predicted, verb):
    thesis = tmp_path / "thesis.zip"
    thesis.write_text("years of work")
    command = evaluate(parts, parts.teacher) if verb == "evaluate" else run(parts, tmp_path / "out")
    assert "expected a zip archive or no file" in refused([*command, "--submission", str(thesis)])
    assert thesis.read_text() == "years of work"


def test_a_run_is_told_before_its_first_stage(parts, tmp_path, nothing_is_predicted):
    out = tmp_path / "out"
    assert "found no" in refused(run(parts, out, "--submission", tmp_path / "nowhere/glue.zip"))
    assert "ends in .csv" in refused(run(parts, out, "--predictions", tmp_path / "dev.xlsx"))
    assert not out.exists()


def test_the_run_s_own_folder_will_be_there(parts, tmp_path):
    out = tmp_path / "runs/sst2"
    for path in (out / "glue.zip", out.parent / "glue.zip", out / "student/glue.zip"):
        check_place("--submission", path, out)
    with pytest.raises(UserError, match="found no"):
        check_place("--submission", out / "deeper/glue.zip", out)
    done(*run(parts, out, "--submission", out / "glue.zip", "--max-steps", 1))
    assert zipfile.ZipFile(out / "glue.zip").namelist() == ["SST-2.tsv"]


def test_a_folder_of_another_user_s(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    for made in (None, tmp_path, tmp_path / "runs"):
        with pytest.raises(UserError, match="expected a folder that can be written to"):
            check_place("--submission", tmp_path / "glue.zip", made)


def test_a_damaged_archive(tmp_path):
    path = tmp_path / "glue.zip"
    add_to_archive(path, {"RTE.tsv": bytes(range(256)) * 40})
    whole = path.read_bytes()
    for place in range(30, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        with suppress(UserError):  # a byte that says nothing may be another
            read_archive(path)
    path.write_bytes(whole[:60] + b"\xff" * 8 + whole[68:])
    with pytest.raises(UserError, match="expected a zip archive or no file"):
        read_archive(path)


def test_mnli_is_answered_without_a_diagnostic_set_that_cannot_be_had(parts, tmp_path, monkeypatch):
    """As from the hub, offline: its other parts are in the cache, this one is not."""
    data = write_mnli(tmp_path / "MNLI")
    done(*finetune(parts, tmp_path / "t", "--task", "mnli", "--data", data, "--max-steps", 1))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    real, archive = submission.find_diagnostic, tmp_path / "mnli.zip"
    monkeypatch.setattr(
        "pipelines.evaluating.submission.find_diagnostic",
        lambda choice, reporter: real(DataChoice(choice.task, None), reporter),
    )
    ran = done(*evaluate(parts, tmp_path / "t", "--task", "mnli", "--data", data, "--submission", archive))
    [said] = [line for line in ran.err.splitlines() if "warning" in line and "diagnostic" in line]
    assert "no diagnostic set, AX.tsv is left out: expected nyu-mll/glue (ax)" in said
    assert "run this command again with --data FOLDER" in said
    assert zipfile.ZipFile(archive).namelist() == ["MNLI-m.tsv", "MNLI-mm.tsv"]
    assert "AX.tsv" in ran.out


def test_the_diagnostic_set_is_of_the_revision_that_was_asked_for(monkeypatch):
    asked = []

    def no_hub(task, revision, _):
        asked.append((task.name, revision))
        raise UserError("not today.")

    class Silent:
        def warning(self, text: str) -> None:
            assert "not today. The other files are complete" in text

    monkeypatch.setattr(submission, "open_hub", no_hub)
    assert submission.find_diagnostic(DataChoice("mnli", revision="abc"), Silent()) is None
    assert asked == [("ax", "abc")]
