"""Options of an augmentation: which words are replaced, by which, and which variants are drawn."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from augment.errors import AugmentError
from augment.presets import CONTEXTS, PAIRS, DrawSettings, is_regex
from pipelines.errors import UserError
from pipelines.options.option import Options, Panel, option

LIST_SUFFIXES = (".txt", ".tsv", ".csv", ".lst", ".list")  # no word ends like this


def either(yes: str, no: str) -> dict[str, Any]:
    """How a switch is read whose sides are called otherwise in settings."""
    return {"read": {True: yes, False: no}.get, "typed": bool}


def protected(entries: list[str]) -> tuple[str, ...]:
    """Words and patterns that are never replaced; a file's lines in its place.

    Args:
        entries: words, `/regular expressions/`, or names of files with one of them a line.

    Raises:
        UserError: a file that is no text, or is not there.
    """
    found: list[str] = []
    for entry in entries:
        path = Path(entry).expanduser()
        if not path.is_file():
            markup = "<" in entry or ">" in entry  # such as <br />: no file is called so
            if not (is_regex(entry) or markup) and ("/" in entry or path.suffix.lower() in LIST_SUFFIXES):
                raise UserError(
                    f"--protect {entry}: expected a word, a /regular expression/ or a file with one of them a line, "
                    "found what looks like a path and no such file; check it, or write the word into a file"
                )
            found.append(entry)
            continue
        try:
            lines = path.read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--protect {entry}: expected a UTF-8 file with one word a line: {error}") from error
        found += [line.strip() for line in lines if line.strip()]
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class ByClass:
    """Variants of the rows of each class, as they were typed.

    Args:
        named: classes, by name or number, and the variants of each of their rows.
        rest: those of all other classes; None: there must be none.
    """

    named: tuple[tuple[str, int], ...]
    rest: int | None = None


def variant_numbers(text: str) -> int | ByClass:
    """`20`, `negative=40,positive=10`, or `negative=40,10` for 10 of all other classes.

    Raises:
        ValueError: saying what is expected.
    """
    named: dict[str, int] = {}
    rest: list[int] = []
    for entry in text.split(","):
        name, given, number = (part.strip() for part in entry.rpartition("="))
        if not number.lstrip("-").isdecimal() or name in named or (rest and not given):
            raise ValueError("an integer, or CLASS=N for each class by commas and at most one N for all others")
        if given:
            named[name] = int(number)
        else:
            rest.append(int(number))
    try:
        for one in (*named.values(), *rest):
            DrawSettings(n=one)
    except AugmentError as error:
        raise ValueError(str(error).removeprefix("n: expected ").partition(", found")[0]) from error
    return ByClass(tuple(named.items()), *rest) if named else rest[0]


@dataclass(frozen=True, kw_only=True)
class Protected(Options):
    """Words that stay."""

    panel = Panel.DRAWN
    protect: tuple[str, ...] | None = option(
        "Never replace a word, a /regex/ in the whole text, or those of a file; may be repeated.",
        read=protected,
        typed=list[str],
    )


@dataclass(frozen=True, kw_only=True)
class CandidateOptions(Protected):
    """Overrides of a preset's `CandidateSettings`, by the same names."""

    k: int | None = option("Candidates of each word [20].")
    context: str | None = option("Text around a masked word; running has earlier replacements.", choices=CONTEXTS)
    mask_spacing: int | None = option("Mask words at least S words apart together; 0 is exact.")
    exclude_original: bool | None = option("Leave out the word itself.", None, "--exclude-original/--include-original")
    skip_stopwords: bool | None = option("Keep stop words and non-words.", None, "--skip-stopwords/--no-skip-stopwords")
    punctuation: bool | None = option("Replace punctuation, too.", None, "--punctuation/--no-punctuation")
    keep_whole: bool | None = option(
        "Keep words with a digit and what is written together: don't, U.S., 12:30, a@b.org, [COL].",
        None,
        "--keep-whole/--no-keep-whole",
    )
    segment: str | None = option(
        "The masked LM sees the other text.", None, "--pair-context/--no-pair-context", **either("partner", "none")
    )
    max_words: int | None = option("Reject longer texts [5000].")


@dataclass(frozen=True, kw_only=True)
class DrawOptions(Options):
    """Overrides of a preset's `DrawSettings`, by the same names."""

    panel = Panel.DRAWN
    n: int | ByClass | None = option(
        "Variants of each example [20]; by class negative=40,positive=10, or negative=40,10 for 10 of all others.",
        None,
        "--n -n",
        read=variant_numbers,
    )
    balance: bool | None = option(
        "Give every class as many rows, originals counted, as the largest has.", None, "--balance/--no-balance"
    )
    p: float | None = option("Probability of replacing a word [0.4].")
    seed: int | None = option("Same seed, same inputs, same bytes [42].")
    pairs: str | None = option("Which text of a pair is varied.", choices=PAIRS)
    duplicates: str | None = option(
        "Draw again for equal variants, then drop them.", None, "--unique/--keep-duplicates", **either("redraw", "keep")
    )

    @property
    def by_class(self) -> ByClass | None:
        """Variants by class, where they were typed."""
        return self.n if isinstance(self.n, ByClass) else None

    @property
    def settings(self) -> dict[str, int | float | str | None]:
        """Fields of `DrawSettings`; None leaves what the preset, or the run, has."""
        given = {one.name: getattr(self, one.name) for one in fields(DrawSettings)}
        return given if self.by_class is None else {**given, "n": None}
