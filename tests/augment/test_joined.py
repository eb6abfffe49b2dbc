"""What is written together: a table by hand, and the rule in plain Python on arbitrary texts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment import Augmenter
from augment.joined import joined_spans
from augment.presets import CandidateSettings
from tests.augment.helpers import TEXTS, tiny_lm, tiny_vectors
from tests.oracles.plain_words import written_together


def together(text):
    return [text[start:end] for start, end in joined_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I don't (don't), \"don't\"!", "don't don't don't"),
        ("word, end. (word) “quoted” 'word' „Wort“ «mot» ¿Qué? why?!", ""),
        ("the U.S. and e.g., a Ph.D. (U.S.).", "U.S e.g Ph.D U.S"),
        ("state-of-the-art rock'n'roll l'homme and/or AT&T", "state-of-the-art rock'n'roll l'homme and/or AT&T"),
        ("[COL] <user> $NAME$ {{name}}", "[COL] <user> $NAME$ {{name}}"),
        ("%(city)s </e1> __label__sad", "%(city)s </e1> __label__sad"),
        ("@user: #sunny! :smile: :D", "@user #sunny :smile :D"),
        ("10.20.30.40 12:30, 3.5% $1,299.00 .5 -7", "10.20.30.40 12:30 3.5% $1,299.00 .5 -7"),
        ("7 of 12 (3rd) ¾ x² Ⅳ ١٢", "7 12 3rd ¾ x² Ⅳ ١٢"),
        ("https://example.org/a_(b)?x=1&y, help@example.org.", "https://example.org/a_(b)?x=1&y help@example.org"),
        ("/usr/bin/env C:\\Temp ~/.rc a_b f(x) C++ .NET", "/usr/bin/env C:\\Temp ~/.rc a_b f(x C++ .NET"),
        ("a film—a riot… ....and a strange>start", "strange>start"),
        ("good-film 🙂 good🙂 na\u0301ive co\u00adoperate \u0646\u0645\u06cc\u200c\u062e\u0648", "good-film"),
        ("这家店的面条很好吃，服务也不错。用C++写don't吧3元（好）「说」", "C++ don't 3"),
        ("この映画はスーパー・マンだ。 หนังเรื่องนี้สนุก यह फिल्म अच्छी थी। النص، جيد؟ 영화는 좋다.", ""),
        ("one\u3000two\u00a0three\tfour\nfive", ""),
        ("", ""),
        ("-- ... || !", "-- ||"),
    ],
)  # fmt: skip
def test_what_is_kept(text, expected):
    assert together(text) == expected.split()


@pytest.mark.parametrize("text", TEXTS)
def test_by_the_plain_rule(text):
    assert joined_spans(text) == written_together(text)


PARTS = st.sampled_from([*"ab7.,;:!?'\"()[]<>@#$%&*-_/\\ \n\t…—中，「かéك،ไ½🙂", "..", "e\u0301", "\u200d"])


@settings(deadline=None)
@given(st.lists(PARTS, max_size=14).map("".join))
def test_by_the_plain_rule_on_any_text(text):
    assert joined_spans(text) == written_together(text)


@pytest.mark.parametrize("context", ["original", "running"])
def test_it_stands_in_every_variant(context):
    text = "the U.S. film don't [COL] feel good-bad at 10.20.30.40: a (small) bird."
    finder_settings = CandidateSettings(k=5, keep_whole=True, exclude_original=True, context=context)
    augmenter = Augmenter(tiny_lm(), tiny_vectors(), finder_settings)
    (variants,) = augmenter.augment([text], n=30, p=1.0)
    replaced = {edit.original for variant in variants for edit in variant.edits}
    assert {"the", "film", "a", "small", "bird"} <= replaced
    for variant in variants:
        for kept in ("U.S.", "don't", "[COL]", "good-bad", "10.20.30.40:"):
            assert f" {kept} " in variant.text
