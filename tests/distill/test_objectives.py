"""Which parameters learn in which stage, and that stages refuse what does not fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from distill.errors import DistillError
from distill.losses import HeadReduction, LossSettings
from distill.objectives import IntermediateStage, LabelStage, PredictionStage
from distill.outputs import recorded_layers
from distill.projections import Projections
from distill.shards import Position
from distill.student import Student
from distill.targets import Targets
from distill.teacher import Teacher, model_inputs
from distill.weights import in_head
from tests.distill.data import open_stream, write_shards
from tests.distill.models import FAMILIES, tiny_encoder, tiny_student
from tests.distill.runs import LAYERS, tiny_pair


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    return next(open_stream(write_shards(tmp_path_factory.mktemp("data"), (20,))).batches(Position()))


def gradients(stage, teacher, batch) -> tuple[set[str], set[str]]:
    """Names of parameters with and without a gradient."""
    given = Targets(teacher)(batch, stage.wanted)
    losses = stage(model_inputs(batch, stage.model), given, torch.from_numpy(batch.labels))
    torch.stack([loss.sum() for loss in losses.values()]).sum().backward()
    assert all(loss.shape == (len(batch),) for loss in losses.values())
    named = dict(stage.named_parameters())
    with_gradient = {name for name, p in named.items() if p.grad is not None and p.grad.abs().sum() > 0}
    assert all(p.grad is None for p in teacher.model.parameters())
    assert not teacher.model.training
    assert all(named[name].requires_grad for name in with_gradient)
    return with_gradient, set(named) - with_gradient


def test_intermediate_trains_all_but_pooler_and_classifier(batch):
    student, teacher = tiny_pair()
    found, rest = gradients(IntermediateStage(student, teacher, LossSettings()), teacher, batch)
    assert {"projections.W_h", "projections.W_e"} <= found
    assert rest == {
        "model.bert.pooler.dense.weight",
        "model.bert.pooler.dense.bias",
        "model.classifier.weight",
        "model.classifier.bias",
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns_from_its_own(batch, family):
    teacher = Teacher(tiny_encoder(family), (2, 4))
    student = Student(tiny_encoder(family, 1, num_hidden_layers=2), Projections(32, 32))
    _, rest = gradients(IntermediateStage(student, teacher, LossSettings()), teacher, batch)
    assert all(in_head(student.model, name.removeprefix("model.")) for name in rest)
    assert any("classifier" in name for name in rest)
    _, rest = gradients(PredictionStage(student, teacher, LossSettings()), teacher, batch)
    assert rest == set()


def test_prediction_trains_all_but_the_projections(batch):
    student, teacher = tiny_pair()
    IntermediateStage(student, teacher, LossSettings())  # what the stage before froze learns again
    stage = PredictionStage(student, teacher, LossSettings())
    found, rest = gradients(stage, teacher, batch)
    assert rest == set()
    assert found == {f"model.{name}" for name, _ in student.model.named_parameters()}
    assert student.projections.W_h.grad is None


def test_the_embedding_loss_alone_has_its_weight(batch):
    student, teacher = tiny_pair()
    alone = {"attention": False, "hidden": False}
    found = []
    for weights in (None, (3.0, 1.0, 1.0, 1.0)):
        stage = IntermediateStage(student, teacher, LossSettings(layer_weights=weights, **alone))
        found.append(stage(model_inputs(batch, stage.model), Targets(teacher)(batch, stage.wanted), None))
    assert torch.allclose(found[1]["embedding"], 3 * found[0]["embedding"])


@pytest.mark.parametrize(("off", "frozen"), [("hidden", "W_h"), ("embedding", "W_e")])
def test_switched_off_losses_freeze_their_projection(batch, off, frozen):
    student, teacher = tiny_pair()
    stage = IntermediateStage(student, teacher, LossSettings(**{off: False}))
    _, rest = gradients(stage, teacher, batch)
    assert f"projections.{frozen}" in rest
    assert not dict(stage.named_parameters())[f"projections.{frozen}"].requires_grad
    assert stage.reaches_all == (off != "hidden")


def test_without_attention_neither_model_returns_scores(batch):
    student, teacher = tiny_pair()
    stage = IntermediateStage(student, teacher, LossSettings(attention=False))
    assert recorded_layers(student.model) == ()
    assert Targets(teacher)(batch, stage.wanted).scores == ()
    assert recorded_layers(teacher.model) == ()
    stage = IntermediateStage(student, teacher, LossSettings(hidden=False))
    assert Targets(teacher)(batch, stage.wanted).hidden == ()
    assert recorded_layers(teacher.model) == LAYERS


def test_a_student_of_teacher_layers_has_no_embedding_loss(batch):
    teacher = Teacher(tiny_encoder(), (1, 2, 3, 4))
    student = Student(tiny_encoder(), Projections(32, 32))
    stage = IntermediateStage(student, teacher, LossSettings()).eval()
    losses = stage(model_inputs(batch, stage.model), Targets(teacher)(batch, stage.wanted), None)
    assert all(loss.abs().max() < 1e-6 for loss in losses.values())


def test_regression_and_labels(batch):
    teacher = Teacher(tiny_encoder(num_labels=1))
    student = Student(tiny_student(num_labels=1), Projections(16, 32))
    stage = PredictionStage(student, teacher, LossSettings()).eval()
    inputs, given = model_inputs(batch, stage.model), Targets(teacher)(batch, stage.wanted)
    own = student.model(**inputs).logits
    assert torch.allclose(stage(inputs, given, None)["prediction"], (own - given.logits)[:, 0].square())
    labels = LabelStage(student.model)(inputs, given, torch.ones(len(batch)))["labels"]
    assert torch.allclose(labels, (own[:, 0] - 1).square())
    classes = LabelStage(tiny_student())(inputs, given, torch.from_numpy(batch.labels))["labels"]
    assert classes.shape == (len(batch),)


def test_refusals():
    _, teacher = tiny_pair()
    five = Student(tiny_student(hidden_size=20, num_attention_heads=5), Projections(20, 32))
    with pytest.raises(DistillError, match="expected 4 attention heads as the teacher has; found 5"):
        IntermediateStage(five, teacher, LossSettings())
    IntermediateStage(five, teacher, LossSettings(heads=HeadReduction.MEAN))
    three = Student(tiny_student(num_hidden_layers=3), Projections(16, 32))
    with pytest.raises(DistillError, match=f"student's 3; found \\({LAYERS[0]}, {LAYERS[1]}\\)"):
        IntermediateStage(three, teacher, LossSettings())
    with pytest.raises(DistillError, match=r"projections \(16, 32\)"):
        IntermediateStage(Student(tiny_student(), Projections(16, 16)), teacher, LossSettings())
    with pytest.raises(DistillError, match="expected 2 labels as the teacher has; found 3"):
        PredictionStage(Student(tiny_student(num_labels=3), Projections(16, 32)), teacher, LossSettings())


def test_scores_outside_a_window_of_either_do_not_count(batch):
    teacher = Teacher(tiny_encoder("modernbert"), (1, 2))  # sees all, then windows
    student = Student(
        tiny_encoder("modernbert", 1, num_hidden_layers=2, layer_types=["sliding_attention"] * 2), Projections(32, 32)
    )
    stage = IntermediateStage(student, teacher, LossSettings(hidden=False, embedding=False))
    assert stage.windows == [2, 2]
    inputs, given = model_inputs(batch, stage.model), teacher.targets(batch, stage.wanted)
    before = stage(inputs, given, None)["attention"]
    place = torch.arange(batch.ids.shape[1])
    far = (place[:, None] - place).abs() > 2
    assert far.any()
    changed = replace(given, scores=tuple(scores.masked_fill(far, 1e4) for scores in given.scores))
    assert torch.equal(stage(inputs, changed, None)["attention"], before)
    assert stage.identity()["windows"] == [2, 2]
    assert "windows" not in IntermediateStage(*tiny_pair(), LossSettings()).identity()
