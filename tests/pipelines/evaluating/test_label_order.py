"""Teachers whose labels come in another order than the data's classes."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file
from transformers import BertConfig

from augment.files.find import ModelFiles
from pipelines.errors import UserError
from pipelines.evaluating.label_order import refuse_unordered
from pipelines.tasks import Label, Task
from pipelines.tasks.features import METADATA_KEY, features_metadata
from pipelines.training.parts import TaskData
from tests.fixtures import save_tiny_masked_lm
from tests.pipelines.jobs import custom_task, done, everything, refused, tinyaug
from tests.pipelines.training.verbs import distill, evaluate, finetune, metrics, run

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("billing", "delivery", "technical")
WORDS = ("cat", "dog", "bird")
OTHERS = ("film", "movie", "story", "plot", "scene", "actor", "music", "red", "green", "blue")
SHIFTED = ("technical", "billing", "delivery")  # as a teacher of other hands may have them: output 0 is technical


@pytest.fixture(scope="session")
def support(tmp_path_factory, parts):
    """A task of three classes that one word tells apart, and a teacher that has learnt it; look, don't touch."""
    folder = tmp_path_factory.mktemp("support")
    (folder / "data").mkdir()
    for part in ("train", "dev"):
        named = [(f"{word} {other}", name) for other in OTHERS for word, name in zip(WORDS, NAMES, strict=True)]
        task = custom_task(folder / f"data/{part}.csv", named)
    options = (*task[:2], "--data", folder / "data", *task[4:])
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    encoder = save_tiny_masked_lm(folder / "encoder", num_hidden_layers=4, **still)
    done(*finetune(parts, folder / "teacher", *options, "--model", encoder, "--epochs", 10, "--lr", 2e-3))
    assert metrics(folder / "teacher")["dev"]["validation"]["accuracy"] > 0.9
    return folder, options


