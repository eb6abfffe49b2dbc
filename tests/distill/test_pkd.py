"""BERT-PKD: its losses against hand-computed numbers, its layers, its student, and what is kept of its teacher."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from distill.cache_format import CacheContent, CacheMode, plan_cache
from distill.errors import DistillError, StoppedError
from distill.layer_maps import Patience, patient_layers
from distill.losses import LossSettings, label_loss, patience_loss
from distill.objectives import PredictionStage
from distill.pkd import PkdSettings, PkdStage
from distill.projections import Projections
from distill.shards import Position
from distill.student import Student, build_student
from distill.targets import Targets, fill_cache
from distill.teacher import Teacher, TeacherTargets, Wanted, model_inputs
from distill.training import train
from distill.training_settings import Hooks, TrainSettings
from tests.distill.data import open_stream
from tests.distill.models import FAMILIES, tiny_encoder
from tests.distill.runs import losses, weights
from tests.distill.test_teacher_cache import open_cache

CLS = Wanted(logits=True, cls=True)


@pytest.fixture(scope="module")
def stream(data):
    return open_stream(data)


@pytest.fixture(scope="module")
def batch(stream):
    return next(stream.batches(Position()))


def patient_pair(family: str = "bert", **changes) -> tuple[Student, Teacher]:
    """A student of three layers and a teacher of four of the same width, without dropout."""
    student = tiny_encoder(family, 1, num_hidden_layers=3, hidden_dropout_prob=0.0, dropout=0.0, **changes)
    return Student(student, Projections(32, 32)), Teacher(tiny_encoder(family, **changes), (1, 2))


@pytest.mark.parametrize(
    ("choice", "student", "teacher", "expected"),
    [
        ("skip", 6, 12, (2, 4, 6, 8, 10)),
        (Patience.SKIP, 4, 12, (3, 6, 9)),
        ("skip", 3, 12, (4, 8)),
        ("skip", 6, 24, (4, 8, 12, 16, 20)),
        ("last", 6, 12, (7, 8, 9, 10, 11)),
        (Patience.LAST, 4, 12, (9, 10, 11)),
        ("last", 3, 12, (10, 11)),
    ],
)
def test_the_layers_of_the_paper(choice, student, teacher, expected):
    assert patient_layers(choice, student, teacher) == expected


@pytest.mark.parametrize(
    ("choice", "student", "message"),
    [("top", 4, "skip or last; found 'top'"), ("skip", 1, "at least 2 layers"), ("last", 13, "1 to 12 layers")],
)
def test_layers_that_cannot_be_are_refused(choice, student, message):
    with pytest.raises(DistillError, match=message):
        patient_layers(choice, student, 12)


def test_patience_by_hand():
    # Scaled to length 1: (0.6, 0.8) against (1, 0), then (0, 1) against (0, 1); four numbers in all.
    student = torch.tensor([[[3.0, 4.0], [0.0, 5.0]]])
    teacher = torch.tensor([[[2.0, 0.0], [0.0, 0.1]]])
    assert patience_loss(student, teacher).tolist() == pytest.approx([(0.16 + 0.64) / 4])
    with pytest.raises(DistillError, match="states of one shape"):
        patience_loss(student, teacher[:, :1])


def test_labels_by_hand():
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])
    assert label_loss(logits, torch.tensor([1.0, 0.0])).tolist() == pytest.approx([math.log(4), math.log(2)])
    assert label_loss(torch.tensor([[1.0], [4.0]]), torch.tensor([3.0, 4.5])).tolist() == [4.0, 0.25]


def test_the_losses_have_their_weights(batch, monkeypatch):
    student, teacher = patient_pair()
    stage = PkdStage(student, teacher, PkdSettings(alpha=0.25, temperature=2.0, beta=8.0))
    logits = torch.tensor([[math.log(3.0), 0.0]])
    states = [torch.tensor([[values]]) for values in ([9.0, 9.0], [3.0, 4.0], [0.0, 5.0], [9.0, 9.0])]  # (1, 1, 2)
    outputs = type("Outputs", (), {"logits": logits, "hidden": states})
    monkeypatch.setattr("distill.pkd.encoder_outputs", lambda *_: outputs)
    targets = TeacherTargets(torch.zeros(1, 2), cls=(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.1]])))
    found = stage({}, targets, torch.tensor([1.0]))
    # At T = 2 the student's odds are √3 to 1, the teacher's even.
    odds = math.sqrt(3) / (1 + math.sqrt(3))
    soft = -0.5 * (math.log(odds) + math.log(1 - odds))
    expected = {"labels": 0.75 * math.log(4), "prediction": 0.25 * 4 * soft, "patience": 8 * 0.2}
    assert {kind: loss.item() for kind, loss in found.items()} == pytest.approx(expected)
    outputs.logits = torch.tensor([[1.0]])
    found = stage({}, TeacherTargets(torch.tensor([[3.0]]), cls=targets.cls), torch.tensor([1.5]))
    expected = {"labels": 0.75 * 0.25, "prediction": 0.25 * 4.0, "patience": 1.6}  # of a score: no temperature
    assert {kind: loss.item() for kind, loss in found.items()} == pytest.approx(expected)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("labels", [1, 2])
def test_everything_is_trained_and_the_last_layer_has_no_patience(batch, family, labels):
    student, teacher = patient_pair(family, num_labels=labels)
    stage = PkdStage(student, teacher)
    given = Targets(teacher)(batch, stage.wanted)
    assert (given.hidden, given.scores, given.embedding) == ((), (), None)
    assert [states.shape for states in given.cls] == [(len(batch), 32)] * 2
    losses = stage(model_inputs(batch, stage.model), given, torch.from_numpy(batch.labels))
    assert {kind: loss.shape for kind, loss in losses.items()} == dict.fromkeys(
        ("labels", "prediction", "patience"), (len(batch),)
    )
    losses["patience"].sum().backward(retain_graph=True)
    named = {name.replace(".layers.", ".layer."): p for name, p in stage.named_parameters()}
    layers = {name: p for name, p in named.items() if ".layer." in name}
    reached = {name.split(".layer.")[1][0] for name, p in layers.items() if p.grad is not None and p.grad.any()}
    assert reached == {"0", "1"}
    sum(loss.sum() for loss in losses.values()).backward()
    assert all(p.grad is not None and p.grad.any() for p in stage.parameters())


def test_without_patience_the_teacher_gives_its_logits_alone(batch):
    student, teacher = patient_pair()
    stage = PkdStage(student, teacher, PkdSettings(alpha=1.0, temperature=3.0, beta=0.0))
    assert stage.wanted == Wanted(logits=True)
    given = Targets(teacher)(batch, stage.wanted)
    inputs, labels = model_inputs(batch, stage.model), torch.from_numpy(batch.labels)
    found = stage(inputs, given, labels)
    assert set(found) == {"labels", "prediction"}
    assert not found["labels"].any()
    plain = PredictionStage(student, teacher, LossSettings(temperature=3.0))(inputs, given, None)
    assert torch.allclose(found["prediction"], 9 * plain["prediction"])
    with pytest.raises(DistillError, match="expected labels"):
        stage(inputs, given, None)


def test_what_does_not_fit_is_refused():
    student, teacher = patient_pair()
    with pytest.raises(DistillError, match=r"each of the student's 3 layers but the last; found \(2,\)"):
        PkdStage(student, Teacher(teacher.model, (2,)))
    narrow = Student(tiny_encoder(num_hidden_layers=3, hidden_size=16), Projections(16, 32))
    with pytest.raises(DistillError, match=r"teacher's width 32.*found 16.*layers:N"):
        PkdStage(narrow, teacher)
    PkdStage(narrow, teacher, PkdSettings(beta=0))
    with pytest.raises(DistillError, match="expected 2 labels"):
        PkdStage(patient_pair(num_labels=3)[0], teacher)
    for changes in ({"alpha": 1.1}, {"temperature": 0.0}, {"beta": math.inf}):
        with pytest.raises(DistillError, match=f"expected an? {next(iter(changes))}"):
            PkdSettings(**changes)


def test_its_identity_tells_losses_and_layers():
    told = PkdStage(*patient_pair()).identity()
    assert told["losses"] == {"alpha": 0.7, "temperature": 10.0, "beta": 500.0}
    assert told["layer_map"] == (1, 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_student_starts_from_the_first_layers_of_an_encoder(family, tmp_path):
    teacher, encoder = tiny_encoder(family), tiny_encoder(family, seed=5, num_labels=7)
    encoder.save_pretrained(tmp_path)
    student = build_student("layers:3", "first-layers", teacher, (1, 2), encoder=str(tmp_path))
    mine, theirs = student.model.state_dict(), encoder.state_dict()
    taken = {name for name in mine if torch.equal(mine[name], theirs[name])}
    assert student.model.config.num_hidden_layers == 3
    assert student.model.config.num_labels == 2
    assert taken >= {name for name in theirs if "embeddings" in name or "pooler" in name}
    layers = {name.replace(".layers.", ".layer.") for name in taken}
    assert {name.split(".layer.")[1][0] for name in layers if ".layer." in name} == {"0", "1", "2"}
    head = sorted(set(mine) - taken)
    assert all("classifier" in name or "out_proj" in name for name in head)
    again = build_student("layers:3", "first-layers", teacher, (1, 2), encoder=str(tmp_path)).model.state_dict()
    other = build_student("layers:3", "first-layers", teacher, (1, 2), seed=1, encoder=str(tmp_path))
    assert all(torch.equal(mine[name], again[name]) for name in mine)
    assert not torch.equal(mine[head[-1]], other.model.state_dict()[head[-1]])


def test_an_encoder_that_does_not_fit_is_refused(tmp_path):
    teacher = tiny_encoder()
    tiny_encoder(num_hidden_layers=2).save_pretrained(tmp_path)
    with pytest.raises(DistillError, match=r"expected num_hidden_layers 3 .* found 2"):
        build_student("layers:3", "first-layers", teacher, (1, 2), encoder=str(tmp_path))
    tiny_encoder(hidden_size=16).save_pretrained(tmp_path)
    with pytest.raises(DistillError, match=r"expected hidden_size 32 .* found 16"):
        build_student("layers:3", "first-layers", teacher, (1, 2), encoder=str(tmp_path))
    with pytest.raises(DistillError, match="expected an encoder"):
        build_student("layers:3", "first-layers", teacher, (1, 2))
    with pytest.raises(DistillError, match="and only there"):
        build_student("layers:3", "random", teacher, (1, 2), encoder=str(tmp_path))
    with pytest.raises(DistillError, match="N of 1 or more; found 'layers:0'"):
        build_student("layers:0", "random", teacher, (1, 2))


def test_a_cache_keeps_logits_and_cls_states_alone(stream, batch, tmp_path, monkeypatch):
    teacher = Teacher(tiny_encoder(), (1, 3))
    assert CacheContent.of(hidden=False, scores=False, cls=True) is CacheContent.CLS
    cold = Targets(teacher, open_cache(tmp_path / "cold", teacher, stream, CacheContent.CLS))(batch, CLS)
    cache = open_cache(tmp_path / "warm", teacher, stream, CacheContent.CLS)
    fill_cache(Targets(teacher, cache), stream)
    written = sum(path.stat().st_size for path in cache.folder.glob("*.bin"))
    assert written == 100 * 2 * (2 + 2 * 32)  # rows of 2 logits and 2 layers of 32 features, 2 bytes each
    lengths = np.full(10, 9)
    plan = plan_cache(CacheMode.AUTO, lengths, 100, cache.key, 10**6)
    assert plan.content is CacheContent.CLS
    assert "with [CLS] states 15.2 kB" in str(plan)
    direct = teacher.targets(batch, CLS)
    monkeypatch.setattr(teacher.model, "forward", None)
    warm = Targets(teacher, open_cache(cache.folder, teacher, stream, CacheContent.CLS))(batch, CLS)
    for name in ("logits", "cls"):
        values = [torch.stack(tuple(getattr(found, name))) for found in (cold, warm, direct)]
        assert torch.equal(values[0], values[1])
        assert torch.allclose(values[1], values[2], rtol=2e-3, atol=1e-3)


def test_other_caches_leave_cls_states_to_the_teacher(stream, batch, tmp_path):
    teacher = Teacher(tiny_encoder(), (1, 3))
    targets = Targets(teacher, open_cache(tmp_path, teacher, stream, "logits"))
    fill_cache(targets, stream)
    direct = teacher.targets(batch, CLS).cls
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(targets(batch, CLS).cls, direct, strict=True))


def test_a_run_goes_on_where_it_was_stopped(data, stream, tmp_path):
    def run(folder, steps):
        student, teacher = patient_pair()
        stage = PkdStage(student, teacher)
        targets = Targets(teacher, open_cache(folder / "cache", teacher, stream, CacheContent.CLS))
        calls = iter([False] * steps)
        hooks = Hooks(stop=lambda: next(calls, True))
        settings = TrainSettings(epochs=2, learning_rate=1e-3, log_every=1, cpu=True)
        train(stage, open_stream(data), targets, folder / "run", settings, hooks)
        return weights(stage)

    whole = run(tmp_path / "whole", 1000)
    with pytest.raises(StoppedError):
        run(tmp_path / "again", 17)
    resumed = run(tmp_path / "again", 1000)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert losses(tmp_path / "whole/run") == losses(tmp_path / "again/run")
    header = (tmp_path / "whole/run/losses.csv").read_text().splitlines()[0]
    assert header.endswith("loss,labels,prediction,patience")
