"""How large a packed corpus is, or will be by its beginning, and what there is to say of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipelines.corpus.packed import GROUP_SEQUENCES, Packed, PackedShape, pack_corpus
from pipelines.options.data import SENTENCES
from pipelines.reporting import Silent
from pipelines.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.corpus.files import FileCorpus
    from pipelines.corpus.hub import HubCorpus
    from pipelines.run_folder.storage import Storage

KNOWN = {
    True: "",
    False: ", estimated from its beginning",
    None: " read; the size of a data set on the hub is not known: give --limit for a plan",
}


@dataclass(frozen=True)
class Sequences:
    """The sequences of a corpus.

    Args:
        packed: what lies packed: the corpus, or its beginning.
        count: sequences of the whole corpus.
        known: whether they were counted, not estimated from the beginning; None where the corpus's size is not known.
        whole: whether the whole corpus lies packed.
    """

    packed: Packed
    count: int
    known: bool | None
    whole: bool

    @property
    def bytes_to_come(self) -> int:
        """Bytes that packing will take."""
        there = sum(int(file["bytes"]) for file in self.packed.files.values())
        return 0 if self.whole else there * self.count // self.packed.sequences

    def described(self, words: Callable[[int, int], str]) -> str:
        """How large the corpus is.

        Args:
            words: for a number of sequences and of pairs among them.
        """
        pairs, tokens = (n * self.count // self.packed.sequences for n in (self.packed.pairs, self.packed.tokens))
        return f"{words(self.count, pairs)}, {counted(tokens, 'token')}{KNOWN[self.known]}"

    def notes(self, corpus: FileCorpus | HubCorpus, shape: PackedShape, rows: str) -> tuple[str, ...]:
        """What the user may not have meant: sequences that stay nearly empty, pairs of which none can be made.

        Args:
            corpus: what is learnt from.
            shape: what it is packed into.
            rows: what a row of it is: documents or sentences.
        """
        found, packed = [], self.packed
        if corpus.left_out and not self.whole:  # packing says so, too
            found.append(corpus.left_out)
        if (mean := packed.tokens / packed.sequences) < shape.length / 2:
            if corpus.ends_by_row:
                why = "each row is a document: if rows are sentences, give --rows sentences"
            else:
                line = "row" if rows == SENTENCES else "line"
                why = f"a document ends at each blank {line}: if sentences of one document are set apart by them, "
                why += "take them out"
            unit = "segment" if shape.next_sentence else "sequence"
            found.append(
                f"the corpus's sequences have {mean:.0f} tokens on average where {shape.length} would fit, for no "
                f"{unit} spans two documents, and {why}; if the documents are so short, a lower --max-length costs "
                "nothing"
            )
        if shape.next_sentence and not packed.pairs:
            found.append(
                "no second segment of the corpus continues the first, because that takes documents of two sentences "
                "or more; from the next-sentence loss nothing is learnt; give one sentence a line, and a blank line "
                "between documents alone"
            )
        elif shape.pairs and not packed.pairs:
            found.append(
                "none of the corpus's sequences is a pair, because a pair takes two sentences or more; the student's "
                "embedding of the second segment learns nothing; give one sentence a line, or --pairs 0"
            )
        return tuple(found)


def whole_corpus(packed: Packed) -> Sequences:
    """The sequences of a corpus that lies packed."""
    return Sequences(packed, packed.sequences, True, whole=True)


def beginning(corpus: FileCorpus | HubCorpus, shape: PackedShape, tokenizer: Any, place: Storage) -> Sequences:
    """Packs the first sequences of a corpus, and tells the rest by the share of it that they are.

    Args:
        corpus: what is learnt from.
        shape: what it is packed into.
        tokenizer: the teacher's.
        place: a folder that is thrown away.
    """
    limit = shape.limit
    few = replace(shape, limit=min(GROUP_SEQUENCES, limit or GROUP_SEQUENCES))
    packed = pack_corpus(place, corpus, tokenizer, few, Silent())
    if packed.sequences == limit or packed.done == 1.0:
        return Sequences(packed, packed.sequences, True, whole=False)
    if packed.done is None:
        return Sequences(packed, limit or packed.sequences, None, whole=False)
    estimated = round(packed.sequences / max(packed.done, 1e-9))
    return Sequences(packed, min(estimated, limit or estimated), False, whole=False)
