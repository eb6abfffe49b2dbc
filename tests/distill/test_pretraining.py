"""Pre-training: both losses against numbers worked out by hand and transformers' own; all weights are reached."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from distill.errors import DistillError
from distill.masking import UNMASKED, CountedMasking, masked_places
from distill.next_sentence import pack_pairs
from distill.packing import Packing
from distill.pretraining import PretrainingStage, new_bert
from distill.reading import Columns, open_shards
from distill.shards import Position, ShardStream, StreamSettings
from distill.teacher import TeacherTargets, model_inputs
from distill.training import train
from distill.training_settings import TrainSettings
from tests.distill.test_packing import FIRST, JSON, LAST, flat
from tests.fixtures import VOCABULARY, tiny_config

STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    chance = np.random.default_rng(0)
    documents = [[chance.integers(7, len(VOCABULARY), 6).tolist() for _ in range(5)] for _ in range(30)]
    rows = [*pack_pairs(flat(documents), Packing(24, FIRST, LAST))]
    folder = tmp_path_factory.mktemp("pairs")
    names = ("input_ids", "token_type_ids", "next_sentence_label")
    pq.write_table(pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))), folder / "a.parquet")
    columns = Columns(names[:2], names[2], 2, tokenised=True)
    settings = StreamSettings(max_length=24, batch_rows=16, workers=0, masking=CountedMasking())
    return ShardStream(open_shards(str(folder), columns), columns, JSON, 0, settings)


def given(batch) -> torch.Tensor:
    return torch.from_numpy(masked_places(batch.labels))


class Fixed(nn.Module):
    """A head that gives logits as they are told."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(states), -1)


def test_the_losses_by_hand(stream):
    """Every token has one prediction, 1/4 and 3/4 of two; every pair one, 1/5 that B continues A and 4/5 that not."""
    model = new_bert(tiny_config(**STILL), 0)
    model.cls.predictions, model.cls.seq_relationship = Fixed(0.0, math.log(3)), Fixed(0.0, math.log(4))
    batch = next(iter(stream.batches(Position())))
    # row 0: one token; row 1: two; row 2: none; in column 0 the pairs' labels; the last two are fillers
    labels = torch.tensor([[0, 0, 1, 1, 1, 2, 0, 0], [0, 4, 0, 2, 7, 0, 0, 0], [1, 1, 0, 1, 0, 0, UNMASKED, UNMASKED]])
    found = PretrainingStage(model)(model_inputs(batch, model), TeacherTargets(), labels)
    quarter, most = -math.log(1 / 4), -math.log(3 / 4)
    assert list(found) == ["mlm", "nsp"]
    assert found["mlm"].tolist()[:4] == pytest.approx([most, (most + quarter) / 2, 0, 0])
    assert found["nsp"].tolist()[:4] == pytest.approx([-math.log(4 / 5), -math.log(1 / 5), -math.log(1 / 5), 0])
    with pytest.raises(DistillError, match="expected masked tokens and labels of pairs"):
        PretrainingStage(model)(model_inputs(batch, model), TeacherTargets(), None)


def test_the_losses_are_those_of_transformers(stream):
    model = new_bert(tiny_config(**STILL, initializer_range=0.4), 1)
    batch = next(iter(stream.batches(Position())))
    inputs = model_inputs(batch, model)
    stage = PretrainingStage(model)
    with torch.no_grad():
        found = stage(inputs, TeacherTargets(), given(batch))
        labels = torch.from_numpy(batch.labels)
        pairs, tokens = labels[:, 0].clone(), labels.clone()
        tokens[:, 0] = UNMASKED
        assert set(pairs.tolist()) == {0, 1}
        for row in range(len(batch)):
            own = {name: value[row : row + 1] for name, value in inputs.items()}
            theirs = model(**own, labels=tokens[row : row + 1], next_sentence_label=pairs[row : row + 1])
            assert (found["mlm"] + found["nsp"])[row].item() == pytest.approx(theirs.loss.item(), rel=1e-4)


def test_all_weights_are_reached_and_learn(stream, tmp_path):
    model = new_bert(tiny_config(**STILL), 2)
    stage = PretrainingStage(model)
    batch = next(iter(stream.batches(Position())))
    sum(loss.sum() for loss in stage(model_inputs(batch, model), TeacherTargets(), given(batch)).values()).backward()
    assert all(parameter.grad is not None for parameter in stage.parameters())
    assert stage.reaches_all
    train(stage, stream, None, tmp_path, TrainSettings(epochs=8, learning_rate=5e-3, cpu=True))
    lines = (tmp_path / "losses.csv").read_text().splitlines()
    rows = [list(map(float, line.split(",")))[4:7] for line in lines[1:]]
    assert lines[0].split(",")[4:7] == ["loss", "mlm", "nsp"]
    assert sum(row[1] for row in rows[-5:]) < 0.97 * sum(row[1] for row in rows[:5])


@pytest.mark.parametrize("changes", [{"type_vocab_size": 1}, {"model_type": "electra"}])
def test_models_that_cannot_are_refused(changes):
    config = tiny_config(**{name: value for name, value in changes.items() if name != "model_type"})
    if "model_type" in changes:
        from transformers import ElectraConfig

        config = ElectraConfig()
    with pytest.raises(DistillError, match="expected a BERT with embeddings for two segments"):
        new_bert(config, 0)
