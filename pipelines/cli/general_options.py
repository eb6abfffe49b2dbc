"""Options of `tinyaug distill-general`, each with the help text it is shown with."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from pipelines.cli.options import DATA, MODELS
from pipelines.cli.training_options import TRAINING

Corpus = Annotated[
    str,
    Option(
        help="Text (.txt, .txt.gz: one sentence a line, blank line between documents), .jsonl or .parquet; a file, a "
        "folder of them, or a data set on the hub.",
        rich_help_panel=DATA,
    ),
]
CorpusText = Annotated[str, Option("--text", help="Text column of jsonl, parquet, hub.", rich_help_panel=DATA)]
CorpusConfig = Annotated[str | None, Option(help="Configuration of the data set on the hub.", rich_help_panel=DATA)]
CorpusRevision = Annotated[str | None, Option(help="Revision of the data set on the hub.", rich_help_panel=DATA)]
Rows = Annotated[
    str,
    Option(
        help="What a row of jsonl, parquet, hub is: documents, or sentences (an empty row ends a document).",
        rich_help_panel=DATA,
    ),
]
Pairs = Annotated[
    float | None,
    Option(
        help="Share of the packed sequences of two sentences or more that become pairs of segments, the form BERT was "
        "trained on [0.5; 0 where a model has one segment].",
        rich_help_panel=DATA,
    ),
]
Limit = Annotated[int | None, Option(help="Only the first N packed sequences.", rich_help_panel=DATA)]

Teacher = Annotated[
    str,
    Option(help="Encoder or masked LM, not fine-tuned: a folder or a name on the hub.", rich_help_panel=MODELS),
]
StudentInit = Annotated[
    str,
    Option(
        help="random, teacher-layers (equal widths), general (the published general TinyBERT), or a folder.",
        rich_help_panel=MODELS,
    ),
]
EmbeddingInit = Annotated[
    str,
    Option(help="random, or projected: the principal components of the teacher's embeddings.", rich_help_panel=MODELS),
]

BatchSize = Annotated[int | None, Option(help="Sequences of a step [256].", rich_help_panel=TRAINING)]
Rate = Annotated[float | None, Option("--lr", help="Learning rate at its peak [1e-4].", rich_help_panel=TRAINING)]
MaxSteps = Annotated[
    int | None, Option(help="Stop after as many steps, and end the schedule there.", rich_help_panel=TRAINING)
]
MaxLength = Annotated[int, Option(help="Tokens of a packed sequence at most.", rich_help_panel=TRAINING)]
Losses = Annotated[str, Option(help="Some of embedding,attention,hidden.", rich_help_panel=TRAINING)]
LayerWeights = Annotated[
    str | None,
    Option(help="λ of embedding, each layer and prediction (unused), by commas [1 each].", rich_help_panel=TRAINING),
]
MlmWeight = Annotated[
    float,
    Option(help="Weight of a masked-LM loss; above 0 the result is a masked LM, too.", rich_help_panel=TRAINING),
]
MlmSoft = Annotated[
    float,
    Option(help="Weight of the loss on the teacher's own masked-LM predictions.", rich_help_panel=TRAINING),
]
WholeWord = Annotated[
    bool, Option("--whole-word", help="Mask all pieces of a word or none.", rich_help_panel=TRAINING)
]  # fmt: skip
Temperature = Annotated[float, Option(help="Of the loss of --mlm-soft.", rich_help_panel=TRAINING)]
Cache = Annotated[
    str,
    Option(
        help="auto (attention and hidden states within the budget; off beside --mlm-weight or --mlm-soft), full "
        "(beside them the same tokens are masked in every epoch) or off.",
        rich_help_panel="Teacher cache",
    ),
]
Accumulation = Annotated[
    int | None,
    Option(
        help="Cut a step's sequences into so many parts to save memory [32 sequences a part; 128 on a GPU].",
        rich_help_panel="How it runs",
    ),
]
