"""Algorithm 1 (paper, appendix A) line by line: slow, plain, and sharing no code with `augment` or `glove`.

One word, one forward pass of the unchanged transformers model, one softmax over every position at a time. Words,
WordPieces, case and the counter hash are written out in `plain_words`, neighbours here; `data_augmentation` follows
the pseudo-code's line numbers. Two forms: `paper` masks the original text each time ("keeping other words
unchanged"), `algorithm1` masks the text as it stands, with the replacements made earlier in the variant.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from tests.oracles.plain_words import (
    Word,
    absorb,
    basic_words,
    below,
    has_alphanumeric,
    hash_of,
    in_case_of,
    in_own_case,
    is_cjk,
    is_replacement,
    split,
    uniform,
    word_pieces,
)

if TYPE_CHECKING:
    from collections.abc import Callable

DOUBT = 5e-6  # relative: how far single-precision scores may be off; only excuses a differing order of near ties


# --- candidates -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """Candidates of a word, best first; `sure`: rounding errors cannot change their order or their choice."""

    words: list[tuple[str, float]]
    source: str
    sure: bool = True


def three_digits(number: float) -> float:
    return float(f"{number:.2e}")


def best(scored: list[tuple[int, str, float]], k: int) -> tuple[list[tuple[str, float]], bool]:
    """The k best of (number, word, score) by rounded score, then number."""
    ranked = sorted(scored, key=lambda entry: (-three_digits(entry[2]), entry[0]))
    sure = True
    for (_, _, above), (_, _, under) in itertools.pairwise(ranked[: k + 1]):
        lowest, highest = _doubt(above)[0], _doubt(under)[1]
        equal = _doubt(above)[0] == _doubt(above)[1] == _doubt(under)[0] == _doubt(under)[1]
        sure = sure and (lowest > highest or equal)
    return [(word, three_digits(score)) for _, word, score in ranked[:k]], sure


def _doubt(score: float) -> tuple[float, float]:
    ends = three_digits(score * (1 - DOUBT)), three_digits(score * (1 + DOUBT))
    return min(ends), max(ends)


@dataclass
class BertModel:
    """The masked LM, one text at a time.

    Args:
        model: an unchanged transformers masked LM.
        tokens: spelling of every id.
        k: candidates for a word.
        window: tokens it can read.
    """

    model: torch.nn.Module
    tokens: list[str]
    k: int
    window: int = 64
    exclude_original: bool = False
    punctuation: bool = False
    cased: bool = False
    numbers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.mask, self.first, self.last, self.between = "[MASK]", "[CLS]", "[SEP]", 1
        self.spelled = self.tokens
        self.numbers = {token: number for number, token in enumerate(self.tokens)}
        self.allowed = [
            number
            for number, token in enumerate(self.tokens)
            if not token.startswith(("##", "[unused"))
            and token not in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
            and is_replacement(token, self.punctuation)
        ]

    def candidates(self, x_masked: list[tuple[str, ...]], i: int, original: Word, second: list[str] | None) -> Found:
        """Line 9. x_masked: pieces of each word, the i-th being the mask alone. A CJK character stands for another one;
        of words that differ in case the best counts."""
        probabilities = self._probabilities(x_masked, i, second)
        scored = [
            (number, self.spelled[number], probabilities[number])
            for number in self.allowed_for(original)
            if not (self.exclude_original and self.spelled[number].lower() == original.pieces[0].lower())
            and (is_cjk(self.spelled[number][0]) or not is_cjk(original.spelling[0]))
        ]
        ranked, sure = best(scored, self.k * (4 if self.cased else 1))  # no word of the tests has more spellings
        kept: dict[str, tuple[str, float]] = {}
        for word, score in ranked:
            kept.setdefault(word.lower(), (word, score))
        return Found(list(kept.values())[: self.k], "mlm", sure)

    def allowed_for(self, original: Word) -> list[int]:  # noqa: ARG002 - WordPiece writes no spaces
        return self.allowed

    def _probabilities(self, x_masked: list[tuple[str, ...]], i: int, second: list[str] | None) -> list[float]:
        first = [piece for word in x_masked for piece in word]
        mask = sum(len(word) for word in x_masked[:i])
        room, kept = self.window - 2, 0
        if second is not None:
            room = self.window - 2 - self.between
            kept = min(len(second), max(room // 2, room - len(first)))
            room -= kept
        start = 0
        if len(first) > room:  # centred on the masked word, as far as the text's ends allow
            start = min(max(mask - room // 2, 0), len(first) - room)
        line = [self.first, *first[start : start + room], *[self.last] * (1 if second is None else self.between)]
        kinds = [0] * len(line)
        if second is not None:
            line += [*second[:kept], self.last]
            kinds += [1] * (kept + 1)
        position = 1 + mask - start
        assert line[position] == self.mask
        segments = {"token_type_ids": torch.tensor([kinds])} if self.mask == "[MASK]" else {}
        with torch.no_grad():
            logits = self.model(
                input_ids=torch.tensor([[self.numbers[piece] for piece in line]]),
                attention_mask=torch.ones(1, len(line), dtype=torch.long),
                **segments,
            ).logits[0]
        return torch.softmax(logits.double(), dim=-1)[position].tolist()

    def split(self, text: str) -> list[Word]:
        return split(text, self.numbers, self.cased)

    def replaced(self, word: Word, replacement: str) -> Word:
        ((_, _, normalised),) = basic_words(replacement, self.cased)
        return Word(word.start, word.end, replacement, word_pieces(normalised, self.numbers))


@dataclass
class Glove:
    """GloVe's neighbours by a plain loop in double precision."""

    text: str
    k: int
    punctuation: bool = False

    def __post_init__(self) -> None:
        lines = [line.split(" ") for line in self.text.splitlines()]
        self.words = [line[0] for line in lines]
        self.vectors = [[float(number) for number in line[1:]] for line in lines]

    def candidates(self, word: str) -> Found:
        """Line 11: the exact form, then lower case; single words; of case duplicates the best."""
        form = next((form for form in (word, word.lower()) if form in self.words), None)
        if form is None:
            return Found([], "glove")
        query = self.vectors[self.words.index(form)]
        both = not is_cjk(word[0])
        scored = [(row, other, _cosine(query, self.vectors[row])) for row, other in enumerate(self.words)]
        ranked, sure = best([entry for entry in scored if entry[1] != form], len(scored))
        seen, kept = {word.casefold(), form.casefold()}, []
        for other, score in ranked:
            if other.casefold() not in seen and is_replacement(other, self.punctuation) and (both or is_cjk(other[0])):
                seen.add(other.casefold())
                kept.append((other, score))
        return Found(kept[: self.k], "glove", sure)