def permuted(folder: Path, out: Path, order: tuple[int, ...], names: tuple[str, ...] | None) -> Path:
    """The teacher with output order[i] as its output i, and with other names of its outputs; None for no names."""
    shutil.copytree(folder / "teacher", out)
    weights = load_file(out / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        weights[name] = weights[name][list(order)].contiguous()
    save_file(weights, out / "model.safetensors", {"format": "pt"})
    content = json.loads((out / "config.json").read_text())
    names = names or tuple(f"LABEL_{number}" for number in range(3))
    content["id2label"] = dict(enumerate(names))
    content["label2id"] = {name: number for number, name in enumerate(names)}
    (out / "config.json").write_text(json.dumps(content))
    return out


def outputs(model: Path) -> tuple[str, ...]:
    """The names of a model's outputs."""
    names = json.loads((model / "config.json").read_text())["id2label"]
    return tuple(names[str(number)] for number in range(len(names)))


@pytest.fixture
def shifted(support, tmp_path):
    """The same teacher with its outputs, rightly named, in the order technical, billing, delivery."""
    return permuted(support[0], tmp_path / "shifted", (2, 0, 1), SHIFTED)


@pytest.fixture
def nameless(support, tmp_path):
    """The same without names."""
    return permuted(support[0], tmp_path / "nameless", (2, 0, 1), None)


def student(parts, support, out: Path, teacher: Path, *more: object) -> list[str]:
    few = ("--epochs-intermediate", 1, "--epochs-prediction", 1, "--student-init", "random")
    command = distill(parts, out, *support[1], "--teacher", teacher, *few, *more)
    place = command.index("--train")
    del command[place : place + 2]
    return command


def test_labels_are_mapped_by_name(parts, support, shifted, tmp_path):
    """The student is the same to the last byte, and so is what is said of the teacher."""
    plain, mapped = tmp_path / "plain", tmp_path / "mapped"
    done(*student(parts, support, plain, support[0] / "teacher"))
    said = f"teacher {shifted}: its labels technical, billing, delivery are mapped by name to billing, delivery"
    assert said in done(*student(parts, support, mapped, shifted)).err
    assert metrics(mapped)["teacher_dev"] == metrics(plain)["teacher_dev"]
    assert (mapped / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()
    assert outputs(mapped) == NAMES


def test_layers_of_such_a_teacher_start_a_student(parts, support, shifted, tmp_path):
    """With them comes its head."""
    for name, teacher in (("plain", support[0] / "teacher"), ("mapped", shifted)):
        out = tmp_path / name
        done(*student(parts, support, out, teacher, "--student", "half", "--student-init", "teacher-layers"))
    assert (tmp_path / "mapped/model.safetensors").read_bytes() == (tmp_path / "plain/model.safetensors").read_bytes()


def test_evaluate_maps_labels_by_name(parts, support, shifted, tmp_path):
    answers = {}
    for name, model in (("plain", support[0] / "teacher"), ("mapped", shifted)):
        ran = done(*evaluate(parts, model, *support[1], "--predictions", tmp_path / f"{name}.csv"))
        answers[name] = (tmp_path / f"{name}.csv").read_bytes()
    assert "mapped by name" in ran.err
    assert "warning" not in ran.err
    assert answers["mapped"] == answers["plain"]


def test_a_teacher_without_names_is_asked_for_their_order(parts, support, nameless, tmp_path):
    out = tmp_path / "out"
    asked = "expected names of its labels, to map them to billing, delivery, technical; found LABEL_0, LABEL_1, LABEL_2"
    for command in (
        student(parts, support, out, nameless),
        evaluate(parts, nameless, *support[1]),
        run(parts, out, *support[1], "--teacher", nameless),
    ):
        said = refused(command)
        assert asked in said
        assert "such as --label-names billing,delivery,technical" in said
        assert not out.exists()
    done(*student(parts, support, out, nameless, "--label-names", ",".join(SHIFTED)))
    assert metrics(out)["teacher_dev"]["validation"]["accuracy"] > 0.9
    assert outputs(out) == SHIFTED


def test_the_wrong_order_stops_before_anything_is_written(parts, support, nameless, tmp_path):
    out, wrong = tmp_path / "out", ("--label-names", ",".join(NAMES))
    remedy = "give --label-names technical,billing,delivery, or name its labels in id2label of its config.json"
    said = refused(student(parts, support, out, nameless, *wrong))
    assert f"teacher {nameless}: expected its labels in the order billing, delivery, technical, found accuracy" in said
    assert said.endswith(f" 0.0000 on validation with it and 1.0000 with technical, billing, delivery; {remedy}")
    assert not out.exists()
    early = refused(run(parts, out, *support[1], "--teacher", nameless, *wrong))
    assert early == said
    assert not (out / "augmented").exists()
    ran = tinyaug(*evaluate(parts, nameless, *support[1], *wrong))
    assert ran.code == 0
    assert f"warning: model {nameless}: expected its labels in the order billing" in ran.err
    assert remedy in ran.err


def ahead(parts, support, out: Path, teacher: Path, *more: object) -> list[str]:
    """`cache-teacher` with the options of `student`."""
    command = ["cache-teacher", *student(parts, support, out, teacher, *more)[1:]]
    for option in ("--epochs-intermediate", "--epochs-prediction"):
        place = command.index(option)
        del command[place : place + 2]
    return command


def test_no_cache_is_made_of_the_wrong_order(parts, support, nameless, tmp_path):
    out, wrong = tmp_path / "out", ("--label-names", ",".join(NAMES))
    assert refused(ahead(parts, support, out, nameless, *wrong)) == refused(
        student(parts, support, tmp_path / "s", nameless, *wrong)
    )
    assert not out.exists()
    command = ahead(parts, support, out, nameless, "--label-names", ",".join(SHIFTED))
    assert "teacher on validation: accuracy 1.0000" in done(*command).err
    assert "teacher on validation" not in done(*command).err


def test_a_cache_of_another_order_is_refused(parts, support, nameless, shifted, tmp_path):
    """A teacher that is the same but for the order of its file serves."""
    data, cache = tmp_path / "data", tmp_path / "cache"
    data.mkdir()
    shutil.copy(support[0] / "data/train.csv", data)
    asked = ("--data", data, "--cache", "logits")
    done(*ahead(parts, support, cache, nameless, *asked, "--label-names", ",".join(SHIFTED)))
    before = everything(cache)
    said = refused(student(parts, support, tmp_path / "s", shifted, *asked, "--cache-dir", cache))
    assert "expected the cache of this run, found one with teacher" in said
    assert "(--teacher)" in said
    assert everything(cache) == before
    assert not (tmp_path / "s").exists()
    done(*ahead(parts, support, cache, shifted, *asked, "--rebuild-cache"))
    used = student(parts, support, tmp_path / "s", support[0] / "teacher", *asked, "--cache-dir", cache)
    assert "made ahead" in done(*used).err


def test_wrong_names_are_put_right_in_the_teacher(parts, support, tmp_path):
    """Its outputs are technical, billing, delivery, its config.json says otherwise."""
    teacher = permuted(support[0], tmp_path / "t", (2, 0, 1), ("delivery", "billing", "technical"))
    said = refused(student(parts, support, tmp_path / "out", teacher))
    assert "expected its labels in the order delivery, billing, technical, found" in said
    assert said.endswith("correct id2label in its config.json: 0 technical, 1 billing, 2 delivery")


@pytest.mark.parametrize("dev_rows", [0, 4])
def test_where_dev_cannot_tell_the_order_train_does(parts, support, tmp_path, dev_rows):
    """A teacher whose names are wrong is refused with a dev part or without."""
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    shutil.copy(support[0] / "data/train.csv", data)
    if dev_rows:
        lines = (support[0] / "data/dev.csv").read_text().splitlines(keepends=True)
        (data / "dev.csv").write_text("".join(lines[: dev_rows + 1]))
    teacher = permuted(support[0], tmp_path / "t", (2, 0, 1), ("delivery", "billing", "technical"))
    said = refused(student(parts, support, out, teacher, "--data", data))
    assert "on train with it and 1.0000 with technical, billing, delivery" in said
    assert not out.exists()


def test_a_run_judges_a_teacher_that_was_given_once(parts, support, shifted, tmp_path):
    """Before its first stage; a run that goes on has that behind it."""
    command = run(parts, tmp_path / "run", *support[1], "--teacher", shifted, "--max-steps", 1)
    ran = done(*command)
    said = [line for line in ran.err.splitlines() if "teacher on validation" in line or "drawing variants" in line]
    assert "teacher on validation" in said[0]
    assert "drawing variants" in said[1]
    assert "teacher on validation" not in done(*command).err


@pytest.mark.parametrize("names", [("1", "2", "3"), ("-2", "-1", "0")])
def test_integers_have_an_order(parts, support, tmp_path, names):
    """Nobody numbers stars from 1 to 3 in another way."""
    data = tmp_path / "data"
    data.mkdir()
    for part in ("train", "dev"):
        text = (support[0] / f"data/{part}.csv").read_text()
        for old, new in zip(NAMES, names, strict=True):
            text = text.replace(f",{old}\n", f",{new}\n")
        (data / f"{part}.csv").write_text(text)
    teacher = permuted(support[0], tmp_path / "t", (0, 1, 2), None)
    ran = done(*evaluate(parts, teacher, *support[1], "--data", data))
    assert "warning" not in ran.err


def test_classes_and_their_counts_are_said(parts, support, shifted, tmp_path):
    """Where a stage starts, and in its plan."""
    train = "classes of train: billing 10, delivery 10, technical 10"
    dev = "classes of validation: billing 10, delivery 10, technical 10"
    few = ("--teacher", shifted, "--max-steps", 1)
    for name, command in {
        "t": finetune(parts, tmp_path / "t", *support[1], "--max-steps", 1),
        "s": student(parts, support, tmp_path / "s", shifted, "--max-steps", 1, "--train-rows", 12),
        "r": run(parts, tmp_path / "r", *support[1], *few),
    }.items():
        assert done(*command, "--dry-run").out.count(train) == 1, name
        said = done(*command).err
        assert train in said, name
        assert dev in said, name


def test_a_class_that_dev_lacks(parts, support, tmp_path):
    data = shutil.copytree(support[0] / "data", tmp_path / "data")
    rows = (data / "dev.csv").read_text().splitlines()
    (data / "dev.csv").write_text("\n".join(row for row in rows if not row.endswith(",delivery")) + "\n")
    command = finetune(parts, tmp_path / "t", *support[1], "--data", data, "--max-steps", 1)
    assert "warning: no row of validation is of the class delivery" in done(*command).err


@pytest.mark.parametrize(
    ("names", "given", "asked"),
    [
        (("no", "yes"), False, True),
        (("no", "yes"), True, False),
        (("false", "true"), False, False),
        (("False", "True"), False, False),
        (("LABEL_0", "LABEL_1"), False, False),
        (("2", "10"), False, False),
        (("01", "1"), False, True),
    ],
)
def test_whose_order_is_known(tmp_path, names, given, asked):
    data = TaskData(Task("custom", ("text",), Label("label", "class", names)), None, names_given=given)
    found = ModelFiles("teacher", "t", tmp_path, None, "")
    with pytest.raises(UserError, match="expected names of its labels") if asked else nullcontext():
        refuse_unordered(found, BertConfig(num_labels=2), data)


def test_classes_that_parquet_files_store_are_in_the_order_of_whoever_trained_on_them(parts, support, tmp_path):
    task = Task("custom", ("sentence",), Label("label", "class", SHIFTED))
    schema = pa.schema([("sentence", pa.string()), ("label", pa.int64())])
    schema = schema.with_metadata({METADATA_KEY: features_metadata(schema, task)})
    texts = [f"{word} {other}" for other in OTHERS for word in WORDS]
    table = pa.table({"sentence": texts, "label": [SHIFTED.index(name) for name in NAMES] * len(OTHERS)}, schema)
    (tmp_path / "data").mkdir()
    for part in ("train", "dev"):
        pq.write_table(table, tmp_path / f"data/{part}.parquet")
    teacher = permuted(support[0], tmp_path / "t", (2, 0, 1), None)
    ran = done(*evaluate(parts, teacher, *support[1], "--data", tmp_path / "data"))
    assert "1.0000" in ran.out
    assert "warning" not in ran.err
