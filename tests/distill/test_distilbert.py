"""DistilBERT's losses against numbers worked out by hand, and its stage against plain code."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from distill.distilbert import DistilbertSettings, DistilbertStage, cosine_loss, own_mean
from distill.errors import DistillError
from distill.masking import MaskSettings, masked_places
from distill.projections import Projections
from distill.shards import Position
from distill.student import Student
from distill.teacher import Teacher, Wanted, model_inputs
from tests.distill.test_general import data  # noqa: F401
from tests.distill.test_packing import stream_of
from tests.fixtures import tiny_masked_lm

STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def pair(**changes) -> tuple[Student, Teacher]:
    teacher = Teacher(tiny_masked_lm(0, num_hidden_layers=4), (4,), predicts=False)
    student = tiny_masked_lm(1, **{"num_hidden_layers": 2, **STILL, **changes}).train()
    return Student(student, Projections(1, 1)), teacher


@pytest.fixture(scope="module")
def batch(data):  # noqa: F811
    stream = stream_of(data, batch_rows=40, masking=MaskSettings(rate=0.3))
    return next(iter(stream.batches(Position())))


def test_the_cosine_loss_by_hand():
    student = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]], [[3.0, 4.0], [math.nan, 1.0], [1.0, math.inf]]])
    teacher = torch.tensor([[[5.0, 0.0], [0.0, -1.0], [1.0, 0.0]], [[4.0, 3.0], [1.0, math.nan], [0.0, 0.0]]])
    student.requires_grad_()
    found = cosine_loss(student, teacher, torch.tensor([[1, 1, 1], [1, 0, 0]]))
    # cosines 1, -1 and 1/√2, of the second (3·4 + 4·3) / 25
    assert found.tolist() == pytest.approx([(0 + 2 + 1 - math.sqrt(0.5)) / 3, 1 - 24 / 25])
    found.sum().backward()
    assert student.grad.isfinite().all()
    assert student.grad[1, 1:].abs().sum() == 0
    assert cosine_loss(student[:1], teacher[:1], None).tolist() == pytest.approx([found[0].item()])


def test_the_mean_over_own_positions_by_hand():
    values = torch.tensor([[1.0, 2.0, 6.0], [4.0, 8.0, 100.0]])
    assert own_mean(values, torch.tensor([[1, 1, 1], [1, 1, 0]])).tolist() == [3.0, 6.0]
    assert own_mean(values, None).tolist() == pytest.approx([3.0, 112 / 3])


class Fixed(nn.Module):
    """A head that gives logits as they are told."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(states), -1)


def test_the_objective_by_hand(batch):
    """Every token has one prediction: the student says 1/4 and 3/4 at T = 1, the teacher 1/5 and 4/5 at T = 2."""
    student, teacher = pair()
    student.model.cls = Fixed(torch.tensor([0.0, math.log(3.0)]))
    teacher.model.cls = Fixed(torch.tensor([0.0, 2 * math.log(4.0)]))
    stage = DistilbertStage(student, teacher, DistilbertSettings(cosine=0)).eval()
    labels = torch.tensor([[0, 1, 1, 0], [1, 1, 1, 0], [1, 0, 1, -100]])  # row 0 hides one token, row 1 two
    inputs = model_inputs(batch, student.model)
    found = stage(inputs, teacher.targets(batch, stage.wanted), labels)
    root = math.sqrt(3.0)  # at T = 2 the student says 1 / (1 + √3) and √3 / (1 + √3)
    soft = -0.2 * math.log(1 / (1 + root)) - 0.8 * math.log(root / (1 + root))
    assert found["prediction"].tolist() == pytest.approx([5 * 4 * soft] * len(batch))
    assert found["mlm"].tolist()[:3] == pytest.approx([-2 * math.log(3 / 4), -math.log(1 / 4) - math.log(3 / 4), 0])
    assert list(found) == ["prediction", "mlm"]


