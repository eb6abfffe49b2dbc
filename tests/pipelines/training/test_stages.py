"""Fine-tuning and distillation: what is written, what is skipped, what others can load."""

from __future__ import annotations

import csv
import re
import shutil
from dataclasses import replace

import pytest
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, pipeline

from distill.cache_format import CacheContent
from distill.objectives import LabelStage
from pipelines.methods.method import Rows
from pipelines.methods.names import METHODS
from tests.pipelines.jobs import done, everything, refused, tinyaug
from tests.pipelines.training.verbs import distill, finetune, metrics, run_json


@pytest.fixture(scope="module")
def student(parts, tmp_path_factory):
    """A finished distillation; look, don't touch."""
    out = tmp_path_factory.mktemp("distilled") / "student"
    done(*distill(parts, out))
    return out


def curve(folder) -> list[float]:
    return [float(row["loss"]) for row in csv.DictReader((folder / "losses.csv").open())]


def test_models_load_as_pipelines(parts, student):
    for folder in (parts.teacher, student):
        [answer] = pipeline("text-classification", model=str(folder))("a good film")
        assert answer["label"] in ("negative", "positive")
        names = set(load_file(folder / "model.safetensors"))
        assert not any("W_h" in name or "W_e" in name or "projection" in name for name in names)
    assert set(load_file(student / "projections.safetensors")) == {"W_h", "W_e"}
    loaded = AutoModelForSequenceClassification.from_pretrained(student)
    assert loaded.config.id2label == {0: "negative", 1: "positive"}
    assert loaded.config.num_hidden_layers == 2


def test_run_json_and_metrics_tell_everything(parts, student):
    told, found = run_json(student), metrics(student)
    assert told["settings"]["intermediate"]["epochs"] == 2
    assert told["settings"]["intermediate"]["learning_rate"] == 1e-3  # of a random start
    assert told["settings"]["student"]["layer_map"] == told["resolved"]["layer_map"] == [2, 4]
    assert told["resolved"]["cache"]["intermediate"] == "full"
    assert [file["name"] for file in told["inputs"]["train"]] == sorted(p.name for p in parts.train.glob("data/*"))
    assert {"tinyaug", "torch", "transformers"} <= set(told["versions"])
    assert told["command"][:2] == ["tinyaug", "distill"]
    assert 0 <= found["dev"]["validation"]["accuracy"] <= 1
    assert found["teacher_dev"] == metrics(parts.teacher)["dev"]
    assert found["stages"]["intermediate"]["steps"] == len(curve(student / "intermediate")) == 2 * 8
    assert found["stages"]["prediction"]["best_step"] in (8, 16)
    assert not list(student.rglob("step-*"))
    best = max(csv.DictReader((student / "prediction/dev.csv").open()), key=lambda row: float(row["accuracy"]))
    assert float(best["accuracy"]) == found["dev"]["validation"]["accuracy"]


