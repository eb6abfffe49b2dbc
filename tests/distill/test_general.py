"""The stage of general distillation against plain code, its cache, and that nothing but its weights is trained."""

from __future__ import annotations

import csv
import shutil
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from distill.cache_format import CacheMode
from distill.errors import DistillError
from distill.general import GeneralStage, MaskedLmLoss, head_logits
from distill.losses import LossSettings
from distill.masking import UNMASKED, MaskSettings, masked_places
from distill.objectives import IntermediateStage
from distill.outputs import recorded_layers
from distill.projections import Projections
from distill.shards import Position
from distill.student import Student
from distill.targets import Targets, cache_key, fill_cache
from distill.teacher import Teacher, Wanted, model_inputs
from distill.teacher_cache import TeacherCache
from distill.training import train
from distill.training_settings import Hooks, TrainSettings
from tests.distill.test_packing import stream_of, write_ids
from tests.fixtures import VOCABULARY, tiny_masked_lm

STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def pair(layer_map=(2, 4), **changes) -> tuple[Student, Teacher]:
    shape = {"num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 32, **STILL, **changes}
    teacher = Teacher(tiny_masked_lm(0, num_hidden_layers=4), layer_map, predicts=False)
    return Student(tiny_masked_lm(1, **shape).train(), Projections(16, 32)), teacher


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    chance = np.random.default_rng(0)
    rows = [[2, *chance.integers(7, len(VOCABULARY), size).tolist(), 3] for size in chance.integers(1, 11, 40)]
    return write_ids(tmp_path_factory.mktemp("packed") / "shards", rows)


def masked_batch(data, **changes):
    stream = stream_of(data, batch_rows=40, masking=MaskSettings(rate=0.3, **changes))
    return next(iter(stream.batches(Position())))


def masked_labels(batch) -> torch.Tensor:
    """The labels as the loop gives them."""
    return torch.from_numpy(masked_places(batch.labels))


def test_masked_lm_losses_are_those_of_plain_code(data):
    student, teacher = pair()
    batch = masked_batch(data)
    stage = GeneralStage(student, teacher, LossSettings(), MaskedLmLoss(2.0, 0.5, temperature=3.0)).eval()
    labels, inputs = torch.from_numpy(batch.labels), model_inputs(batch, student.model)
    found = stage(inputs, teacher.targets(batch, stage.wanted), masked_labels(batch))
    hard, soft = [], []
    with torch.no_grad():
        mine, theirs = student.model(**inputs).logits, teacher.model(**inputs).logits
    for row in range(len(batch)):
        places = [place for place in range(labels.shape[1]) if labels[row, place] != UNMASKED]
        hard.append(
            sum(float(nn.functional.cross_entropy(mine[row, p], labels[row, p])) for p in places) / max(1, len(places))
        )
        pairs = [(torch.softmax(theirs[row, p] / 3, -1), torch.log_softmax(mine[row, p] / 3, -1)) for p in places]
        soft.append(sum(-float((t * s).sum()) for t, s in pairs) / max(1, len(places)))
    assert 0.0 in hard  # a row without a masked token is among them
    assert found["mlm"].tolist() == pytest.approx([2 * value for value in hard], rel=1e-4)
    assert found["mlm_soft"].tolist() == pytest.approx([value / 2 for value in soft], rel=1e-4)
    plain = IntermediateStage(student, teacher, LossSettings()).eval()
    layers = plain(inputs, teacher.targets(batch, plain.wanted), None)
    for kind in ("embedding", "attention", "hidden"):
        assert torch.equal(layers[kind], found[kind])


NOTHING = LossSettings(layer_weights=(0, 0, 0, 1))


def test_layers_of_no_weight_cost_nothing(data, tmp_path, monkeypatch):
    student, teacher = pair()
    batch = masked_batch(data)
    stage = GeneralStage(student, teacher, NOTHING, MaskedLmLoss(1.0)).eval()
    assert stage.wanted == Wanted()
    assert recorded_layers(student.model) == ()
    inputs, labels = model_inputs(batch, student.model), masked_labels(batch)
    found = stage(inputs, teacher.targets(batch, stage.wanted), labels)
    whole = GeneralStage(student, teacher, LossSettings(), MaskedLmLoss(1.0)).eval()
    expected = whole(inputs, teacher.targets(batch, whole.wanted), labels)
    assert list(found) == ["mlm"]
    torch.testing.assert_close(found["mlm"], expected["mlm"])
    monkeypatch.setattr("distill.teacher.encoder_outputs", None)
    monkeypatch.setattr("distill.teacher.embedding_output", None)
    before = student.projections.W_h.clone()
    stage = GeneralStage(student, teacher, NOTHING, MaskedLmLoss(1.0))
    train(stage, stream_of(data, masking=MaskSettings()), Targets(teacher), tmp_path, settings(max_steps=2))
    assert torch.equal(student.projections.W_h, before)


def test_the_soft_loss_alone_wants_the_hidden_states_alone(data):
    student, teacher = pair()
    stage = GeneralStage(student, teacher, NOTHING, MaskedLmLoss(soft=1.0)).eval()
    assert stage.wanted == Wanted(hidden=True)
    batch = masked_batch(data)
    targets = teacher.targets(batch, stage.wanted)
    assert list(stage(model_inputs(batch, student.model), targets, masked_labels(batch))) == ["mlm_soft"]
    assert GeneralStage(student, teacher, LossSettings(layer_weights=(1, 0, 0, 1))).wanted.embedding
    with pytest.raises(DistillError, match="a loss with a weight above 0; found none"):
        GeneralStage(student, teacher, NOTHING)


def test_a_cache_is_known_by_the_exact_mask_rate(data):
    _, teacher = pair()
    keys = {
        cache_key(teacher, stream_of(data, masking=MaskSettings(rate=rate, static=True)), CacheMode.FULL).tokenizer
        for rate in (0.15, 0.154)
    }
    assert len(keys) == 2


@pytest.mark.parametrize("positions", [0, 1, 64, 65])
def test_the_head_sees_few_different_numbers_of_rows(positions):
    model = tiny_masked_lm()
    states = torch.randn(positions, model.config.hidden_size, requires_grad=True)
    seen = []
    model.cls.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    logits = head_logits(model, states)
    assert seen == [64 * ((positions + 63) // 64)]
    torch.testing.assert_close(logits, model.cls(states))
    logits.sum().backward()
    assert states.grad.shape == states.shape


def test_a_batch_without_a_masked_token_has_gradients_of_zero(data):
    """Under DDP every parameter must take part in every rank's step."""
    student, teacher = pair()
    batch = masked_batch(data)
    stage = GeneralStage(student, teacher, LossSettings(attention=False, hidden=False), MaskedLmLoss(1.0))
    nothing = torch.from_numpy(masked_places(np.full(batch.ids.shape, UNMASKED)))
    losses = stage(model_inputs(batch, student.model), teacher.targets(batch, stage.wanted), nothing)
    assert losses["mlm"].tolist() == [0.0] * len(batch)
    sum(losses.values()).sum().backward()
    assert stage.reaches_all
    assert all(one.grad is not None for one in stage.parameters() if one.requires_grad)
    assert not student.model.cls.predictions.bias.grad.any()


@pytest.mark.parametrize("masked_lm", [None, MaskedLmLoss(1.0, 1.0)])
def test_trained_is_what_the_losses_reach(data, tmp_path, masked_lm):
    student, teacher = pair()
    before = {name: value.clone() for name, value in student.model.state_dict().items()}
    theirs = {name: value.clone() for name, value in teacher.model.state_dict().items()}
    masking = MaskSettings() if masked_lm else None
    stage = GeneralStage(student, teacher, LossSettings(), masked_lm)
    train(stage, stream_of(data, masking=masking), Targets(teacher), tmp_path, settings())
    same = {name for name, value in student.model.state_dict().items() if torch.equal(value, before[name])}
    head = {name for name in before if name.startswith("cls.") and "decoder.weight" not in name}
    assert same == (set() if masked_lm else head)
    assert all(torch.equal(value, theirs[name]) for name, value in teacher.model.state_dict().items())
    embeddings = student.model.bert.embeddings.word_embeddings.weight
    assert student.model.cls.predictions.decoder.weight is embeddings


def settings(**changes) -> TrainSettings:
    given = {"epochs": 2, "learning_rate": 1e-2, "log_every": 1, "cpu": True, "warmup": 0.0}
    return TrainSettings(**(given | changes))


def losses_of(folder) -> list[float]:
    return [float(row["loss"]) for row in csv.DictReader((folder / "losses.csv").open())]


class StopError(Exception):
    """Ends a run between two steps."""


def run(data, folder, cache=None, static=False, dropout=0.1, stop_at=None, **changes):
    """Two epochs with both masked-LM losses; with a cache, that of a teacher that predicts nothing."""
    student, teacher = pair(hidden_dropout_prob=dropout)
    stream = stream_of(data, masking=MaskSettings(rate=0.3, static=static))
    stage = GeneralStage(student, teacher, LossSettings(), MaskedLmLoss(1.0, 1.0))
    targets = Targets(teacher)
    if cache is not None:
        key = cache_key(teacher, stream, CacheMode.FULL)
        assert key.classes == 0
        targets = Targets(teacher, TeacherCache(cache, key, [stream.files.sha256(0)], [40]))

    def progress(now) -> None:
        if now.step == stop_at:
            raise StopError

    with nullcontext() if stop_at is None else pytest.raises(StopError):
        train(stage, stream, targets, folder, settings(checkpoint_every=3, **changes), Hooks(progress=progress))
    return losses_of(folder), stage.state_dict()


def test_cold_and_warm_cache_and_none_agree(data, tmp_path):
    cold, _ = run(data, tmp_path / "cold", tmp_path / "cache", static=True)
    assert run(data, tmp_path / "warm", tmp_path / "cache", static=True)[0] == cold
    assert run(data, tmp_path / "off", static=True)[0] == pytest.approx(cold, rel=5e-3)
    with pytest.raises(DistillError, match=r"found one with tokenizer .*masked once.*now .*masked each epoch"):
        run(data, tmp_path / "other", tmp_path / "cache")


def test_a_shard_is_masked_alike_wherever_it_stands(data, tmp_path):
    """The cache knows it by its content: what it kept belongs to the tokens that are masked in another data set."""
    masking, (_, teacher) = MaskSettings(rate=0.3, static=True), pair()
    write_ids(tmp_path / "both", [[2, 30, 31, 32, 3]] * 3)
    copy = shutil.copy(next(data.glob("*.parquet")), tmp_path / "both" / "z.parquet")
    both, alone = stream_of(tmp_path / "both", masking=masking), stream_of(data, masking=masking)
    assert both.files.paths[1] == str(copy)

    def targets(stream) -> Targets:
        shards = range(len(stream.files.paths))
        sizes = [stream.files.shard_rows(shard) for shard in shards]
        key = cache_key(teacher, stream, CacheMode.FULL)
        return Targets(teacher, TeacherCache(tmp_path / "cache", key, [*map(stream.files.sha256, shards)], sizes))

    fill_cache(targets(both), both)
    warm = targets(alone)
    assert warm.cache.complete
    for batch in alone.batches(Position()):
        kept, live = (source(batch, Wanted(hidden=True)).hidden[1] for source in (warm, Targets(teacher)))
        own = torch.from_numpy(batch.mask).bool()
        torch.testing.assert_close(kept[own], live[own], atol=5e-3, rtol=5e-3)


@pytest.mark.parametrize("stop_at", [2, 4, 8])  # before the first checkpoint, in the first and in the second epoch
def test_stopped_and_resumed_is_undisturbed(data, tmp_path, stop_at):
    whole, weights = run(data, tmp_path / "whole")
    assert len(whole) == 10
    assert len(run(data, tmp_path / "stopped", stop_at=stop_at)[0]) == stop_at
    resumed, found = run(data, tmp_path / "stopped")
    assert resumed == whole
    assert all(torch.equal(value, weights[name]) for name, value in found.items())
    with pytest.raises(DistillError, match="expected data"):
        run(data, tmp_path / "stopped", static=True)


def test_accumulation_changes_nothing(data, tmp_path):
    whole, _ = run(data, tmp_path / "one", dropout=0.0, max_steps=4)
    assert run(data, tmp_path / "three", dropout=0.0, max_steps=4, accumulation=3)[0] == pytest.approx(whole, rel=1e-3)


def test_what_does_not_fit_is_refused(data):
    student, teacher = pair((1, 2))
    with pytest.raises(DistillError, match="expected the teacher's last layer in the layer map"):
        GeneralStage(student, teacher, LossSettings(), MaskedLmLoss(soft=1.0))
    with pytest.raises(DistillError, match="weights of 0 or more"):
        MaskedLmLoss(-1.0)
    stage = GeneralStage(student, teacher, LossSettings(), MaskedLmLoss(1.0))
    batch = next(iter(stream_of(data).batches(Position())))
    with pytest.raises(DistillError, match="expected masked tokens"):
        stage(model_inputs(batch, student.model), teacher.targets(batch, stage.wanted), None)
    other, teacher = pair(vocab_size=200)
    with pytest.raises(DistillError, match="as the teacher has; found 200"):
        GeneralStage(other, teacher, LossSettings(), MaskedLmLoss(soft=1.0))
