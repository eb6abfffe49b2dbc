"""Data of one class: rows are made of it, models are not."""

from __future__ import annotations

import pytest

from tests.pipelines.jobs import custom_task, done, sentences, tinyaug
from tests.pipelines.training.verbs import ahead, distill, finetune, run


@pytest.fixture
def options(tmp_path):
    """Of a task whose every label is 1."""
    return custom_task(tmp_path / "train.csv", [(text, 1) for text in sentences(12)])


def test_one_class_is_refused_before_training(parts, options, tmp_path):
    out = tmp_path / "new/out"
    for command in (
        finetune(parts, out, *options),
        finetune(parts, out, *options, "--dry-run"),
        distill(parts, out, *options),
        ahead(parts, out, *options),
        run(parts, out, *options),
        run(parts, out, *options, "--teacher", parts.teacher),
    ):
        ran = tinyaug(*command)
        assert ran.code == 2, ran.err
        assert "expected at least 2 classes in column 'label' of the train part, found only '1'; add rows" in ran.err
    assert not (tmp_path / "new").exists()


def test_one_class_is_augmented(inputs, options, tmp_path):
    done(*inputs.augment(tmp_path / "run", *options))


def test_classes_that_are_named_need_not_all_be_there(parts, options, tmp_path):
    done(*finetune(parts, tmp_path / "t", *options, "--label-names", "0,1", "--max-steps", 1))
    command = distill(parts, tmp_path / "s", *options, "--label-names", "0,1", "--teacher", tmp_path / "t", "--dry-run")
    assert "no labelled dev part: the last epoch is kept" in done(*command).out
