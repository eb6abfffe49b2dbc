"""What the jobs share that learn from a text corpus: it is packed once, and streamed for one stage."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.corpus.hub import open_corpus
from pipelines.corpus.packed import COLUMNS, FOLDER, NEXT, PackedShape, pack_corpus, packed_corpus
from pipelines.general.sequences import Sequences, beginning, whole_corpus
from pipelines.methods.method import Rows
from pipelines.run_folder.run_file import refuse_other_run
from pipelines.run_folder.storage import Storage
from pipelines.training.estimates import Told
from pipelines.training.job import Job, Models
from pipelines.training.parts import open_stream
from pipelines.training.results import Metrics, Resolved, Result
from pipelines.wording import pairs_words, sequences_words

if TYPE_CHECKING:
    from distill.masking import MaskSettings
    from distill.shards import ShardStream
    from pipelines.corpus.files import FileCorpus
    from pipelines.corpus.hub import HubCorpus
    from pipelines.general.request import GeneralRequest, PretrainRequest
    from pipelines.methods.method import MethodStage
    from pipelines.reporting import Reporter


@dataclass(frozen=True)
class CorpusMetrics(Metrics):
    """What metrics.json says.

    Args:
        sequences: of the packed corpus.
        pairs: of them, whose second segment continues the first.
        tokens: of the packed corpus.
        steps: done.
        examples: seen.
        seconds: that they took.
        graph_steps: of them, that ran as CUDA graphs.
        losses: of the last step, by kind.
        layer_map: teacher layers that the student's learnt from; None without a teacher.
        parameters: of the student.
    """

    sequences: int | None
    pairs: int | None
    tokens: int | None
    steps: int
    examples: int
    seconds: float
    graph_steps: int
    losses: dict[str, float]
    layer_map: tuple[int, ...] | None
    parameters: int


class CorpusJob(Job):
    """A job whose method has one stage, which reads a corpus.

    Attributes:
        corpus: what is learnt from; known once `check` has passed, as what follows.
        shape: what it is packed into.
        sequences: of the corpus; known once it is packed, or its beginning.
    """

    request: GeneralRequest | PretrainRequest
    served, first_look = (Rows.CORPUS,), "--max-steps 100 or --limit"
    corpus: FileCorpus | HubCorpus
    shape: PackedShape
    sequences: Sequences

    def masking(self, static: bool) -> MaskSettings | None:
        """How tokens are masked; None where none are.

        Args:
            static: the same ones in every epoch.
        """
        raise NotImplementedError

    def find_corpus(self, started: Any) -> None:
        """Finds the corpus, of an earlier start that one.

        Raises:
            UserError: it is not there.
        """
        self.corpus = open_corpus(self.request.corpus, started)

    def corpus_settings(self) -> dict[str, str | float | None]:
        """What run.json says of how the corpus is read."""
        corpus = self.request.corpus
        return {"column": corpus.column, "limit": corpus.limit, "rows": corpus.rows}

    def refuse_other(self, storage: Storage, started: Any, asked: Any, finished: bool) -> None:
        """As for every job; before anything is resolved only what the corpus is packed by has to be the same.

        A start that was refused then, for its cache as an example, goes on with what it was told to change.
        """
        if "resolved" not in started:
            there, now = started["settings"], asked["settings"]
            reading = {**now["reading"], "max_length": there["reading"]["max_length"]}
            models = {**asked["models"], **{role: started["models"][role] for role in self.packed_by}}
            kept = {name: started[name] for name in ("inputs", "versions")}
            settings = {**now, "corpus": there["corpus"], "reading": reading}
            started = {**asked, **kept, "models": models, "settings": settings}
        refuse_other_run(storage, started, asked, finished)

    @property
    def packed_by(self) -> tuple[str, ...]:
        """The roles of the models whose tokenizer packs the corpus."""
        return ("teacher",)

    def prepare(self, storage: Storage, models: Models, reporter: Reporter) -> None:  # noqa: ARG002
        """Packs the corpus, unless it lies there undamaged."""
        self.sequences = whole_corpus(pack_corpus(storage, self.corpus, self.tokenizer, self.shape, reporter))

    def is_prepared(self, storage: Storage) -> bool:
        """Whether the corpus is packed."""
        return packed_corpus(storage) is not None

    def sample(self, storage: Storage, folder: str) -> Storage:
        """The packed corpus; where there is none, its beginning in a folder that is thrown away."""
        if not self.request.overwrite and (packed := packed_corpus(storage)) is not None:
            self.sequences = whole_corpus(packed)
            return storage
        self.sequences = beginning(self.corpus, self.shape, self.tokenizer, Storage(folder))
        return Storage(folder)

    def stream(self, stage: MethodStage, storage: Storage, cached: bool = True) -> ShardStream:
        """Batches of the packed corpus; beside a cache the same tokens are masked in every epoch."""
        from distill.reading import Columns

        label = {"label": NEXT, "classes": 2} if self.shape.next_sentence else {}
        columns, reading = Columns(COLUMNS, tokenised=True, **label), self.request.reading  # type: ignore[arg-type]
        place, rows = str(storage.local_folder() / FOLDER), stage.recipe.batch_rows
        masking = self.masking(cached)
        return open_stream(place, columns, self.tokenizer, reading.max_length, rows, reading.seed, masking)

    def rows(self, stream: ShardStream, kind: Rows) -> int:  # noqa: ARG002
        """Sequences of the whole corpus."""
        return self.sequences.count

    def disk_bytes(self) -> int:
        """Bytes of the corpus that is still to be packed."""
        return self.sequences.bytes_to_come

    def tell(self, storage: Storage, stream: ShardStream) -> Told:  # noqa: ARG002
        """How large the corpus is, and what the user may not have meant."""
        notes = self.sequences.notes(self.corpus, self.shape, self.request.corpus.rows)
        return Told((f"corpus: {self.sequences.described(self.counted)}",), notes + self.notes())

    def notes(self) -> tuple[str, ...]:
        """What the user may not have meant of the student."""
        return ()

    def counted(self, sequences: int, pairs: int) -> str:
        """Sequences and pairs in words."""
        return (pairs_words if self.shape.next_sentence else sequences_words)(sequences, pairs)

    def resolve(self, storage: Storage, models: Models, reporter: Reporter) -> Resolved:  # noqa: ARG002
        """The size of the corpus."""
        packed = self.sequences.packed
        return Resolved(sequences=packed.sequences, pairs=packed.pairs, tokens=packed.tokens)

    def learnt(self, result: Result) -> dict[str, str | float]:
        """What the card says of corpus and training."""
        request, resolved, [told] = self.request, result.resolved, result.stages.values()
        recipe = request.recipe
        return {
            "corpus": f"{self.counted(resolved.sequences or 0, resolved.pairs or 0)} of at most "
            f"{request.reading.max_length} tokens, {resolved.tokens:,} tokens",
            "training": f"{told.steps:,} steps of {recipe.batch_rows} sequences, learning rate {recipe.learning_rate}",
            **self.method.facts,
            "seed": request.reading.seed,
        }

    def metrics(self, result: Result) -> CorpusMetrics:
        """Size of the corpus and losses of the last step."""
        resolved, [told] = result.resolved, result.stages.values()
        with (result.folder / self.method.stages[0].folder / "losses.csv").open(newline="") as file:
            last = list(csv.DictReader(file))[-1]
        return CorpusMetrics(
            sequences=resolved.sequences,
            pairs=resolved.pairs,
            tokens=resolved.tokens,
            steps=told.steps,
            examples=told.examples,
            seconds=told.seconds,
            graph_steps=told.graph_steps,
            losses={kind: float(value) for kind, value in list(last.items())[4:]},
            layer_map=resolved.layer_map,
            parameters=result.parameters,
        )