def _cosine(left: list[float], right: list[float]) -> float:
    product = math.fsum(a * b for a, b in zip(left, right, strict=True))
    return product / math.sqrt(math.fsum(a * a for a in left) * math.fsum(b * b for b in right))


# --- Algorithm 1 ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Edit:
    start: int
    end: int
    original: str
    replacement: str
    source: str
    rank: int
    score: float


@dataclass(frozen=True)
class Variant:
    text: str
    edits: list[Edit]
    draws: int
    drawable: int
    sure: bool


def data_augmentation(
    text: str,
    p_t: float,
    n_variants: int,
    *,
    form: str,
    bert: BertModel,
    glove: Glove,
    seed: int,
    source_idx: int,
    column: int = 0,
    second: str | None = None,
    first_variant: int = 1,
    eligible: Callable[[str], bool] = has_alphanumeric,
    stay: list[tuple[int, int]] | None = None,
    own_case: tuple[str, ...] = (),
) -> list[Variant]:
    """Lines 1-23. form: `paper` or `algorithm1`; stay: spans whose words are kept; own_case: sources of cased words."""
    x = bert.split(text)
    partner = None if second is None else _pieces(second, bert)
    n, data_aug = 0, []  # lines 2, 3
    while n < n_variants:  # line 4
        x_masked = list(x)  # line 5
        edits, draws, drawable, sure = [], 0, 0, True
        for i in range(len(x)):  # line 6
            if not eligible(x[i].spelling) or _stays(x[i], stay or []):  # punctuation and the like (design section 3)
                continue
            if x[i].single_piece:  # line 7
                seen_by_bert = [word.pieces for word in (x if form == "paper" else x_masked)]
                seen_by_bert[i] = (bert.mask,)  # line 8
                found = bert.candidates(seen_by_bert, i, x[i], partner)  # line 9
            else:  # line 10
                found = glove.candidates(x[i].spelling)  # line 11
            if not found.words:  # a word without candidates stays
                continue
            drawable += 1
            state = hash_of(seed, source_idx, column, first_variant + n, x[i].start)
            p = uniform(absorb(state, 0))  # line 13
            if p <= p_t:  # line 14
                rank = below(absorb(state, 1), len(found.words))
                word, score = found.words[rank]
                replacement = _cased(word, x[i], text if found.source in own_case else None)
                x_masked[i] = bert.replaced(x[i], replacement)  # line 15
                draws, sure = draws + 1, sure and found.sure
                if replacement != x[i].spelling:
                    edits.append(Edit(x[i].start, x[i].end, x[i].spelling, replacement, found.source, rank, score))
            else:
                x_masked[i] = x[i]  # line 17
        data_aug.append(Variant(_written(text, x_masked), edits, draws, drawable, sure))  # line 20
        n = n + 1  # line 21
    return data_aug  # line 23


def _pieces(text: str, bert: BertModel) -> list[str]:
    return [piece for word in bert.split(text) for piece in word.pieces]


def _stays(word: Word, spans: list[tuple[int, int]]) -> bool:
    return any(start < word.end and word.start < end for start, end in spans)


def _cased(replacement: str, word: Word, text: str | None) -> str:
    """As the word is written, or with a text as the vocabulary has it."""
    if text is None:
        return in_case_of(replacement, word.spelling)
    return in_own_case(replacement, word.spelling, text, word.start)


def _written(text: str, words: list[Word]) -> str:
    parts, cursor = [], 0
    for word in words:
        parts += [text[cursor : word.start], word.spelling]
        cursor = word.end
    return "".join([*parts, text[cursor:]])
