"""Algorithm 1 (paper, appendix A) line by line: slow, plain, and sharing no code with `augment` or `glove`.

One word, one forward pass of the unchanged transformers model, one softmax over every position at a time. Words,
WordPieces, case, neighbours and the counter hash are written out in plain Python; `data_augmentation` follows
the pseudo-code's line numbers. Two forms: `paper` masks the original text each time ("keeping other words
unchanged"), `algorithm1` masks the text as it stands, with the replacements made earlier in the variant.
"""

from __future__ import annotations

import itertools
import math
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

DOUBT = 5e-6  # relative: how far single-precision scores may be off; only excuses a differing order of near ties
MODULUS = 1 << 64


# --- the counter hash, in big integers -------------------------------------------------------------------------


def absorb(state: int, value: int) -> int:
    z = (state + 0x9E3779B97F4A7C15 * (value + 1)) % MODULUS
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % MODULUS
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % MODULUS
    return z ^ (z >> 31)


def hash_of(*counters: int) -> int:
    state = 0
    for counter in counters:
        state = absorb(state, counter)
    return state


def uniform(state: int) -> float:
    return (state >> 11) / 2**53


def below(state: int, bound: int) -> int:
    return ((state >> 32) * bound) >> 32


# --- words, as BERT's basic tokenizer and WordPiece take them ---------------------------------------------------


@dataclass(frozen=True)
class Word:
    start: int
    end: int
    spelling: str
    pieces: tuple[str, ...]

    @property
    def single_piece(self) -> bool:
        return len(self.pieces) == 1 and self.pieces != ("[UNK]",)


def _is_cjk(character: str) -> bool:
    return any(
        first <= ord(character) <= last
        for first, last in [
            (0x4E00, 0x9FFF),
            (0x3400, 0x4DBF),
            (0x20000, 0x2A6DF),
            (0x2A700, 0x2B73F),
            (0x2B740, 0x2B81F),
            (0x2B920, 0x2CEAF),
            (0xF900, 0xFAFF),
            (0x2F800, 0x2FA1F),
        ]
    )


def _is_punctuation(character: str) -> bool:
    ascii_mark = character.isascii() and character.isprintable() and not character.isalnum() and character != " "
    return ascii_mark or unicodedata.category(character).startswith("P")


def basic_words(text: str) -> list[tuple[int, int, str]]:
    """Spans and normalised spellings of an uncased BERT's pre-tokens."""
    words: list[list] = []
    grow = False  # whether the next letter belongs to the last word
    for place, character in enumerate(text):
        category = unicodedata.category(character)
        if character not in "\t\n\r" and (character in "\0\ufffd" or category.startswith("C")):
            continue  # cleaned away: does not end a word
        if character.isspace():
            grow = False
            continue
        letters = [c for c in unicodedata.normalize("NFD", character) if unicodedata.category(c) != "Mn"]
        if not letters:  # an accent: stripped for the model, but part of the word before it
            if words and words[-1][1] == place:
                words[-1][1] = place + 1
            continue
        normalised = "".join(letter.lower() for letter in letters)
        alone = _is_cjk(character) or _is_punctuation(character)
        if grow and not alone:
            words[-1][1], words[-1][2] = place + 1, words[-1][2] + normalised
        else:
            words.append([place, place + 1, normalised])
        grow = not alone
    return [tuple(word) for word in words]


def word_pieces(word: str, vocabulary: dict[str, int]) -> tuple[str, ...]:
    """Greedy longest match first."""
    if len(word) > 100:
        return ("[UNK]",)
    pieces: list[str] = []
    start = 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in vocabulary:
                pieces.append(piece)
                start = end
                break
        else:
            return ("[UNK]",)
    return tuple(pieces)


def split(text: str, vocabulary: dict[str, int]) -> list[Word]:
    return [
        Word(start, end, text[start:end], word_pieces(normalised, vocabulary))
        for start, end, normalised in basic_words(text)
    ]


def has_alphanumeric(word: str) -> bool:
    return any(character.isalnum() for character in word)


def is_replacement(word: str, punctuation: bool = False) -> bool:
    """A whole, printable, eligible word."""
    spans = basic_words(word)
    one = len(spans) == 1 and spans[0][:2] == (0, len(word))
    return one and word.isprintable() and (punctuation or has_alphanumeric(word))


