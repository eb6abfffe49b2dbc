"""Seconds and counts as people read them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Seconds with a fitting unit."""
    if seconds < 120:
        return f"about {seconds:.0f} s"
    if seconds < 7200:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h" if seconds < 172_800 else f"about {seconds / 86_400:.1f} days"


def counted(number: int, noun: str) -> str:
    """A count with its noun: 1 row, 2,000 rows."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def sequences_words(sequences: int, pairs: int) -> str:
    """Packed sequences and how many of them are pairs: 9,000 sequences (4,100 pairs)."""
    return counted(sequences, "sequence") + (f" ({counted(pairs, 'pair')})" if pairs else "")


def pairs_words(pairs: int, continuing: int) -> str:
    """Pairs for next-sentence prediction, and how many are of one document: 9,000 pairs (4,100 of one document)."""
    return f"{counted(pairs, 'pair')} ({continuing:,} of one document)"


def rejected_rows(number: int) -> str:
    """How many rows were rejected, as a clause: 1 row was rejected."""
    return f"{counted(number, 'row')} {'was' if number == 1 else 'were'} rejected"


def first_line(error: BaseException) -> str:
    """What an error says, in a line; its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
