"""SQuAD's official evaluation (2.0) step by step, written from its published rules; shares no code with `distill`.

Texts are read character by character; thresholds are tried one by one, each over all questions.
"""

from __future__ import annotations

import math

ASCII_MARKS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
ARTICLES = ("a", "an", "the")


def words_of(text: str) -> list[str]:
    """Lower case; punctuation goes, so that what it set apart grows together; articles go; the rest between blanks."""
    kept = [character for character in text.lower() if character not in ASCII_MARKS]
    spaced = list[str]()
    for kind, run in _runs(kept):
        spaced.append(" " if kind and run in ARTICLES else run)
    return "".join(spaced).split()


def _runs(characters: list[str]) -> list[tuple[bool, str]]:
    """Runs of letters, digits and underscores, as a regular expression's word, and of all others."""
    found = list[tuple[bool, str]]()
    for character in characters:
        kind = character.isalnum() or character == "_"
        if found and found[-1][0] == kind:
            found[-1] = kind, found[-1][1] + character
        else:
            found.append((kind, character))
    return found


def exact(answer: str, predicted: str) -> float:
    return 1.0 if " ".join(words_of(answer)) == " ".join(words_of(predicted)) else 0.0


def f1(answer: str, predicted: str) -> float:
    true, said = words_of(answer), words_of(predicted)
    if not true or not said:
        return 1.0 if true == said else 0.0
    left, same = list(true), 0
    for word in said:
        if word in left:
            left.remove(word)
            same += 1
    if same == 0:
        return 0.0
    precision, recall = same / len(said), same / len(true)
    return 2 * precision * recall / (precision + recall)


def raw_scores(answers: list[str], predicted: str) -> tuple[float, float]:
    """The best of all true answers of which something is left; of a question without any, that of the empty text."""
    wanted = [answer for answer in answers if words_of(answer)] or [""]
    return max(exact(one, predicted) for one in wanted), max(f1(one, predicted) for one in wanted)


def thresholded(questions: list[tuple[list[str], str, float]], threshold: float) -> list[tuple[float, float]]:
    """Scores where a question whose odds of no answer are above the threshold is given none."""
    return [
        (float(not answers),) * 2 if odds > threshold else raw_scores(answers, predicted)
        for answers, predicted, odds in questions
    ]


def best_threshold(questions: list[tuple[list[str], str, float]], metric: int) -> tuple[float, float]:
    """From no answer to any, questions are answered one by one by their odds; the first threshold of the best sum."""
    score = float(sum(1 for answers, _, _ in questions if not answers))
    best, threshold = score, 0.0
    for answers, predicted, odds in sorted(questions, key=lambda question: question[2]):
        if answers:
            score += raw_scores(answers, predicted)[metric]
        elif predicted:
            score -= 1.0
        if score > best:
            best, threshold = score, odds
    return best / len(questions), threshold


def mean(scores: list[tuple[float, float]], metric: int) -> float:
    return math.fsum(score[metric] for score in scores) / len(scores)
