"""Questions with their contexts as windows of tokens, as BERT's SQuAD scripts cut them; imports no torch.

A window is the question, cut at a sixth of its length, and as much of the context as fits; the next one starts a
third of the length further on. Of 384 tokens that is 64 and 128.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer

from distill.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from tokenizers import Encoding

QUESTION_SHARE, STRIDE_SHARE = 6, 3
SHIFT = 1 << 16  # a label is start x SHIFT + end; no window is longer
Span = tuple[int, int]
"""Code points of the context, the last one excluded."""


Special = tuple[list[int], list[int]]
"""Ids of special tokens and their segment ids."""


def span_label(start: int, end: int) -> int:
    """One number for the first and last token of an answer, by their positions in the window; 0, [CLS], is none."""
    return start * SHIFT + end


@dataclass(frozen=True)
class Window:
    """A part of a context behind its question.

    Attributes:
        ids: token ids.
        types: segment ids.
        label: `span_label` of the answer's first and last token if it lies whole in the window, else that of [CLS].
        first: position of the first token of the context.
        starts, ends: code points in the context of each of its tokens here.
        best: whether no other window has more tokens around it, for each of them.
    """

    ids: list[int]
    types: list[int]
    label: int
    first: int
    starts: list[int]
    ends: list[int]
    best: list[bool]

    @property
    def has_answer(self) -> bool:
        """Whether an answer lies whole in it."""
        return self.label != 0


class WindowCutter:
    """Cuts questions and contexts into windows.

    Args:
        tokenizer_json: of a fast tokenizer, by `distill.tokenizer_json`.
        max_length: tokens of a window, special ones included.
    """

    def __init__(self, tokenizer_json: str, max_length: int) -> None:
        self.max_length = max_length
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._template = _template(self._tokenizer)

    def cut(
        self, questions: Sequence[str], contexts: Sequence[str], answers: Sequence[Span | None]
    ) -> Iterator[list[Window]]:
        """The windows of each question.

        Args:
            questions: texts.
            contexts: texts.
            answers: where in its context a question's answer is; None for no answer.

        Yields:
            One list a question. An answer lies whole in none of its windows where it is longer than what two of them
            share, or has no token.
        """
        asked = self._tokenizer.encode_batch(list(questions), add_special_tokens=False)
        unique = list(dict.fromkeys(contexts))  # a context has several questions
        read = dict(zip(unique, self._tokenizer.encode_batch(unique, add_special_tokens=False), strict=True))
        for question, context, answer in zip(asked, contexts, answers, strict=True):
            ids = question.ids[: self.max_length // QUESTION_SHARE]
            yield self._windows(ids, read[context], _tokens_of(read[context], answer))

    def _windows(self, question: list[int], context: Encoding, answer: tuple[int, int] | None) -> list[Window]:
        form = self._template
        (before, before_types), (between, between_types), (after, after_types) = form.before, form.between, form.after
        first = len(before) + len(question) + len(between)
        room = self.max_length - first - len(after)
        head, types = before + question + between, before_types + [0] * len(question) + between_types
        bounds = _bounds(len(context.ids), room, self.max_length // STRIDE_SHARE)
        best, found = _best_windows(bounds, len(context.ids)), []
        for number, (start, stop) in enumerate(bounds):
            inside = answer is not None and start <= answer[0] and answer[1] < stop
            offsets = context.offsets[start:stop]
            found.append(
                Window(
                    head + context.ids[start:stop] + after,
                    types + [form.second] * (stop - start) + after_types,
                    span_label(*(first + token - start for token in answer)) if inside and answer else 0,
                    first,
                    [one for one, _ in offsets],
                    [one for _, one in offsets],
                    (best[start:stop] == number).tolist(),
                )
            )
        return found


def _bounds(tokens: int, room: int, stride: int) -> list[tuple[int, int]]:
    """First and last token (excluded) of each window of a context."""
    starts = [0]
    while starts[-1] + room < tokens:
        starts.append(starts[-1] + min(stride, room))
    return [(start, min(start + room, tokens)) for start in starts]


def _best_windows(bounds: Sequence[tuple[int, int]], tokens: int) -> NDArray[np.int64]:
    """For each token the window in which it has the most tokens on its shorter side, the first of equals."""
    token = np.arange(tokens)
    around = [
        np.where((start <= token) & (token < stop), np.minimum(token - start, stop - 1 - token), -np.inf)
        + 0.01 * (stop - start)
        for start, stop in bounds
    ]
    return np.argmax(np.stack(around), axis=0)


def _tokens_of(context: Encoding, answer: Span | None) -> tuple[int, int] | None:
    """First and last token that an answer overlaps; None where there is none."""
    if answer is None:
        return None
    start, end = answer
    inside = [token for token, (first, last) in enumerate(context.offsets) if first < end and last > start]
    return (inside[0], inside[-1]) if inside else None


@dataclass(frozen=True)
class _Template:
    """Special tokens before, between and after two texts, and the segment of the second."""

    before: Special
    between: Special
    after: Special
    second: int


def _template(tokenizer: Tokenizer) -> _Template:
    """How a tokenizer joins a pair.

    Raises:
        DistillError: it knows no word.
    """
    word = next((word for word in tokenizer.get_vocab() if tokenizer.encode(word, add_special_tokens=False).ids), "")
    pair = tokenizer.encode(word, word)
    firsts, seconds = ([p for p, own in enumerate(pair.sequence_ids) if own == number] for number in (0, 1))
    if not firsts or not seconds:
        raise DistillError("expected a tokenizer that joins two texts; found none of them in a pair. Give another.")
    cuts = ((0, firsts[0]), (firsts[-1] + 1, seconds[0]), (seconds[-1] + 1, len(pair.ids)))
    before, between, after = ((pair.ids[start:stop], pair.type_ids[start:stop]) for start, stop in cuts)
    return _Template(before, between, after, pair.type_ids[seconds[0]])
