"""A model of SQuAD as ONNX, judged by its answers."""

from __future__ import annotations

import json

import pytest

from tests.pipelines.jobs import done
from tests.pipelines.training.verbs import metrics


@pytest.mark.integration
def test_answers_of_the_forms(squad, tmp_path):
    done("export", squad.teacher, "--format", "onnx", "--out", tmp_path / "out")
    found = json.loads((tmp_path / "out" / "export.json").read_text())["findings"]
    assert found["dev"]["torch"]["validation"] == metrics(squad.teacher)["dev"]["validation"]
    assert found["dev"]["onnx"]["validation"] == pytest.approx(found["dev"]["torch"]["validation"], abs=1e-3)
    assert found["compared"]["onnx"]["difference"] < 1e-4
    assert found["shapes"][-1] == [16, 48]
