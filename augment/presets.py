"""Settings of an augmentation and the presets that name usual sets of them (paper, appendix A).

Pure and cheap to import: no torch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from math import inf
from numbers import Integral, Real
from typing import Any
from unicodedata import category

from augment.characters import is_invisible
from augment.errors import AugmentError

CONTEXTS = ("original", "running")
SEGMENTS = ("none", "partner", "self")
PAIRS = ("joint", "first", "second", "each")
DUPLICATES = ("keep", "redraw", "drop")
MAX_K = 1000
_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "fast": {"mask_spacing": 8},
    "algorithm1": {"context": "running"},
    "official": {"k": 15, "segment": "self", "skip_stopwords": True, "pairs": "each", "duplicates": "drop"},
    "texts": {"exclude_original": True, "keep_whole": True, "duplicates": "redraw"},
}
PRESETS = tuple(_PRESETS)


@dataclass(frozen=True)
class CandidateSettings:
    """What decides the candidates of a word: nothing here depends on a seed.

    Args:
        k: candidates kept for each word (the paper's text takes the N most likely words).
        context: `original`: the masked LM sees the text with only the word masked; `running`: it sees the
            replacements made earlier in the same variant, as Algorithm 1's pseudo-code says.
        segment: what the masked LM sees as second segment: `none`, the `partner` text of a pair, or the
            unmasked text itself (`self`, as the published code does).
        mask_spacing: 0: one masked word in a pass; S > 0: words at least S words apart share a pass.
        exclude_original: removes the word itself, in any case, from its masked-LM candidates.
        skip_stopwords: keeps stop words and words that are not purely of the letters a-z.
        punctuation: makes punctuation eligible, to be replaced and to be proposed.
        protect: words or phrases (compared without case) or `/regular expressions/` (searched in the whole text)
            that are never replaced.
        keep_whole: keeps words that are written together (`don't`, `12:30`, addresses, markers) and digits.
        max_words: a text with more words is rejected.

    Raises:
        AugmentError: a value out of its range.
    """

    k: int = 20
    context: str = "original"
    segment: str = "none"
    mask_spacing: int = 0
    exclude_original: bool = False
    skip_stopwords: bool = False
    punctuation: bool = False
    protect: tuple[str, ...] = ()
    keep_whole: bool = False
    max_words: int = 5000

    def __post_init__(self) -> None:
        _require(_number(self.k, Integral, 1, MAX_K), "k", f"an integer from 1 to {MAX_K}", self.k)
        _require_choice("context", self.context, CONTEXTS)
        _require_choice("segment", self.segment, SEGMENTS)
        _require(
            _number(self.mask_spacing, Integral, 0), "mask_spacing", "0 (off) or a distance in words", self.mask_spacing
        )
        _require(_number(self.max_words, Integral, 1), "max_words", "an integer of at least 1", self.max_words)
        if self.context == "running" and self.mask_spacing:
            raise AugmentError(
                "mask_spacing masks several words of the original text in one pass, context running masks one "
                "word of a changing text: use one of the two"
            )
        check_protected(self.protect)


@dataclass(frozen=True)
class DrawSettings:
    """What decides which variants are drawn from the candidates.

    Args:
        n: variants of each example (Algorithm 1's N).
        p: probability of replacing a word (Algorithm 1's p_t).
        seed: any integer from 0 to 2^64 - 1.
        pairs: which text of a pair is varied: both in one variant (`joint`), the `first`, the `second`, or
            `each` in turn (N variants of the first, then N of the second).
        duplicates: variants equal to the original or to an earlier variant of the same example: `keep` (as
            Algorithm 1 appends them), `redraw` a bounded number of times and then drop, or `drop` at once.

    Raises:
        AugmentError: a value out of its range.
    """

    n: int = 20
    p: float = 0.4
    seed: int = 42
    pairs: str = "joint"
    duplicates: str = "keep"

    def __post_init__(self) -> None:
        _require(_number(self.n, Integral, 0, 10_000), "n", "an integer from 0 to 10,000", self.n)
        _require(_number(self.p, Real, 0, 1), "p", "a probability from 0 to 1", self.p)
        _require(_number(self.seed, Integral, 0, 2**64 - 1), "seed", "an integer from 0 to 2^64 - 1", self.seed)
        _require_choice("pairs", self.pairs, PAIRS)
        _require_choice("duplicates", self.duplicates, DUPLICATES)


def preset(name: str, official_n: int = 20, **overrides: Any) -> tuple[CandidateSettings, DrawSettings]:
    """Settings of a preset, with single fields replaced.

    Args:
        name: `paper`, `fast` (`paper` with mask_spacing 8), `algorithm1`, `official` or `texts`.
        official_n: variants of each example that the preset `official` draws: 30, 20 or 10 by task in the authors'
            code.
        overrides: values for fields of either class; None leaves the preset's.

    Returns:
        The candidate and the draw settings.

    Raises:
        AugmentError: unknown preset, unknown field, or a value out of its range.
    """
    _require_choice("preset", name, PRESETS)
    given: dict[str, Any] = {"n": official_n} if name == "official" else {}
    given |= _PRESETS[name] | {field: value for field, value in overrides.items() if value is not None}
    of_candidates, of_draw = ({field.name for field in fields(kind)} for kind in (CandidateSettings, DrawSettings))
    if unknown := given.keys() - of_candidates - of_draw:
        raise AugmentError(f"no setting is named {', '.join(sorted(unknown))}")
    return (
        CandidateSettings(**{name: given[name] for name in of_candidates & given.keys()}),
        DrawSettings(**{name: given[name] for name in of_draw & given.keys()}),
    )


def check_protected(entries: tuple[str, ...]) -> None:
    """Refuses what cannot be an entry of `protect`.

    Args:
        entries: words, phrases and `/regular expressions/`.

    Raises:
        AugmentError: no tuple, an entry without words, or no regular expression.
    """
    _require(not isinstance(entries, str), "protect", "a tuple of words", entries)
    for entry in entries:
        _require(isinstance(entry, str) and bool(entry.strip()), "protect", "words", entry)
        if is_regex(entry):
            try:
                re.compile(entry[1:-1])
            except re.error as error:
                raise AugmentError(f"protect: {entry} is no regular expression: {error}") from error
        elif all(category(character)[0] in "CMZ" or is_invisible(character) for character in entry):
            raise AugmentError(f"protect: expected words, found none in {entry!r}; leave it out")


def is_regex(pattern: str) -> bool:
    """Whether a protect entry is a `/regular expression/` and not a word."""
    return len(pattern) > 2 and pattern[0] == pattern[-1] == "/"


def _number(value: Any, kind: type, lowest: float, highest: float = inf) -> bool:
    right = isinstance(value, kind) and not isinstance(value, bool)
    return right and lowest <= value <= highest


def _require(condition: bool, name: str, expected: str, found: object) -> None:
    if not condition:
        raise AugmentError(f"{name}: expected {expected}, found {found!r}")


def _require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise AugmentError(f"{name}: expected one of {', '.join(choices)}, found {value!r}")
