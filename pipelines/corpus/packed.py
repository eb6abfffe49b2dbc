"""A corpus tokenised and packed once, as Parquet shards that the training stream reads.

Columns `input_ids` and `token_type_ids`, by the names under which transformers' models take them.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from distill.next_sentence import SentencePair, pack_pairs
from distill.packing import PackedSequence, Packing, pack, tokenised
from pipelines.errors import UserError
from pipelines.run_folder.parquet import write_tables
from pipelines.run_folder.stage_folder import Digest, is_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.corpus.files import FileCorpus
    from pipelines.corpus.hub import HubCorpus
    from pipelines.reporting import Reporter
    from pipelines.run_folder.storage import Storage

FOLDER, RECORD = "corpus", "corpus.json"  # the folder holds shards alone
COLUMNS = ("input_ids", "token_type_ids")
SCHEMA = pa.schema(list(zip(COLUMNS, (pa.list_(pa.int32()), pa.list_(pa.int8())), strict=True)))
NEXT = "next_sentence_label"  # 0 where the second segment continues the first; of pairs for next-sentence prediction
VERSION = 2  # of the shards and their record; 1 had no segment ids
GROUP_SEQUENCES = 4_096  # what stays together when the order is drawn
SHARD_GROUPS = 16
SAY_EVERY = 20.0  # seconds


@dataclass(frozen=True)
class PackedShape:
    """What a corpus is packed into.

    Args:
        length: tokens of a sequence at most.
        pairs: share of the sequences of two sentences or more that become pairs.
        limit: sequences at most; None for all.
        next_sentence: pairs for next-sentence prediction, half of them of two documents.
    """

    length: int
    pairs: float = 0.0
    limit: int | None = None
    next_sentence: bool = False

    @property
    def schema(self) -> pa.Schema:
        """The columns of the shards."""
        return SCHEMA.append(pa.field(NEXT, pa.int8())) if self.next_sentence else SCHEMA


@dataclass(frozen=True)
class Packed:
    """A packed corpus.

    Args:
        sequences: how many.
        pairs: how many of them are pairs whose second segment continues the first.
        tokens: of all sequences.
        done: share of the corpus they are, 1 only where they are all of it; None where that is not known.
        files: name -> bytes and sha256.
    """

    sequences: int
    pairs: int
    tokens: int
    done: float | None
    files: dict[str, Digest]


def pack_corpus(
    storage: Storage,
    corpus: FileCorpus | HubCorpus,
    tokenizer: Any,
    shape: PackedShape,
    reporter: Reporter,
) -> Packed:
    """Writes the shards, or finds them there undamaged; the same corpus gives the same bytes.

    Args:
        storage: folder of the stage.
        corpus: sentences.
        tokenizer: the teacher's, a fast one.
        shape: of the sequences, and how many.
        reporter: is told of progress.

    Returns:
        What is there now.

    Raises:
        UserError: the corpus has no text, or cannot be read.
        DistillError: fewer than two documents, where second segments are from another one.
        JobError: the disk is full, or the connection to the hub broke.
    """
    if (found := packed_corpus(storage, verify=True)) is not None:
        return found
    if storage.read_json(RECORD) is not None:
        reporter.warning(
            f"{storage.display(FOLDER)}: a shard is missing, damaged or of another version; the corpus is packed again"
        )
    if corpus.left_out:
        reporter.warning(corpus.left_out)
    packed = _Packer(storage, corpus, reporter).run(tokenizer, shape)
    if not packed.sequences:
        raise UserError("--corpus: expected text, found none but blank lines; give one sentence a line")
    storage.write_json(RECORD, {"version": VERSION, **asdict(packed)})
    return packed


def packed_corpus(storage: Storage, verify: bool = False) -> Packed | None:
    """The packed corpus of a folder; None while it is not complete, of another version, or a shard has another size.

    Args:
        storage: folder of the stage.
        verify: also compare the shards' digests, which reads them whole.
    """
    content = storage.read_json(RECORD)
    if content is None or content.pop("version", 1) != VERSION:
        return None
    files = {f"{FOLDER}/{name}": file for name, file in content["files"].items()}
    if any(storage.size(name) != file["bytes"] for name, file in files.items()):
        return None
    if verify and not is_whole(storage, files):
        return None
    return Packed(**content)


class _Packer:
    """One pass over a corpus."""

    def __init__(self, storage: Storage, corpus: FileCorpus | HubCorpus, reporter: Reporter) -> None:
        self.storage, self.corpus, self.reporter = storage, corpus, reporter
        self.sequences = self.pairs = self.tokens = 0
        self.done: float | None = 0.0
        self.ahead: deque[float | None] = deque()  # shares of the corpus that was read, but not packed yet
        self.passed = 0  # sentences and ends of documents that were packed
        self.said = time.monotonic()

    def run(self, tokenizer: Any, shape: PackedShape) -> Packed:
        """Shard after shard."""
        packing = Packing(shape.length, tokenizer.cls_token_id, tokenizer.sep_token_id, shape.pairs)
        sentences = tokenised(self._texts(), tokenizer.backend_tokenizer.to_str())
        sequences: Iterator[PackedSequence | SentencePair]
        if shape.next_sentence:
            sequences = pack_pairs(sentences, packing, self._pass)
        else:
            sequences = pack(self._counted(sentences), packing)
        groups = self._groups(itertools.islice(sequences, shape.limit), shape.schema)
        files: dict[str, Digest] = {}
        for group in groups:
            name = f"part-{len(files):05d}.parquet"
            shard = itertools.chain([group], itertools.islice(groups, SHARD_GROUPS - 1))
            written = write_tables(self.storage, f"{FOLDER}/{name}", shard)
            files[name] = {"bytes": written.bytes, "sha256": written.sha256}
        return Packed(self.sequences, self.pairs, self.tokens, self._share(sequences), files)

    def _texts(self) -> Iterator[str | None]:
        for piece in self.corpus.pieces():
            self.ahead.append(piece.done)
            yield piece.text

    def _counted(self, sentences: Iterator[list[int] | None]) -> Iterator[list[int] | None]:
        """Passes sentences on as they are packed: they are read, and tokenised, far ahead of that."""
        for number, ids in enumerate(sentences, 1):
            self._pass(number)
            yield ids

    def _pass(self, count: int) -> None:
        """Notes how much of the corpus is packed."""
        while self.passed < count:
            self.passed += 1
            if self.ahead:  # the last end of a document is of no piece
                self.done = self.ahead.popleft()

    def _share(self, rest: Iterator[PackedSequence | SentencePair]) -> float | None:
        """Share of the corpus that was packed: below 1 where a limit left a sequence of it."""
        if next(rest, None) is None:
            return 1.0
        return None if self.done is None else min(self.done, self.sequences / (self.sequences + 1))

    def _groups(self, sequences: Iterator[PackedSequence | SentencePair], schema: pa.Schema) -> Iterator[pa.Table]:
        while rows := list(itertools.islice(sequences, GROUP_SEQUENCES)):
            self.sequences += len(rows)
            self.pairs += sum(row.types[-1] and not getattr(row, "next", 0) for row in rows)
            self.tokens += sum(len(row.ids) for row in rows)
            if time.monotonic() - self.said >= SAY_EVERY:
                self.said = time.monotonic()
                share = "" if self.done is None else f" {self.done:.0%},"
                self.reporter.message(f"packing the corpus:{share} {self.sequences:,} sequences")
            columns = zip(zip(*rows, strict=True), schema.types, strict=True)
            yield pa.table([pa.array(column, kind) for column, kind in columns], schema=schema)
