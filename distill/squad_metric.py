"""Exact match and F1 of answers by the rules of SQuAD's official evaluation (Rajpurkar et al., 2016 and 2018).

Written from the published rules: lower case, no punctuation, no articles, single blanks; the best over several true
answers; a question without an answer wants the empty text. True answers that are empty once normalised do not count,
by the rules of 2.0; those of 1.1, which has no such answers, differ there alone.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """A text in lower case, without punctuation and articles, with single blanks."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact_match(predicted: str, true: str) -> float:
    """1.0 if both are the same once normalised, else 0.0."""
    return float(normalised(predicted) == normalised(true))


def f1(predicted: str, true: str) -> float:
    """The harmonic mean of precision and recall of the words; of empty texts whether both are."""
    mine, theirs = normalised(predicted).split(), normalised(true).split()
    if not mine or not theirs:
        return float(mine == theirs)
    same = sum((Counter(mine) & Counter(theirs)).values())
    return 2 * same / (len(mine) + len(theirs))


def answer_scores(predicted: str, answers: Sequence[str]) -> tuple[float, float]:
    """Exact match and F1 of one question, each the best over its true answers; none wants the empty text."""
    wanted = [answer for answer in answers if normalised(answer)] or [""]
    return max(exact_match(predicted, one) for one in wanted), max(f1(predicted, one) for one in wanted)


@dataclass(frozen=True)
class Question:
    """What is judged of one question.

    Attributes:
        answers: the true ones; none where it has no answer.
        predicted: the best span's text, whether or not none is more probable.
        null_odds: score of no answer minus that of the best span; below the threshold the span is the answer.
    """

    answers: tuple[str, ...]
    predicted: str
    null_odds: float = float("-inf")

    def at(self, threshold: float) -> str:
        """The answer at a threshold."""
        return "" if self.null_odds > threshold else self.predicted


def squad_scores(questions: Sequence[Question], impossible: bool) -> dict[str, float]:
    """Scores over all questions, each from 0 to 1.

    Args:
        questions: at least one.
        impossible: whether some may have no answer (2.0): scores at a threshold of 0, of both kinds of questions, and
            at the threshold that is best on these questions.

    Returns:
        "f1" and "exact"; of 2.0 also "best_f1", "best_f1_thresh", "best_exact", "best_exact_thresh" and, where there
        are such questions, "HasAns_f1", "HasAns_exact" and "NoAns_f1" (in which both are equal).
    """
    spans = [answer_scores(one.predicted, one.answers) for one in questions]
    at_zero = [  # held back it is right where there is no answer, even where nothing is left of all true ones
        span if one.null_odds <= 0 else (float(not one.answers),) * 2
        for one, span in zip(questions, spans, strict=True)
    ]
    scores = _means(at_zero, "")
    if not impossible:
        return scores
    with_answer = [found for one, found in zip(questions, at_zero, strict=True) if one.answers]
    without = [found for one, found in zip(questions, at_zero, strict=True) if not one.answers]
    for place, name in enumerate(("exact", "f1")):
        best, threshold = best_threshold(questions, [found[place] for found in spans])
        scores |= {f"best_{name}": best, f"best_{name}_thresh": threshold}
    scores |= _means(with_answer, "HasAns_") if with_answer else {}
    return scores | ({"NoAns_f1": _means(without, "")["f1"]} if without else {})


def best_threshold(questions: Sequence[Question], scores: Sequence[float]) -> tuple[float, float]:
    """The best mean over all thresholds of the odds, and the lowest threshold that gives it.

    Args:
        questions: at least one.
        scores: of the spans, whether or not they are given as answers.
    """
    total = float(sum(not one.answers for one in questions))  # no answer to any
    best, threshold = total, 0.0
    for one, score in sorted(zip(questions, scores, strict=True), key=lambda pair: pair[0].null_odds):
        total += score if one.answers else (-1.0 if one.predicted else 0.0)
        if total > best:
            best, threshold = total, one.null_odds
    return best / len(questions), threshold


def always_no_answer(questions: Mapping[str, Question]) -> float:
    """The score of whoever answers no question: the share of those that have no answer."""
    return sum(not one.answers for one in questions.values()) / max(1, len(questions))


def _means(found: Sequence[tuple[float, float]], prefix: str) -> dict[str, float]:
    exact, overlap = (sum(values) / len(found) for values in zip(*found, strict=True))
    return {f"{prefix}f1": overlap, f"{prefix}exact": exact}
