"""Models that cannot be loaded: what is the file's fault, and what is the machine's."""

from __future__ import annotations

import pytest
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

from augment.errors import AugmentError
from pipelines.errors import UserError
from pipelines.found import Found
from pipelines.models.load import check_classes, load_config, load_masked_lm, load_task_model
from pipelines.tasks import Label, Task
from pipelines.tasks.glue import GLUE

TASK = GLUE["sst2"]


@pytest.mark.parametrize("trouble", [RuntimeError("can't start new thread"), MemoryError("no memory")])
def test_the_machine_s_errors_are_not_the_file_s(mlm_folder, monkeypatch, trouble):
    found = Found().model(str(mlm_folder), None, "teacher")
    config = load_config(found)

    def fail(*_: object, **__: object) -> None:
        raise trouble

    for kind in (AutoModelForSequenceClassification, AutoModelForMaskedLM):
        monkeypatch.setattr(kind, "from_pretrained", fail)
    for load in (lambda: load_task_model(found, config, TASK, 0), lambda: load_masked_lm(found, config, False)):
        with pytest.raises(type(trouble)) as error:
            load()
        assert error.value is trouble


def test_the_file_s_errors_are(mlm_folder, monkeypatch):
    found = Found().model(str(mlm_folder), None, "teacher")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("PytorchStreamReader failed reading zip archive")

    monkeypatch.setattr(AutoModelForSequenceClassification, "from_pretrained", fail)
    with pytest.raises(UserError, match=r"teacher .*its weights cannot be read: PytorchStreamReader.*copy the folder"):
        load_task_model(found, load_config(found), TASK, 0)


@pytest.mark.parametrize("inside", [["student"], ["student", "teacher"], []])
def test_a_run_directory_in_the_place_of_its_model(tmp_path, inside):
    for name in inside:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    meant = " or ".join(str(tmp_path / name) for name in inside)
    with pytest.raises(AugmentError) as refusal:
        Found().model(str(tmp_path), None, "model")
    said = f"expected config.json in the folder, found none; {f'did you mean {meant}?' if inside else 'give a'}"
    assert said in str(refusal.value)


def test_a_model_without_weights_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(
        AugmentError, match=r"teacher .*expected weights \(model\.safetensors\) .* found none; copy them there"
    ):
        Found().model(str(tmp_path), None, "teacher")


@pytest.mark.parametrize("label", [Label("y", "class", ("a", "b")), Label("y", "score"), Label(None, "none")])
def test_labels_that_can_be_learnt(label):
    check_classes(Task("custom", ("text",), label))