def test_model_card(student):
    card = (student / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert "layer map: 2, 4" in card
    assert f"| validation | accuracy | {metrics(student)['dev']['validation']['accuracy']:.4f} |" in card
    assert 'pipeline("text-classification"' in card


def test_done_stages_are_skipped(parts, student, monkeypatch):
    monkeypatch.setattr("distill.training.train", lambda *_: pytest.fail("something was trained"))
    for folder, command in ((parts.teacher, finetune(parts, parts.teacher, "--epochs", 2, "--lr", 1e-3)),
                            (student, distill(parts, student))):  # fmt: skip
        before = everything(folder)
        assert "everything was done already" in done(*command).out
        assert everything(folder) == before


def test_a_damaged_model_is_made_again(parts, student, tmp_path):
    out = shutil.copytree(student, tmp_path / "student")
    whole = (out / "model.safetensors").read_bytes()
    (out / "model.safetensors").write_bytes(whole[:-10])
    ran = done(*distill(parts, out))
    assert "intermediate: done already" in ran.err
    assert (out / "model.safetensors").read_bytes() == whole


@pytest.mark.parametrize("how", ["cut", "gone", "record"])
def test_a_damaged_student_of_the_first_stage_is_made_again(parts, student, tmp_path, how):
    out = shutil.copytree(student, tmp_path / "student")
    (out / "metrics.json").unlink()
    between = out / "intermediate/student"
    if how == "cut":
        (between / "config.json").write_bytes((between / "config.json").read_bytes()[:-10])
    elif how == "gone":
        (between / "projections.safetensors").unlink()
    else:
        (out / "intermediate/stage.json").write_text("{")
    ran = done(*distill(parts, out))
    assert "damaged, or not all there; the intermediate stage is done again" in " ".join(ran.err.split())
    for name in ("intermediate/student/model.safetensors", "intermediate/losses.csv", "model.safetensors"):
        assert (out / name).read_bytes() == (student / name).read_bytes()
    again = metrics(out)["stages"]["intermediate"]
    assert again == {**metrics(student)["stages"]["intermediate"], "seconds": again["seconds"]}


def test_other_settings_are_refused_by_name(parts, student):
    before = everything(student)
    ran = tinyaug(*distill(parts, student, "--lr-prediction", 3e-5))
    assert ran.code == 2
    assert "--lr-prediction: 0.001 there, 3e-05 now" in ran.err
    assert everything(student) == before


def test_overwrite_starts_afresh(parts, tmp_path):
    done(*finetune(parts, tmp_path / "t", "--max-steps", 1))
    done(*finetune(parts, tmp_path / "t", "--max-steps", 2, "--overwrite"))
    assert metrics(tmp_path / "t")["steps"] == 2


def test_a_refused_overwrite_deletes_nothing(parts, tmp_path):
    """A row that is wrong shows when rows are read."""
    out, data = tmp_path / "t", shutil.copytree(parts.data, tmp_path / "SST-2")
    done(*finetune(parts, out, "--max-steps", 1))
    before = everything(out)
    (data / "train.tsv").write_text((data / "train.tsv").read_text() + "no label\n")
    assert "train.tsv, line" in refused(finetune(parts, out, "--max-steps", 1, "--data", data, "--overwrite"))
    assert everything(out) == before


@pytest.mark.parametrize("begun", [True, False])
def test_what_a_killed_overwrite_had_moved_is_given_back(parts, tmp_path, begun):
    """Killed after all was moved and another run was begun, or while it was moved."""
    out = tmp_path / "t"
    done(*finetune(parts, out, "--max-steps", 1))
    before = everything(out)
    (out / ".previous").mkdir()
    moved = [path for path in out.iterdir() if path.name not in (".lock", ".previous")]
    for path in moved if begun else [path for path in moved if path.name != "run.json"][:2]:
        path.rename(out / ".previous" / path.name)
    if begun:
        (out / "data").mkdir()
        (out / "run.json").write_text((out / ".previous/run.json").read_text())
    assert "everything was done already" in done(*finetune(parts, out, "--max-steps", 1)).out
    assert everything(out) == before


def test_cache_or_not_the_student_learns_the_same(parts, student, tmp_path):
    done(*distill(parts, tmp_path / "off", "--cache", "off"))
    assert not (tmp_path / "off/teacher_cache").exists()
    for stage in ("intermediate", "prediction"):
        assert curve(tmp_path / "off" / stage) == pytest.approx(curve(student / stage), rel=2e-3)


def test_cache_made_ahead_gives_the_same_losses(parts, student, tmp_path):
    cache = tmp_path / "cache"
    ahead = ["cache-teacher", *distill(parts, cache)[1:]]
    for option in ("--epochs-intermediate", "--epochs-prediction"):
        place = ahead.index(option)
        del ahead[place : place + 2]
    assert "rows" in done(*ahead).out
    assert "everything was done already" in done(*ahead).out
    before = everything(cache / "full")
    done(*distill(parts, tmp_path / "student", "--cache-dir", cache))
    assert everything(cache / "full") == before
    assert curve(tmp_path / "student/intermediate") == curve(student / "intermediate")
    assert (tmp_path / "student/model.safetensors").read_bytes() == (student / "model.safetensors").read_bytes()


def test_few_steps_keep_no_cache_that_never_fills(parts, tmp_path):
    ran = done(*distill(parts, tmp_path / "s", "--max-steps", 3))
    assert run_json(tmp_path / "s")["resolved"]["cache"]["intermediate"] == "off"
    assert "what never fills is never read" in ran.err
    assert {stage: told["steps"] for stage, told in metrics(tmp_path / "s")["stages"].items()} == {
        "intermediate": 3,
        "prediction": 3,
    }


def test_a_stage_can_be_left_out(parts, tmp_path):
    done(*distill(parts, tmp_path / "a", "--epochs-intermediate", 0, "--max-steps", 2))
    assert set(metrics(tmp_path / "a")["stages"]) == {"prediction"}
    done(*distill(parts, tmp_path / "b", "--epochs-prediction", 0, "--losses", "hidden", "--max-steps", 2))
    assert set(metrics(tmp_path / "b")["stages"]) == {"intermediate"}
    header = (tmp_path / "b/intermediate/losses.csv").read_text().splitlines()[0]
    assert header.endswith("loss,hidden")
    ran = tinyaug(*distill(parts, tmp_path / "c", "--epochs-prediction", 0, "--epochs-intermediate", 0))
    assert (ran.code, "0 epochs" in ran.err) == (2, True)


def test_a_student_goes_on_from_a_folder_and_from_teacher_layers(parts, student, tmp_path):
    done(*distill(parts, tmp_path / "a", "--student-init", student, "--max-steps", 2))
    assert metrics(tmp_path / "a")["parameters"] == metrics(student)["parameters"]
    same_width = tmp_path / "half.json"
    same_width.write_text((parts.encoder / "config.json").read_text().replace('hidden_layers": 4', 'hidden_layers": 2'))
    done(*distill(parts, tmp_path / "b", "--student", same_width, "--student-init", "teacher-layers", "--max-steps", 2))
    assert metrics(tmp_path / "b")["layer_map"] == [2, 4]


def test_without_shards_the_student_learns_from_the_train_part(parts, tmp_path):
    command = distill(parts, tmp_path / "s", "--max-steps", 2)
    place = command.index("--train")
    del command[place : place + 2]
    done(*command)
    assert metrics(tmp_path / "s")["stages"]["prediction"]["rows"] == 60


def mix(monkeypatch, kept=None):
    """Makes `tinybert` a method that learns predictions from augmented rows, then labels from the original ones."""
    tinybert = METHODS["tinybert"]

    def build(request):
        method = tinybert.build(request)
        predictions = replace(method.stages[1], name="intermediate", folder="intermediate", recipe=request.intermediate)
        labels = replace(method.stages[1], objective=lambda student, _: LabelStage(student.model), kept=kept)
        return replace(method, stages=(predictions, replace(labels, rows=Rows.ORIGINAL, labelled=True)))

    monkeypatch.setitem(METHODS, "tinybert", replace(tinybert, build=build))


def test_stages_on_different_rows(parts, monkeypatch, tmp_path):
    mix(monkeypatch)
    data = shutil.copytree(parts.data, tmp_path / "data")
    command = distill(parts, tmp_path / "s", "--data", data)
    done(*command)
    assert {name: stage["rows"] for name, stage in metrics(tmp_path / "s")["stages"].items()} == {
        "intermediate": 240, "prediction": 60
    }  # fmt: skip
    assert "everything was done already" in done(*command).out
    text = (data / "train.tsv").read_text()
    (data / "train.tsv").write_text(text.replace("\t0\n", "\t1\n"))
    size = (data / "train.tsv").stat().st_size
    assert f"content of the input file train.tsv ({size:,} bytes as before)" in refused(command)


def test_the_rows_of_each_stage_are_told(parts, monkeypatch, tmp_path):
    mix(monkeypatch)
    said = done(*distill(parts, tmp_path / "s", "--train-rows", 20, "--max-steps", 1)).err
    [counts] = re.findall(r"classes of train: negative (\d+), positive (\d+)", said)
    assert sum(map(int, counts)) == 20


def test_caches_of_different_rows_share_the_budget(parts, monkeypatch, tmp_path):
    mix(monkeypatch, CacheContent.LOGITS)
    command = distill(parts, tmp_path / "s", "--cache", "logits", "--cache-budget")
    assert "other records" in refused([*command, "6KB"])
    done(*command, "20KB")
    told = run_json(tmp_path / "s")["resolved"]["cache"]
    assert (told["intermediate"], told["prediction"]) == ("logits", "logits")


def test_a_verb_refuses_stages_on_rows_that_it_lacks(parts, monkeypatch, tmp_path):
    tinybert = METHODS["tinybert"]

    def build(request):
        method = tinybert.build(request)
        return replace(method, stages=tuple(replace(stage, rows=Rows.CORPUS) for stage in method.stages))

    monkeypatch.setitem(METHODS, "tinybert", replace(tinybert, build=build))
    said = refused(distill(parts, tmp_path / "s"))
    assert "stages read augmented or original rows in `tinyaug distill`, found intermediate of corpus rows" in said


def test_random_subset(parts, tmp_path):
    done(*distill(parts, tmp_path / "s", "--train-rows", 50))
    assert metrics(tmp_path / "s")["stages"]["intermediate"]["rows"] == 50
    done(*finetune(parts, tmp_path / "t", "--train-rows", 20, "--epochs", 1))
    assert metrics(tmp_path / "t")["rows"] == 20


def test_a_loss_that_is_not_finite_can_be_put_right(parts, tmp_path, monkeypatch):
    def with_broken_gradient(losses):
        stacked = losses["labels"][None]
        stacked.register_hook(lambda gradient: gradient * float("nan"))
        return stacked

    with monkeypatch.context() as patched:
        patched.setattr("distill.step.stacked_losses", with_broken_gradient)
        ran = tinyaug(*finetune(parts, tmp_path / "t", "--max-steps", 2))
    assert (ran.code, "Give another --out, or --overwrite" in ran.err) == (1, True)
    assert "finite gradients; found nan in step 1" in ran.err
    done(*finetune(parts, tmp_path / "t", "--max-steps", 2, "--lr", 1e-6, "--overwrite"))
