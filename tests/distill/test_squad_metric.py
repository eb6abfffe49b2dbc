"""Exact match and F1 against numbers worked out by hand from the published rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.squad_metric import Question, answer_scores, best_threshold, f1, normalised, squad_scores
from tests.oracles import plain_squad

NONE = float("-inf")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Eiffel\tTower!", "eiffel tower"),
        ("an apple, a day", "apple day"),
        ("theatre and anthem", "theatre and anthem"),  # articles are whole words
        ("U.S.", "us"),
        ("a.", ""),
        ("“Paris”", "“paris”"),  # only ASCII punctuation goes
    ],
)
def test_normalised(text, expected):
    assert normalised(text) == expected


def test_f1_counts_words_as_often_as_they_occur():
    # 2 of 3 predicted words are true (precision 2/3), 2 of 2 true words are predicted (recall 1): 2·(2/3)/(5/3) = 0.8
    assert f1("red red blue", "red blue") == pytest.approx(0.8)
    assert f1("red red", "red red red") == pytest.approx(0.8)
    assert f1("green", "red") == 0.0


@pytest.mark.parametrize(
    ("predicted", "answers", "expected"),
    [
        ("the tower", ("Tower.", "a tall tower"), (1.0, 1.0)),  # the best of several
        ("tall tower", ("tower", "small tower"), (0.0, 2 / 3)),
        ("", (), (1.0, 1.0)),
        ("tower", (), (0.0, 0.0)),
        ("", ("tower",), (0.0, 0.0)),
        ("the", (), (1.0, 1.0)),  # nothing is left of it
        ("x", ("the", "x"), (1.0, 1.0)),  # an answer of which nothing is left does not count
        ("", ("the",), (1.0, 1.0)),  # no answer is left
    ],
)
def test_answer_scores(predicted, answers, expected):
    assert answer_scores(predicted, answers) == pytest.approx(expected)


def test_scores_of_version_1_know_no_threshold():
    questions = [Question(("red",), "red", NONE), Question(("red blue",), "blue", NONE)]
    assert squad_scores(questions, impossible=False) == pytest.approx({"exact": 0.5, "f1": (1 + 2 / 3) / 2})


def test_scores_of_version_2():
    questions = [
        Question(("red",), "red", -3.0),  # right at 0
        Question(("blue",), "blue", 1.0),  # right span, held back at 0
        Question((), "green", 2.0),  # rightly no answer
        Question((), "grey", -1.0),  # a wrong answer at 0
    ]
    found = squad_scores(questions, impossible=True)
    # at 0: right, wrong, right, wrong. By rising odds from 2 (no answer at all): +1 (−3), −1 (−1), +1 (1), −1 (2):
    # 3, 2, 3, 2: the best is 3 of 4, first reached at −3.
    assert found == pytest.approx(
        {
            "exact": 0.5,
            "f1": 0.5,
            "best_exact": 0.75,
            "best_exact_thresh": -3.0,
            "best_f1": 0.75,
            "best_f1_thresh": -3.0,
            "HasAns_f1": 0.5,
            "HasAns_exact": 0.5,
            "NoAns_f1": 0.5,
        }
    )


def test_answering_nothing_may_be_best():
    assert best_threshold([Question((), "x", -1.0), Question(("y",), "x", 0.5)], [0.0, 0.0]) == (0.5, 0.0)


BY_HAND = (
    "", " ", "the", "The.", "a", "an apple", "a-n", "the-the cat", "U.S.A.", "US A", "an'", "A.D. 5", "3.14", "314",
    "the\u00a0cat", "cat\tdog\ncat", "Ünïcode THE Café", "“quoted”", "don't", "dont", "theatre", "a_b", "the_cat",
    "İstanbul", "ﬁre", "1,000 a day", "x\u2028y", "-- the --", "cat.the.dog", "ǅ", "٣ the", "a\u0301 b", "the\u0301",
)  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(BY_HAND),
    st.lists(st.sampled_from(["the", "a", "An", "cat", "dog", "cat's", "U.S.", "-", "é", " ", "5"]), max_size=5).map(
        " ".join
    ),
    st.text(max_size=12),
)
QUESTIONS = st.lists(
    st.tuples(st.lists(TEXTS, max_size=3), TEXTS, st.integers(-4, 4).map(float)), min_size=1, max_size=9
)


@pytest.mark.parametrize("predicted", BY_HAND)
def test_every_pair_of_texts_scores_as_the_plain_rules_say(predicted):
    for answer in BY_HAND:
        assert normalised(answer).split() == plain_squad.words_of(answer)
        assert answer_scores(predicted, [answer]) == pytest.approx(plain_squad.raw_scores([answer], predicted))


@given(QUESTIONS)
def test_scores_and_best_thresholds_are_those_of_the_plain_rules(asked):
    found = squad_scores([Question(tuple(answers), said, odds) for answers, said, odds in asked], impossible=True)
    at_zero = plain_squad.thresholded(asked, 0.0)
    for place, name in enumerate(("exact", "f1")):
        assert found[name] == pytest.approx(plain_squad.mean(at_zero, place))
        best, threshold = plain_squad.best_threshold(asked, place)
        assert (found[f"best_{name}"], found[f"best_{name}_thresh"]) == pytest.approx((best, threshold))
        for kind, wanted in (("HasAns", True), ("NoAns", False)):
            some = [score for score, (answers, _, _) in zip(at_zero, asked, strict=True) if bool(answers) is wanted]
            if some and f"{kind}_{name}" in found:
                assert found[f"{kind}_{name}"] == pytest.approx(plain_squad.mean(some, place))
