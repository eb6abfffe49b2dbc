"""Losses, windows and best spans, against numbers and positions worked out by hand."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch

from distill.errors import DistillError
from distill.span_answers import Places, best_answer
from distill.spans import head_label_loss, span_label_loss, span_prediction_loss
from distill.tokens import tokenizer_json
from distill.windows import SHIFT, WindowCutter, span_label
from tests.fixtures import tiny_tokenizer


def logits(starts: list[float], ends: list[float]) -> torch.Tensor:
    return torch.tensor([list(zip(starts, ends, strict=True))])


def test_label_loss_is_the_mean_of_both_ends():
    # start: uniform over 4 positions, ln 4. End: weights 1, 1, 1, 3 at position 3, −ln(3/6) = ln 2
    given = logits([0, 0, 0, 0], [0, 0, 0, log(3)])
    labels = torch.tensor([float(span_label(1, 3))], dtype=torch.float64)
    assert span_label_loss(given, labels).tolist() == pytest.approx([(log(4) + log(2)) / 2])
    assert head_label_loss(given, labels).tolist() == pytest.approx([(log(4) + log(2)) / 2])


def test_prediction_loss_is_soft_cross_entropy_over_own_positions():
    # teacher's starts 3/4, 1/4; student's 1/2, 1/2: ln 2. Ends: both 1/4, 3/4: 1/4 ln 4 + 3/4 ln (4/3)
    teacher = logits([log(3), 0, 50], [0, log(3), 50])
    student = logits([0, 0, 70], [0, log(3), -70])
    mask = torch.tensor([[1, 1, 0]])
    expected = (log(2) + (log(4) / 4 + 3 * log(4 / 3) / 4)) / 2
    assert span_prediction_loss(student, teacher, mask).tolist() == pytest.approx([expected])
    assert span_prediction_loss(student[:, :2], teacher[:, :2], None).tolist() == pytest.approx([expected])


def test_padding_has_no_gradient():
    student = logits([0.0, 1, 2], [1.0, 0, 2]).requires_grad_()
    span_prediction_loss(student, logits([3.0, 1, 9], [1, 2, 9]), torch.tensor([[1, 1, 0]])).sum().backward()
    assert student.grad is not None
    assert student.grad[0, 2].tolist() == [0, 0]
    assert student.grad[0, :2].abs().min() > 0


def test_padding_has_no_share_at_a_low_temperature():
    # t = 0.1 makes it 10 times the logits: teacher's starts 3/4, 1/4; student's 1/2, 1/2, likewise the ends
    teacher, student = logits([log(3) / 10, 0, 5], [0, log(3) / 10, 5]), logits([0, 0, 7], [0, 0, 7])
    loss = span_prediction_loss(student, teacher, torch.tensor([[1, 1, 0]]), 0.1)
    assert loss.tolist() == pytest.approx([log(2)])


def test_a_teacher_of_labels_is_refused():
    with pytest.raises(DistillError, match="head for spans"):
        span_prediction_loss(torch.zeros(1, 3, 2), torch.zeros(1, 2), None)


CONTEXT = "one two three red green blue cat dog bird fish"  # ten tokens


def cut(max_length: int, answer: str | None, question: str = "the film"):
    start = None if answer is None else CONTEXT.index(answer)
    span = None if answer is None or start is None else (start, start + len(answer))
    return next(WindowCutter(tokenizer_json(tiny_tokenizer()), max_length).cut([question], [CONTEXT], [span]))


def test_windows_overlap_and_know_their_answer():
    # 12 tokens: the question has 2 (a sixth), [CLS] q q [SEP] and [SEP] leave 7 for the context, the stride is 4
    windows = cut(12, "blue cat")
    assert [len(window.ids) for window in windows] == [12, 11]
    assert [window.first for window in windows] == [4, 4]
    assert [CONTEXT[window.starts[0] : window.ends[-1]] for window in windows] == [
        "one two three red green blue cat",
        "green blue cat dog bird fish",
    ]
    # tokens 5 and 6 of the context: at 9 and 10, and at 5 and 6 of the window that starts with token 4
    assert [divmod(window.label, SHIFT) for window in windows] == [(9, 10), (5, 6)]
    # blue has 1 token on its shorter side in both, and the first window is longer; cat has 0 there, 2 in the second
    assert [window.best for window in windows] == [[True] * 6 + [False], [False] * 2 + [True] * 4]


def test_part_of_an_answer_is_none():
    windows = cut(12, "red green")
    assert [divmod(window.label, SHIFT) for window in windows] == [(7, 8), (0, 0)]
    assert [window.has_answer for window in cut(12, "two three red green blue cat dog bird")] == [False, False]
    assert [window.has_answer for window in cut(12, None)] == [False, False]


def test_a_long_question_is_cut_and_segments_are_bert_s():
    [window] = cut(24, "dog", "the film is a very good film")
    assert tiny_tokenizer().convert_ids_to_tokens(window.ids)[:7] == ["[CLS]", "the", "film", "is", "a", "[SEP]", "one"]
    assert window.types == [0] * 6 + [1] * 11


def places(tokens: int, best: list[bool] | None = None) -> Places:
    starts = [3 * one for one in range(tokens)]
    return Places(2, starts, [start + 2 for start in starts], best or [True] * tokens)


def spikes(length: int, starts: dict[int, float], ends: dict[int, float]) -> np.ndarray:
    found = np.full((length, 2), -10.0, np.float32)
    for column, some in enumerate((starts, ends)):
        for place, value in some.items():
            found[place, column] = value
    return found


def test_the_best_span_lies_in_the_context_and_ends_after_its_start():
    # position 0 is [CLS], 1 the question, 2 to 5 the context, 6 [SEP]
    one = spikes(7, {0: 1.0, 1: 9.0, 4: 5.0, 2: 3.0}, {0: 0.5, 6: 9.0, 3: 5.0, 5: 1.0})
    answer = best_answer([(places(4), one)])
    assert (answer.start, answer.end, answer.score) == (0, 5, 8.0)  # from 2 to 3; 4 to 3 would be 10
    assert answer.null_score == 1.5
    assert answer.null_odds == -6.5


def test_the_best_window_gives_the_answer_and_the_least_null_score():
    first, second = spikes(7, {0: 4.0, 2: 1.0}, {0: 4.0, 2: 1.0}), spikes(7, {0: 1.0, 3: 3.0}, {0: 1.0, 3: 3.0})
    answer = best_answer([(places(4), first), (places(4), second)])
    assert (answer.start, answer.end, answer.score, answer.null_score) == (3, 5, 6.0, 2.0)
    hidden = best_answer([(places(4), first), (places(4, [True, False, True, True]), second)])
    assert (hidden.start, hidden.score) == (0, 2.0)  # the start has more context around it in another window


def test_answers_have_thirty_tokens_at_most():
    one = spikes(44, {2: 5.0}, {32: 9.0, 31: 1.0})
    assert best_answer([(places(40), one)]).end == 3 * 29 + 2  # from 2 to 31 are thirty