def test_the_losses_are_those_of_plain_code(batch):
    student, teacher = pair()
    stage = DistilbertStage(student, teacher, DistilbertSettings(5.0, 2.0, 1.0, 2.0)).eval()
    assert stage.wanted == Wanted(hidden=True)
    labels, inputs = torch.from_numpy(batch.labels), model_inputs(batch, student.model)
    found = stage(inputs, teacher.targets(batch, stage.wanted), torch.from_numpy(masked_places(batch.labels)))
    with torch.no_grad():
        mine = student.model(**inputs, output_hidden_states=True)
        theirs = teacher.model(**inputs, output_hidden_states=True)
    for row, own in enumerate(inputs["attention_mask"].bool()):
        s, t = mine.logits[row, own], theirs.logits[row, own]
        kl = nn.functional.kl_div(torch.log_softmax(s / 2, -1), torch.softmax(t / 2, -1), reduction="batchmean")
        entropy = torch.distributions.Categorical(logits=t / 2).entropy().mean()  # what the authors leave out
        assert found["prediction"][row].item() == pytest.approx(5 * 4 * (kl + entropy).item(), rel=1e-4)
        hidden = labels[row] != -100
        hard = nn.functional.cross_entropy(mine.logits[row, hidden], labels[row, hidden]) if hidden.any() else 0.0
        assert found["mlm"][row].item() == pytest.approx(2 * float(hard), rel=1e-4)
        states = (one.hidden_states[-1][row, own] for one in (mine, theirs))
        angle = nn.functional.cosine_embedding_loss(*states, torch.ones(int(own.sum())))
        assert found["cosine"][row].item() == pytest.approx(angle.item(), rel=1e-4)


def test_a_masked_lm_loss_alone_reads_masked_tokens_alone(batch):
    student, teacher = pair(hidden_size=16)
    labels, inputs = torch.from_numpy(masked_places(batch.labels)), model_inputs(batch, student.model)
    stage = DistilbertStage(student, teacher, DistilbertSettings(0, 2, 0)).eval()
    assert stage.wanted == Wanted()
    found = stage(inputs, teacher.targets(batch, stage.wanted), labels)
    both = DistilbertStage(student, teacher, DistilbertSettings(1, 2, 0)).eval()
    expected = both(inputs, teacher.targets(batch, both.wanted), labels)
    assert list(found) == ["mlm"]
    torch.testing.assert_close(found["mlm"], expected["mlm"])


def test_every_parameter_that_is_trained_is_reached(batch):
    labels = torch.from_numpy(masked_places(batch.labels))
    for settings in (DistilbertSettings(), DistilbertSettings(1, 0, 0), DistilbertSettings(0, 0, 1)):
        student, teacher = pair()
        stage = DistilbertStage(student, teacher, settings)
        losses = stage(model_inputs(batch, student.model), teacher.targets(batch, stage.wanted), labels)
        sum(loss.sum() for loss in losses.values()).backward()
        for name, parameter in stage.named_parameters():
            assert (parameter.grad is not None) == parameter.requires_grad, name
        assert student.model.cls.predictions.transform.dense.weight.requires_grad == (settings.soft > 0)


@pytest.mark.parametrize("values", [(0, 0, 0), (-1, 2, 1), (5, math.nan, 1), (5, 2, 1, 0)])
def test_settings_that_cannot_be_are_refused(values):
    with pytest.raises(DistillError, match=r"expected (weights of 0 or more|a temperature above 0)"):
        DistilbertSettings(*values)


def test_what_does_not_fit_is_refused(batch):
    student, teacher = pair()
    with pytest.raises(DistillError, match="student of the teacher's width 32, to compare"):
        DistilbertStage(pair(hidden_size=16)[0], teacher)
    with pytest.raises(DistillError, match="embeddings in the student as the teacher has"):
        DistilbertStage(pair(vocab_size=500)[0], teacher)
    with pytest.raises(DistillError, match=r"last layer alone as its layer map \(4,\); found \(2, 4\)"):
        DistilbertStage(student, Teacher(teacher.model, (2, 4), predicts=False))
    stage = DistilbertStage(student, teacher)
    with pytest.raises(DistillError, match="expected masked tokens"):
        stage(model_inputs(batch, student.model), teacher.targets(batch, stage.wanted), None)
