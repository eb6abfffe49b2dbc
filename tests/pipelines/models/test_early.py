"""Mistakes that show before any model's weights are read: tokenizers, shapes, maps, labels, models not done yet."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from transformers import (
    DistilBertConfig,
    ElectraConfig,
    RobertaConfig,
    RobertaForSequenceClassification,
    XLMRobertaConfig,
)

from augment.files.find import ModelFiles
from distill.shapes import NAMED_SHAPES
from pipelines.errors import UserError
from pipelines.models.load import VOCABULARY_FILES, load_tokenizer
from tests.fixtures import SPECIAL, tiny_config, tiny_tokenizer
from tests.pipelines.jobs import done, refused
from tests.pipelines.training.verbs import distill, evaluate, finetune, general, run


@pytest.fixture
def no_weights(monkeypatch):
    """Weights of models are not to be read."""
    monkeypatch.setattr("distill.weights.read_model", lambda *_: pytest.fail("weights were read"))


def without_tokenizer(folder, tmp_path):
    bare = shutil.copytree(folder, tmp_path / "bare")
    for path in [*bare.glob("tokenizer*"), *bare.glob("vocab*"), *bare.glob("special_tokens*")]:
        path.unlink()
    return bare


def test_every_verb_wants_a_tokenizer(parts, inputs, tmp_path, no_weights):
    encoder = without_tokenizer(parts.encoder, tmp_path)
    teacher = without_tokenizer(parts.teacher, tmp_path / "t")
    (tmp_path / "corpus.txt").write_text("a good film\n")
    for command in (
        finetune(parts, tmp_path / "out", "--model", encoder),
        distill(parts, tmp_path / "out", "--teacher", teacher),
        evaluate(parts, teacher),
        general(parts, tmp_path / "corpus.txt", tmp_path / "out", "--teacher", encoder),
        run(parts, tmp_path / "out", "--teacher-model", encoder),
    ):
        said = refused(command)
        assert "expected a tokenizer in the folder, found none of " + ", ".join(VOCABULARY_FILES) in said
        assert str(encoder) in said or str(teacher) in said
    said = refused(inputs.augment(tmp_path / "out", "--mlm", encoder))
    assert "expected a fast tokenizer (tokenizer.json, or vocab.txt of a BERT), found none" in said


@pytest.mark.parametrize(
    ("config", "there", "looked_for"),
    [
        (tiny_config(), "vocab.json", "tokenizer.json, vocab.txt"),
        (DistilBertConfig(), "spiece.model", "tokenizer.json, vocab.txt"),
        (ElectraConfig(), "vocab.json", "tokenizer.json, vocab.txt"),
        (RobertaConfig(), "vocab.txt", "merges.txt, tokenizer.json, vocab.json"),
        (XLMRobertaConfig(), "vocab.json", "sentencepiece.bpe.model, tokenizer.json"),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
def test_a_tokenizer_that_knows_no_words(tmp_path, config, there, looked_for):
    """What transformers makes of a folder that has another family's file: special tokens alone."""
    config.save_pretrained(tmp_path)
    (tmp_path / there).write_text("{}")
    with pytest.raises(UserError) as refusal:
        load_tokenizer(ModelFiles("model", "m", tmp_path, None, ""))
    said = str(refusal.value)
    assert f"expected a tokenizer that knows words (from {looked_for}), found special tokens alone (of {there})" in said


def test_small_vocabularies_pass(tmp_path):
    """Someone's amino acids: few tokens, and more embeddings than tokens, are no mistake."""
    tiny_config(vocab_size=30_522).save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL, *"acgt", ""]))
    assert len(load_tokenizer(ModelFiles("model", "m", tmp_path, None, ""))) == len(SPECIAL) + 4


def shape(parts, tmp_path, **changes):
    path = tmp_path / "shape.json"
    path.write_text(json.dumps({**json.loads(parts.student.read_text()), **changes}))
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hidden_size": 17}, "expected a hidden_size that its 4 attention heads divide; found 17"),
        ({"num_hidden_layers": 0}, "expected num_hidden_layers of at least 1; found 0"),
        ({"intermediate_size": "32"}, "'intermediate_size' expected int, got str"),
        ({"hidden_act": "gello"}, "unknown 'gello'"),
    ],
    ids=str,
)
def test_students_of_nonsense(parts, tmp_path, no_weights, changes, said):
    path = shape(parts, tmp_path, **changes)
    (tmp_path / "corpus.txt").write_text("a good film\n")
    for command in (
        distill(parts, tmp_path / "out", "--student", path),
        general(parts, tmp_path / "corpus.txt", tmp_path / "out", "--student", path),
        run(parts, tmp_path / "out", "--student", path),
    ):
        found = refused(command)
        assert said in found
        assert str(path) in found