def in_case_of(replacement: str, word: str) -> str:
    """Writes a replacement as the word it replaces: lower, UPPER from two letters on, Title, else as it is."""
    cased = [c for c in word if c.lower() != c.upper()]
    if cased and all(c == c.lower() for c in cased):
        return replacement.lower()
    if len(cased) > 1 and all(c == c.upper() for c in cased):
        return replacement.upper()
    if cased and word[0] == cased[0] and all(c == c.lower() for c in cased[1:]):
        return replacement[0].title() + replacement[1:].lower()
    return replacement


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
    numbers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.numbers = {token: number for number, token in enumerate(self.tokens)}
        self.allowed = [
            number
            for number, token in enumerate(self.tokens)
            if not token.startswith(("##", "[unused"))
            and token not in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
            and is_replacement(token, self.punctuation)
        ]

    def candidates(self, x_masked: list[tuple[str, ...]], i: int, original: Word, second: list[str] | None) -> Found:
        """Line 9. x_masked: pieces of each word, the i-th being ("[MASK]",)."""
        probabilities = self._probabilities(x_masked, i, second)
        scored = [
            (number, self.tokens[number], probabilities[number])
            for number in self.allowed
            if not (self.exclude_original and self.tokens[number] == original.pieces[0])
        ]
        return Found(*_with_source(best(scored, self.k), "mlm"))

    def _probabilities(self, x_masked: list[tuple[str, ...]], i: int, second: list[str] | None) -> list[float]:
        first = [piece for word in x_masked for piece in word]
        mask = sum(len(word) for word in x_masked[:i])
        room, kept = self.window - 2, 0
        if second is not None:
            room = self.window - 3
            kept = min(len(second), max(room // 2, room - len(first)))
            room -= kept
        start = 0
        if len(first) > room:  # centred on the masked word, as far as the text's ends allow
            start = min(max(mask - room // 2, 0), len(first) - room)
        line = ["[CLS]", *first[start : start + room], "[SEP]"]
        kinds = [0] * len(line)
        if second is not None:
            line += [*second[:kept], "[SEP]"]
            kinds += [1] * (kept + 1)
        position = 1 + mask - start
        assert line[position] == "[MASK]"
        with torch.no_grad():
            logits = self.model(
                input_ids=torch.tensor([[self.numbers[piece] for piece in line]]),
                attention_mask=torch.ones(1, len(line), dtype=torch.long),
                token_type_ids=torch.tensor([kinds]),
            ).logits[0]
        return torch.softmax(logits.double(), dim=-1)[position].tolist()


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
        scored = [(row, other, _cosine(query, self.vectors[row])) for row, other in enumerate(self.words)]
        ranked, sure = best([entry for entry in scored if entry[1] != form], len(scored))
        seen, kept = {word.casefold(), form.casefold()}, []
        for other, score in ranked:
            if other.casefold() not in seen and is_replacement(other, self.punctuation):
                seen.add(other.casefold())
                kept.append((other, score))
        return Found(kept[: self.k], "glove", sure)


def _cosine(left: list[float], right: list[float]) -> float:
    product = math.fsum(a * b for a, b in zip(left, right, strict=True))
    return product / math.sqrt(math.fsum(a * a for a in left) * math.fsum(b * b for b in right))


def _with_source(ranked: tuple[list[tuple[str, float]], bool], source: str) -> tuple:
    return ranked[0], source, ranked[1]


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
) -> list[Variant]:
    """Lines 1-23; `form` is `paper` or `algorithm1`."""
    x = split(text, bert.numbers)
    partner = None if second is None else [piece for word in split(second, bert.numbers) for piece in word.pieces]
    n = 0  # line 2
    data_aug = []  # line 3
    while n < n_variants:  # line 4
        x_masked = list(x)  # line 5
        edits, draws, drawable, sure = [], 0, 0, True
        for i in range(len(x)):  # line 6
            if not eligible(x[i].spelling):  # punctuation and the like are kept (design section 3)
                continue
            if x[i].single_piece:  # line 7
                seen_by_bert = [word.pieces for word in (x if form == "paper" else x_masked)]
                seen_by_bert[i] = ("[MASK]",)  # line 8
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
                replacement = in_case_of(word, x[i].spelling)
                ((_, _, normalised),) = basic_words(replacement)
                x_masked[i] = Word(  # line 15
                    x[i].start, x[i].end, replacement, word_pieces(normalised, bert.numbers)
                )
                draws, sure = draws + 1, sure and found.sure
                if replacement != x[i].spelling:
                    edits.append(Edit(x[i].start, x[i].end, x[i].spelling, replacement, found.source, rank, score))
            else:
                x_masked[i] = x[i]  # line 17
        data_aug.append(Variant(_written(text, x_masked), edits, draws, drawable, sure))  # line 20
        n = n + 1  # line 21
    return data_aug  # line 23


def _written(text: str, words: list[Word]) -> str:
    parts, cursor = [], 0
    for word in words:
        parts += [text[cursor : word.start], word.spelling]
        cursor = word.end
    return "".join([*parts, text[cursor:]])
