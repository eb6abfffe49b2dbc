"""Embeddings from the teacher's principal components, checked against numpy, and a W_e that fits them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from distill.embedding_init import NOT_PROJECTED, principal_components, project_embeddings
from distill.errors import DistillError
from distill.outputs import embedding_output
from distill.projections import Projections
from distill.student import Student
from tests.distill.models import FAMILIES, tiny_encoder
from tests.fixtures import VOCABULARY, tiny_masked_lm


def student_of(**changes) -> Student:
    model = tiny_masked_lm(1, **{"hidden_size": 16, "intermediate_size": 32, **changes})
    return Student(model, Projections(model.config.hidden_size, 32))


def test_principal_components_are_those_of_numpy():
    matrix = torch.randn(200, 12) @ torch.randn(12, 12) + 3
    mean, components = principal_components(matrix, 5)
    centred = matrix.double().numpy() - matrix.double().numpy().mean(0)
    vectors = np.linalg.svd(centred, full_matrices=False)[2][:5].T
    signs = np.sign((vectors * components.numpy()).sum(0))
    assert np.allclose(components.numpy(), vectors * signs, atol=1e-8)
    assert np.allclose(mean, matrix.double().numpy().mean(0))
    assert (components.gather(0, components.abs().argmax(0, keepdim=True)) > 0).all()


def test_word_embeddings_are_the_first_components_at_the_teachers_scale():
    teacher, student = tiny_masked_lm(0), student_of()
    project_embeddings(student, teacher)
    theirs = teacher.bert.embeddings.word_embeddings.weight.detach().double().numpy()
    mine = student.model.bert.embeddings.word_embeddings.weight.detach().double().numpy()
    left, values, _ = np.linalg.svd(theirs - theirs.mean(0), full_matrices=False)
    scores = left[:, :16] * values[:16]
    ratio = (mine * scores).sum(0) / np.square(scores).sum(0)  # one factor, up to the components' signs
    assert np.allclose(np.abs(ratio), abs(ratio[0]), rtol=1e-4)
    assert np.allclose(mine, scores * ratio, atol=1e-5)
    assert np.sqrt(np.square(mine.std(0)).mean()) == pytest.approx(np.sqrt(np.square(theirs.std(0)).mean()), rel=2e-2)
    assert student.model.cls.predictions.decoder.weight is student.model.bert.embeddings.word_embeddings.weight


def test_the_embedding_loss_starts_far_below_that_of_a_random_start():
    teacher, ids = tiny_masked_lm(0), torch.arange(len(VOCABULARY))[: 50 * 2].view(2, 50)

    def loss(student: Student, projections: Projections) -> float:
        with torch.no_grad():
            mine = embedding_output(student.model.eval(), {"input_ids": ids}) @ projections.W_e
            return float((mine - embedding_output(teacher, {"input_ids": ids})).square().mean())

    projected, drawn = student_of(), student_of()
    project_embeddings(projected, teacher)
    found, random = loss(projected, projected.projections), loss(drawn, drawn.projections)
    assert found < 0.6 * random
    refitted = Projections(16, 32)  # random embeddings with the best W_e for them
    with torch.no_grad():
        theirs = embedding_output(teacher, {"input_ids": ids}).flatten(0, 1)
        refitted.W_e.copy_(torch.linalg.lstsq(embedding_output(drawn.model, {"input_ids": ids}).flatten(0, 1), theirs,
                                              driver="gelsd").solution)  # fmt: skip
    assert found < loss(drawn, refitted)


def test_a_student_of_equal_width_starts_where_the_teacher_stands():
    teacher, student = tiny_masked_lm(0), student_of(hidden_size=32, intermediate_size=64)
    project_embeddings(student, teacher)
    ids = torch.arange(40).view(1, 40)
    with torch.no_grad():
        mine = embedding_output(student.model.eval(), {"input_ids": ids}) @ student.projections.W_e
        theirs = embedding_output(teacher, {"input_ids": ids})
    assert float((mine - theirs).square().mean()) < 0.1 * float(theirs.square().mean())


def narrow_teacher(family: str, **changes):
    """An encoder whose embeddings have twelve dimensions: a student of sixteen can have all that they say."""
    teacher, basis = tiny_encoder(family, **changes), torch.randn(12, 32, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        for table in teacher.base_model.embeddings.modules():
            if isinstance(table, torch.nn.Embedding):
                table.weight.copy_(table.weight[:, :12] @ basis)
    return teacher


def embedding_loss(student: Student, teacher, length: int) -> float:
    """Of sequences of so many tokens from all over the vocabulary."""
    ids = (torch.arange(4 * length) * 31 % len(VOCABULARY)).view(4, length)
    with torch.no_grad():
        mine = embedding_output(student.model.eval(), {"input_ids": ids}) @ student.projections.W_e
        return float((mine - embedding_output(teacher, {"input_ids": ids})).square().mean())


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in ("bert", *NOT_PROJECTED)])
def test_other_families(family):
    teacher, student = narrow_teacher(family), tiny_encoder(family, 1, hidden_size=16)
    whole = Student(student, Projections(16, 32))
    random = embedding_loss(whole, teacher, 50)
    project_embeddings(whole, teacher)
    assert embedding_loss(whole, teacher, 50) < 0.02 * random


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize(("mine", "theirs"), [(128, 64), (64, 128)])
def test_other_numbers_of_positions(family, mine, theirs):
    """The rows that both have are projected, the rest stays as drawn; RoBERTa's count from behind the padding id."""
    teacher = narrow_teacher(family, max_position_embeddings=theirs)
    student = tiny_encoder(family, 1, hidden_size=16, max_position_embeddings=mine)
    whole = Student(student, Projections(16, 32))
    positions = student.base_model.embeddings.position_embeddings.weight
    before, usable = positions.detach().clone(), 64 if family == "bert" else 62
    random = embedding_loss(whole, teacher, usable)
    project_embeddings(whole, teacher)
    assert embedding_loss(whole, teacher, usable) < 0.02 * random
    assert not (positions[64 - usable : 64] == before[64 - usable : 64]).all(1).any()
    assert torch.equal(positions[64:], before[64:])


def test_what_does_not_fit_is_refused():
    with pytest.raises(DistillError, match=r"no wider than its teacher \(32\)"):
        project_embeddings(student_of(hidden_size=64), tiny_masked_lm(0))
    with pytest.raises(DistillError, match="embeddings in the student as the teacher has; found 200"):
        project_embeddings(student_of(vocab_size=200), tiny_masked_lm(0))
    with pytest.raises(DistillError, match="of one family"):
        project_embeddings(student_of(), tiny_encoder("roberta"))


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_the_mean_of_the_words_is_kept_in_what_is_added_to_each(family):
    """Of equal width the projection is a rotation: each sum of a word and a place stays as long as it was."""
    teacher, model = tiny_encoder(family), tiny_encoder(family)
    with torch.no_grad():
        teacher.base_model.embeddings.word_embeddings.weight += 0.5
    project_embeddings(Student(model, Projections(32, 32)), teacher)

    def lengths(encoder) -> torch.Tensor:
        tables = encoder.base_model.embeddings
        added = tables.position_embeddings.weight[:9]
        if hasattr(tables, "token_type_embeddings"):
            added = added + tables.token_type_embeddings.weight[0]
        return (tables.word_embeddings.weight[10:19] + added).norm(dim=1)  # [9]

    torch.testing.assert_close(lengths(model), lengths(teacher), rtol=1e-3, atol=1e-3)
