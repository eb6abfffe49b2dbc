"""The counter hash, the words of a BERT and what keeps them, in plain Python, sharing no code with `augment`."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

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
        return len(self.pieces) == 1 and self.pieces[0] not in ("[UNK]", "<unk>")


def is_cjk(character: str) -> bool:
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


def is_punctuation(character: str) -> bool:
    ascii_mark = character.isascii() and character.isprintable() and not character.isalnum() and character != " "
    return ascii_mark or unicodedata.category(character).startswith("P")


def basic_words(text: str, cased: bool = False) -> list[tuple[int, int, str]]:
    """Spans and normalised spellings of a BERT's pre-tokens; a cased one keeps capitals and accents."""
    words: list[list] = []
    grow = False  # whether the next letter belongs to the last word
    for place, character in enumerate(text):
        category = unicodedata.category(character)
        if character not in "\t\n\r" and (character in "\0\ufffd" or category.startswith("C")):
            continue  # cleaned away: does not end a word
        if character.isspace():
            grow = False
            continue
        letters = [character] if cased else [c for c in _decomposed(character) if unicodedata.category(c) != "Mn"]
        if not letters:  # an accent: stripped for the model, but part of the word before it
            if words and words[-1][1] == place:
                words[-1][1] = place + 1
            continue
        normalised = character if cased else "".join(letter.lower() for letter in letters)
        alone = is_cjk(character) or is_punctuation(character)
        if grow and not alone:
            words[-1][1], words[-1][2] = place + 1, words[-1][2] + normalised
        else:
            words.append([place, place + 1, normalised])
        grow = not alone
    return [tuple(word) for word in words]


def _decomposed(character: str) -> str:
    return unicodedata.normalize("NFD", character)


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


def split(text: str, vocabulary: dict[str, int], cased: bool = False) -> list[Word]:
    return [
        Word(start, end, text[start:end], word_pieces(normalised, vocabulary))
        for start, end, normalised in basic_words(text, cased)
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


def in_own_case(replacement: str, word: str, text: str, start: int) -> str:
    """Writes a replacement out of a cased vocabulary: as it is, but for an UPPER word and where sentences begin."""
    cased = [c for c in word if c.lower() != c.upper()]
    if len(cased) > 1 and all(c == c.upper() for c in cased):
        return replacement.upper()
    first = replacement[:1]
    plain = replacement[1:] == replacement[1:].lower() and first.lower() != first.upper()  # no USA, no iPhone
    before = text[:start].rstrip(" \t\"'([{")
    title = cased and word[0] == cased[0] == cased[0].upper() and all(c == c.lower() for c in cased[1:])
    if plain and title and (not before or before[-1] in ".!?\n"):
        return replacement.capitalize()
    if plain and cased and all(c == c.lower() for c in cased) and not any(c.isalnum() for c in text[:start]):
        return replacement.lower()
    return replacement


# --- what stays ---------------------------------------------------------------------------------------------------


def written_together(text: str) -> list[tuple[int, int]]:
    """Spans that `keep_whole` keeps: runs without a space in which a mark or a digit is left between their ends."""
    spans, run = [], []
    for place, character in enumerate([*text, " "]):
        wide = unicodedata.east_asian_width(character) in "WF" and unicodedata.category(character)[0] in "PS"
        ends = character.isspace() or is_cjk(character) or character in "—―…"
        if ends or (wide and ord(character) < 0x10000):
            spans += _kept_of_run(run)
            run = []
        else:
            run.append((place, character))
    return spans


def _kept_of_run(run: list[tuple[int, str]]) -> list[tuple[int, int]]:
    around = "\"'‘’‚‛“”„‟‹›«»¡¿–†•؛؟،۔։।॥።"
    while run and run[0][1] in "(," + around:
        run = run[1:]
    if [character for _, character in run[:2]] == [".", "."]:
        while run and run[0][1] in "(,." + around:
            run = run[1:]
    while run and run[-1][1] in "),.;:!?" + around:
        run = run[:-1]
    marks = [c for _, c in run if is_punctuation(c) or unicodedata.category(c)[0] == "N"]
    return [(run[0][0], run[-1][0] + 1)] if marks else []


def protected_spans(text: str, entries: tuple[str, ...]) -> list[tuple[int, int]]:
    """Spans that entries of `protect` find: phrases word by word without case, expressions in the whole text."""
    spans = []
    words = [(start, end, _as_seen(text[start:end])) for start, end, _ in basic_words(text)]
    for entry in entries:
        if len(entry) > 2 and entry[0] == entry[-1] == "/":
            spans += [match.span() for match in re.finditer(entry[1:-1], text)]
            continue
        wanted = [_as_seen(entry[start:end]) for start, end, _ in basic_words(entry)]
        for place in range(len(words)):
            found = words[place : place + len(wanted)]
            if [spelling for _, _, spelling in found] == wanted:
                spans.append((found[0][0], found[-1][1]))
    return spans


def _as_seen(word: str) -> str:
    visible = [c for c in word if not unicodedata.category(c).startswith("C") and c != "\ufffd"]
    return unicodedata.normalize("NFD", "".join(visible).casefold()).replace("\u2019", "'")