def test_a_teacher_of_nonsense(parts, tmp_path, no_weights):
    teacher = shutil.copytree(parts.teacher, tmp_path / "teacher")
    content = json.loads((teacher / "config.json").read_text())
    for change, said in (
        ({"num_attention_heads": 5}, f"model {teacher}: expected a hidden_size that its 5 attention heads divide"),
        (
            {"hidden_size": "x"},
            f"model {teacher}: config.json cannot be read: Validation error for field 'hidden_size'",
        ),
    ):
        (teacher / "config.json").write_text(json.dumps({**content, **change}))
        assert said in refused(evaluate(parts, teacher))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--layer-map", "sideways"), "expected a layer map uniform, top, bottom"),
        (("--layer-map", "1,2,3"), "expected 2 layers in the layer map, one a student layer; found 3: 1, 2, 3."),
        (("--layer-weights", "1,2"), "expected 4 layer weights"),
        (("--layer-weights", "1,2,1,-1"), "expected layer weights of 0 or more; found 1, 2, 1, -1."),
        (("--student", "tinybert4", "--layer-weights", "1,2,1,1"), "expected 6 layer weights"),
        (("--student", "tinybert5"), f"--student tinybert5: expected a student {', '.join(NAMED_SHAPES)}, layers:N"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_choices_of_the_student(parts, tmp_path, no_weights, more, said):
    (tmp_path / "corpus.txt").write_text("a good film\n")
    for command in (
        distill(parts, tmp_path / "out", *more),
        general(parts, tmp_path / "corpus.txt", tmp_path / "out", *more),
        run(parts, tmp_path / "out", *more),
    ):
        assert said in refused(command)


@pytest.mark.parametrize("content", ["{", "[1]", "7"])
def test_a_student_s_file_that_is_no_configuration(parts, tmp_path, content):
    path = tmp_path / "student.json"
    path.write_text(content)
    assert f"--student {path}: expected a student tinybert4" in refused(
        distill(parts, tmp_path / "out", "--student", path)
    )


def test_a_start_that_cannot_be_had_from_this_teacher(parts, tmp_path, no_weights):
    path = shape(parts, tmp_path, hidden_size=32, intermediate_size=48)
    command = distill(parts, tmp_path / "out", "--student", path, "--student-init", "teacher-layers")
    assert "expected the teacher's intermediate_size (64)" in refused(command)
    start = shutil.copytree(parts.encoder, tmp_path / "start")
    said = refused(distill(parts, tmp_path / "out", "--student-init", start))
    assert f"found 4 in {start}. Choose the student's shape by that folder's config.json" in said


def test_a_model_of_another_task(parts, tmp_path, no_weights):
    teacher = shutil.copytree(parts.teacher, tmp_path / "teacher")
    content = json.loads((teacher / "config.json").read_text())
    content["id2label"] = {0: "entailment", 1: "not_entailment"}
    (teacher / "config.json").write_text(json.dumps(content))
    judged = refused(evaluate(parts, teacher))
    assert judged.startswith(f"tinyaug: error: model {teacher}: expected the labels negative, positive of sst2; ")
    assert "It was trained on another task: give one for sst2" in judged
    assert "teacher" not in judged.replace(str(teacher), "")
    assert "student" not in judged
    assert "{" not in judged
    taught = refused(distill(parts, tmp_path / "out", "--teacher", teacher))
    assert taught.replace("error: teacher", "error: model") == judged


@pytest.mark.parametrize("verb", ["finetune", "distill"])
def test_a_model_still_in_training(parts, tmp_path, verb):
    """It has run.json, data and checkpoints, but neither weights nor config.json."""
    out = tmp_path / "out"
    command = [*(finetune if verb == "finetune" else distill)(parts, out, "--max-steps", 1), "--overwrite"]
    done(*command)
    (out / "metrics.json").unlink()
    (out / "config.json").unlink()
    (out / "model.safetensors").unlink()
    for what, said in (
        ("model", refused(evaluate(parts, out))),
        ("teacher", refused(distill(parts, tmp_path / "other", "--teacher", out))),
        ("student", refused(distill(parts, tmp_path / "other", "--student", out))),
    ):
        assert f"{what} {out}: expected a finished model, found a `tinyaug {verb}` that is not done yet" in said
        assert said.endswith("go on with: tinyaug " + " ".join(command[:-1]))
    done(*command[:-1])
    done(*evaluate(parts, out))


def test_other_folders_without_a_model_are_not_taken_for_one_in_training(parts, tmp_path):
    for content in ("{}", "[]", '{"kind": "augment", "command": ["tinyaug"]}', "{"):
        (tmp_path / "run.json").write_text(content)
        assert "expected config.json in the folder, found none" in refused(evaluate(parts, tmp_path))


def test_texts_are_cut_at_the_positions_that_a_roberta_can_use(parts, tmp_path):
    """34 positions of which the first two are the padding's: a text of 40 words is cut at 32 tokens."""
    config = RobertaConfig(
        vocab_size=len(tiny_tokenizer()), hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=32, max_position_embeddings=34, pad_token_id=1, type_vocab_size=1,
    )  # fmt: skip
    RobertaForSequenceClassification(config).save_pretrained(tmp_path / "m")
    tiny_tokenizer().save_pretrained(tmp_path / "m")
    data = shutil.copytree(parts.data, tmp_path / "SST-2")
    (data / "dev.tsv").write_text(f"sentence\tlabel\n{'good ' * 40}\t1\na bad film\t0\n")
    long = replace(parts, data=data)
    done(*evaluate(long, tmp_path / "m"))
    assert "at most 32" in refused(evaluate(long, tmp_path / "m", "--max-length", 33))
