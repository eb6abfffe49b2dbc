"""Teacher and student asked the same texts one by one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from distill import latency
from distill.latency import model_size, single_texts, time_models
from distill.reading import Columns
from tests.distill.models import tiny_encoder
from tests.fixtures import tiny_tokenizer
from tests.pipelines.jobs import sentences


@pytest.fixture
def stream(tmp_path):
    texts = list(sentences(30))
    table = {"sentence": texts, "label": [row % 2 for row in range(30)]}
    pq.write_table(pa.table(table), tmp_path / "dev.parquet")
    return single_texts(str(tmp_path / "dev.parquet"), Columns(("sentence",), "label", 2), tiny_tokenizer(), 32), table


def test_each_model_answers_each_text_as_it_does_alone(stream):
    texts, table = stream
    models = {"teacher": tiny_encoder().eval(), "student": tiny_encoder(num_hidden_layers=2).eval()}
    found = time_models(models, texts)
    assert sorted(found.rows) == list(range(30))
    assert found.labels == [table["label"][row] for row in found.rows]
    assert set(found.latency.milliseconds) == set(models)
    assert min(found.latency.milliseconds.values()) > 0
    with torch.no_grad():
        for number in (0, 29):
            inputs = tiny_tokenizer()(table["sentence"][found.rows[number]], return_tensors="pt")
            for name, model in models.items():
                assert np.allclose(found.logits[name][number], model(**inputs).logits[0], atol=1e-5)


def test_no_more_texts_than_there_is_time_for(stream, monkeypatch):
    monkeypatch.setattr(latency, "SECONDS", 0.0)
    assert len(time_models({"student": tiny_encoder().eval()}, stream[0]).rows) == 1


def test_other_work_on_the_machine_is_told_apart(stream, monkeypatch):
    """Two passes of a student's text in three last ten times as long."""
    passes, clock = [0], [0.0]

    def logits(model, _):
        passes[0] += 1
        clock[0] += model * (1 if passes[0] % 3 == 0 else 10)
        return torch.zeros(1, 2)

    monkeypatch.setattr(latency, "model_logits", logits)
    monkeypatch.setattr(latency, "model_inputs", lambda *_: {})
    monkeypatch.setattr(latency.time, "perf_counter", lambda: clock[0])
    found = time_models({"teacher": 0.002, "student": 0.001}, stream[0])
    assert found.latency.milliseconds == {"teacher": 2.0, "student": 1.0}


def test_size_of_a_model(tmp_path):
    model = tiny_encoder()
    model.save_pretrained(tmp_path)
    (tmp_path / "projections.safetensors").write_bytes(b"no part of the model")
    found = model_size(model, tmp_path)
    assert found["layers"] == model.config.num_hidden_layers
    assert found["parameters"] == model.num_parameters()
    embeddings = sum(value.numel() for value in model.base_model.embeddings.parameters())
    assert found["without_embeddings"] == model.num_parameters() - embeddings
    assert found["bytes"] == (tmp_path / "model.safetensors").stat().st_size
