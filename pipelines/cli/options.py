"""Options that verbs share, each with the help text it is shown with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

DATA, MODELS, WHAT, HOW, FILES = "Data", "Models", "What is drawn", "How it runs", "Output"

Task = Annotated[
    str,
    Option(
        help="cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte, wnli, or custom.",
        rich_help_panel=DATA,
    ),
]
Data = Annotated[
    Path | None,
    Option(
        help="GLUE folder in the classic TSV layout, or your own csv, tsv, jsonl, parquet, arrow. Without: the hub.",
        rich_help_panel=DATA,
    ),
]
DataRevision = Annotated[str | None, Option(help="Revision of the data set on the hub.", rich_help_panel=DATA)]
Text = Annotated[list[str] | None, Option(help="Text column of a custom task; may be repeated.", rich_help_panel=DATA)]
Label = Annotated[str | None, Option(help="Label column of a custom task.", rich_help_panel=DATA)]
LabelType = Annotated[str | None, Option(help="class, score or none.", rich_help_panel=DATA)]
LabelNames = Annotated[
    str | None, Option(help="Class names in order, as a teacher without label names has them.", rich_help_panel=DATA)
]
Limit = Annotated[int | None, Option(help="Augment only the first N rows of the input.", rich_help_panel=DATA)]
OnBadRow = Annotated[
    str,
    Option(help="stop, or skip: rows that cannot be read go to rejected.parquet.", rich_help_panel=DATA),
]
AllowRejects = Annotated[bool, Option("--allow-rejects", help="Rejected rows are no failure.", rich_help_panel=DATA)]
Demo = Annotated[
    bool,
    Option(
        "--demo",
        help="The embedded model, vectors and sentences: needs no network. --data, --mlm and --glove of your own go "
        "before them.",
        rich_help_panel=DATA,
    ),
]

Mlm = Annotated[
    str | None, Option(help="Masked LM: a folder or a name on the hub \\[bert-base-uncased].", rich_help_panel=MODELS)
]
Revision = Annotated[str | None, Option(help="Revision of the masked LM on the hub.", rich_help_panel=MODELS)]
Glove = Annotated[
    str | None,
    Option(
        help="A GloVe or word2vec file, a gensim-downloader name \\[glove-wiki-gigaword-300], kumo-6b-50d or none.",
        rich_help_panel=MODELS,
    ),
]

Preset = Annotated[
    str,
    Option(
        help="paper, fast, algorithm1, official, or texts for texts of your own; the options below override it.",
        rich_help_panel=WHAT,
    ),
]
N = Annotated[int | None, Option("--n", "-n", help="Variants of each example [20].", rich_help_panel=WHAT)]
P = Annotated[float | None, Option("--p", help="Probability of replacing a word [0.4].", rich_help_panel=WHAT)]
K = Annotated[int | None, Option("--k", help="Candidates of each word [20].", rich_help_panel=WHAT)]
Seed = Annotated[int | None, Option(help="Same seed, same inputs, same bytes [42].", rich_help_panel=WHAT)]
Context = Annotated[
    str | None,
    Option(help="original: one word masked; running: with the replacements made before.", rich_help_panel=WHAT),
]
MaskSpacing = Annotated[
    int | None, Option(help="Mask words at least S words apart together; 0 is exact.", rich_help_panel=WHAT)
]
ExcludeOriginal = Annotated[
    bool | None,
    Option("--exclude-original/--include-original", help="Never propose the word itself.", rich_help_panel=WHAT),
]
SkipStopwords = Annotated[
    bool | None,
    Option("--skip-stopwords/--no-skip-stopwords", help="Keep stop words and non-words.", rich_help_panel=WHAT),
]
Punctuation = Annotated[
    bool | None, Option("--punctuation/--no-punctuation", help="Replace punctuation, too.", rich_help_panel=WHAT)
]
Protect = Annotated[
    list[str] | None,
    Option(
        help="Never replace: a word, a /regex/ searched in the whole text, or a file of them; may be repeated.",
        rich_help_panel=WHAT,
    ),
]
KeepWhole = Annotated[
    bool | None,
    Option(
        "--keep-whole/--no-keep-whole",
        help="Keep words with a digit and what is written together: don't, U.S., 12:30, a@b.org, \\[COL].",
        rich_help_panel=WHAT,
    ),
]
Pairs = Annotated[str | None, Option(help="joint, first, second or each.", rich_help_panel=WHAT)]
PairContext = Annotated[
    bool | None,
    Option("--pair-context/--no-pair-context", help="The masked LM sees the other text.", rich_help_panel=WHAT),
]
Unique = Annotated[
    bool | None, Option("--unique/--keep-duplicates", help="Redraw equal variants, then drop.", rich_help_panel=WHAT)
]
DropLeaks = Annotated[
    bool, Option("--drop-leaks", help="Leave out variants equal to a dev or test example.", rich_help_panel=WHAT)
]
MaxWords = Annotated[int | None, Option(help="Longer texts are rejected [5000].", rich_help_panel=WHAT)]

Engine = Annotated[str, Option(help="auto, ray or local.", rich_help_panel=HOW)]
Workers = Annotated[int | None, Option(help="Workers at once; by default what fits.", rich_help_panel=HOW)]
Threads = Annotated[int, Option(help="CPU threads of a worker.", rich_help_panel=HOW)]
MixedHardware = Annotated[
    bool,
    Option("--mixed-hardware", help="Accept parts made on several kinds of hardware.", rich_help_panel=HOW),
]
Address = Annotated[str | None, Option(help="Ray cluster to join; RAY_ADDRESS works, too.", rich_help_panel=HOW)]
Device = Annotated[str, Option(help="auto, cpu, cuda, or cuda:N for one of several GPUs.", rich_help_panel=HOW)]
Precision = Annotated[
    str,
    Option(
        help="Precision of the masked LM: fp32, tf32, bf16, fp16, or auto: fp32 on a CPU, on a GPU bf16, else fp16.",
        rich_help_panel=HOW,
    ),
]
BatchTokens = Annotated[
    str,
    Option(
        help="Tokens of a forward pass: a number, or auto: 2048 on a CPU, on a GPU by its memory.",
        rich_help_panel=HOW,
    ),
]

Out = Annotated[str | None, Option(help="Run directory: a path or s3://… \\[runs/TASK].", rich_help_panel=FILES)]
ShardRows = Annotated[int, Option(help="Source rows of an output shard.", rich_help_panel=FILES)]
Overwrite = Annotated[bool, Option("--overwrite", help="Delete an earlier run in --out.", rich_help_panel=FILES)]
Verify = Annotated[
    bool, Option("--verify", help="Compare hashes of finished shards, not sizes alone.", rich_help_panel=FILES)
]
DryRun = Annotated[bool, Option("--dry-run", help="Print the plan; write nothing.", rich_help_panel=FILES)]
