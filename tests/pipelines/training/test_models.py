"""Models that cannot be loaded: what is the file's fault, and what is the machine's."""

from __future__ import annotations

import pytest
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

from pipelines.errors import UserError
from pipelines.training.models import find_model, load_classifier, load_config, load_masked_lm


@pytest.mark.parametrize("trouble", [RuntimeError("can't start new thread"), MemoryError("no memory")])
def test_the_machine_s_errors_are_not_the_file_s(mlm_folder, monkeypatch, trouble):
    found = find_model(str(mlm_folder), None, "teacher")
    config = load_config(found)

    def fail(*_: object, **__: object) -> None:
        raise trouble

    for kind in (AutoModelForSequenceClassification, AutoModelForMaskedLM):
        monkeypatch.setattr(kind, "from_pretrained", fail)
    for load in (lambda: load_classifier(found, config, 0), lambda: load_masked_lm(found, config, False)):
        with pytest.raises(type(trouble)) as error:
            load()
        assert error.value is trouble


def test_the_file_s_errors_are(mlm_folder, monkeypatch):
    found = find_model(str(mlm_folder), None, "teacher")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("PytorchStreamReader failed reading zip archive")

    monkeypatch.setattr(AutoModelForSequenceClassification, "from_pretrained", fail)
    with pytest.raises(UserError, match=r"teacher .*its weights cannot be read: PytorchStreamReader.*copy the folder"):
        load_classifier(found, load_config(found), 0)
