"""A corpus tokenised and packed once, as Parquet shards that the training stream reads: column `input_ids`."""

from __future__ import annotations

import itertools
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipelines.errors import JobError, UserError
from pipelines.parquet import CountingSink, open_writer
from pipelines.training.folder import is_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.storage import Storage
    from pipelines.training.corpus import FileCorpus
    from pipelines.training.corpus_hub import HubCorpus
    from pipelines.training.reporting import TrainingReporter

FOLDER, RECORD, COLUMN = "corpus", "corpus.json", "input_ids"  # the folder holds shards alone
SCHEMA = pa.schema([(COLUMN, pa.list_(pa.int32()))])
GROUP_SEQUENCES = 4_096  # what stays together when the order is drawn
SHARD_GROUPS = 16
SAY_EVERY = 20.0  # seconds


@dataclass(frozen=True)
class Packed:
    """A packed corpus.

    Args:
        sequences: how many.
        tokens: of all of them.
        done: share of the corpus they are, 1 only where they are all of it; None where that is not known.
        files: name -> bytes and sha256.
    """

    sequences: int
    tokens: int
    done: float | None
    files: dict[str, dict[str, Any]]


def pack_corpus(
    storage: Storage,
    corpus: FileCorpus | HubCorpus,
    tokenizer: Any,
    length: int,
    limit: int | None,
    reporter: TrainingReporter,
) -> Packed:
    """Writes the shards, or finds them there undamaged; the same corpus gives the same bytes.

    Args:
        storage: folder of the stage.
        corpus: sentences.
        tokenizer: the teacher's, a fast one.
        length: tokens of a sequence.
        limit: sequences at most; None for all.
        reporter: is told of progress.

    Returns:
        What is there now.

    Raises:
        UserError: the corpus has no text, or cannot be read.
        JobError: the disk is full, or the connection to the hub broke.
    """
    if (found := packed_corpus(storage, verify=True)) is not None:
        return found
    if storage.read_json(RECORD) is not None:
        reporter.warning(f"{storage.display(FOLDER)}: a shard is missing or damaged; the corpus is packed again")
    if corpus.left_out:
        reporter.warning(corpus.left_out)
    try:
        packed = _Packer(storage, corpus, reporter).run(tokenizer, length, limit)
    except JobError as error:
        if "no space left" not in str(error):
            raise
        raise JobError(f"{error}; free some space and run the same command again") from error
    if not packed.sequences:
        raise UserError("--corpus: expected text, found none but blank lines; give one sentence a line")
    storage.write_json(
        RECORD, {"sequences": packed.sequences, "tokens": packed.tokens, "done": packed.done, "files": packed.files}
    )
    return packed


def packed_corpus(storage: Storage, verify: bool = False) -> Packed | None:
    """The packed corpus of a folder; None while it is not complete, or where a shard has another size.

    Args:
        storage: folder of the stage.
        verify: also compare the shards' digests, which reads them whole.
    """
    content = storage.read_json(RECORD)
    if content is None:
        return None
    files = {f"{FOLDER}/{name}": file for name, file in content["files"].items()}
    if any(storage.size(name) != file["bytes"] for name, file in files.items()):
        return None
    if verify and not is_whole(storage, files):
        return None
    return Packed(content["sequences"], content["tokens"], content["done"], content["files"])


class _Packer:
    """One pass over a corpus."""

    def __init__(self, storage: Storage, corpus: FileCorpus | HubCorpus, reporter: TrainingReporter) -> None:
        self.storage, self.corpus, self.reporter = storage, corpus, reporter
        self.sequences = self.tokens = 0
        self.done: float | None = 0.0
        self.ahead: deque[float | None] = deque()  # shares of the corpus that was read, but not packed yet
        self.said = time.monotonic()

    def run(self, tokenizer: Any, length: int, limit: int | None) -> Packed:
        """Shard after shard."""
        from distill.packing import Packing, pack, tokenised

        packing = Packing(length, tokenizer.cls_token_id, tokenizer.sep_token_id)
        sequences = pack(self._counted(tokenised(self._texts(), tokenizer.backend_tokenizer.to_str())), packing)
        groups = self._groups(itertools.islice(sequences, limit))
        files: dict[str, dict[str, Any]] = {}
        for group in groups:
            name = f"part-{len(files):05d}.parquet"
            with self.storage.writing(f"{FOLDER}/{name}") as file:
                sink = CountingSink(file)
                with open_writer(pa.PythonFile(sink, "w"), SCHEMA) as writer:
                    for table in itertools.chain([group], itertools.islice(groups, SHARD_GROUPS - 1)):
                        writer.write_table(table)
            files[name] = {"bytes": sink.bytes, "sha256": sink.sha256}
        return Packed(self.sequences, self.tokens, self._share(sequences), files)

    def _texts(self) -> Iterator[str | None]:
        for piece in self.corpus.pieces():
            self.ahead.append(piece.done)
            yield piece.text

    def _counted(self, sentences: Iterator[list[int] | None]) -> Iterator[list[int] | None]:
        """Passes sentences on as they are packed: they are read, and tokenised, far ahead of that."""
        for ids in sentences:
            if self.ahead:  # the last end of a document is none of the corpus's own
                self.done = self.ahead.popleft()
            yield ids

    def _share(self, rest: Iterator[list[int]]) -> float | None:
        """Share of the corpus that was packed: below 1 where a limit left a sequence of it."""
        if next(rest, None) is None:
            return 1.0
        return None if self.done is None else min(self.done, self.sequences / (self.sequences + 1))

    def _groups(self, sequences: Iterator[list[int]]) -> Iterator[pa.Table]:
        while rows := list(itertools.islice(sequences, GROUP_SEQUENCES)):
            self.sequences += len(rows)
            self.tokens += sum(map(len, rows))
            if time.monotonic() - self.said >= SAY_EVERY:
                self.said = time.monotonic()
                share = "" if self.done is None else f" {self.done:.0%},"
                self.reporter.message(f"packing the corpus:{share} {self.sequences:,} sequences")
            yield pa.table([pa.array(rows, SCHEMA.field(0).type)], schema=SCHEMA)
