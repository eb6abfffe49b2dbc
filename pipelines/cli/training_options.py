"""Options of the training verbs, each with the help text it is shown with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from pipelines.cli.options import DATA, FILES, HOW, MODELS

TRAINING, CACHE = "How it trains", "Teacher cache"

Model = Annotated[
    str,
    Option(help="Encoder or masked LM to fine-tune: a folder or a name on the hub.", rich_help_panel=MODELS),
]
ModelRevision = Annotated[str | None, Option("--revision", help="Its revision on the hub.", rich_help_panel=MODELS)]
Judged = Annotated[str, Option("--model", help="The model: a folder or a name on the hub.", rich_help_panel=MODELS)]
Teacher = Annotated[
    str, Option(help="Fine-tuned teacher: a folder of `tinyaug finetune` or any classifier.", rich_help_panel=MODELS)
]
GivenTeacher = Annotated[
    str | None,
    Option("--teacher", help="Fine-tuned teacher, in place of fine-tuning one.", rich_help_panel=MODELS),
]
TeacherModel = Annotated[
    str | None, Option(help="Encoder to fine-tune as the teacher \\[that of --mlm].", rich_help_panel=MODELS)
]
TeacherRevision = Annotated[str | None, Option(help="Revision of the teacher on the hub.", rich_help_panel=MODELS)]
Student = Annotated[
    str | None,
    Option(
        help="tinybert4 (4 x 312), tinybert6 (6 x 768), half (the teacher's shape, half its layers), or a config.json "
        "\\[tinybert4, or the folder of --student-init].",
        rich_help_panel=MODELS,
    ),
]
StudentInit = Annotated[
    str,
    Option(
        help="general (the published TinyBERT), teacher-layers (equal widths), random, or a folder.",
        rich_help_panel=MODELS,
    ),
]
StartShape = Annotated[
    str,
    Option(
        "--student-init",
        help="As for distill: where --student is left out, a folder says how many layers there are.",
        rich_help_panel=MODELS,
    ),
]
GivenStart = Annotated[
    str | None,
    Option(
        "--student-init",
        help="general (the published TinyBERT), teacher-layers (equal widths), random, or a folder \\[general].",
        rich_help_panel=MODELS,
    ),
]
LayerMap = Annotated[
    str, Option(help="uniform, top, bottom, or teacher layers such as 3,6,9,12.", rich_help_panel=MODELS)
]
Train = Annotated[
    str | None,
    Option(
        "--train",
        help="Parquet shards to learn from, such as runs/sst2/augmented. Without: the task's own train part.",
        rich_help_panel=DATA,
    ),
]
TrainRows = Annotated[
    int | None, Option(help="Learn from a random subset of so many rows.", rich_help_panel=DATA)
]  # fmt: skip
Profile = Annotated[
    str,
    Option(
        help="paper, or quick: 16,000 random rows and fewer epochs (fine-tuning 1, intermediate 3, prediction 2).",
        rich_help_panel=TRAINING,
    ),
]
GivenProfile = Annotated[
    str | None,
    Option(
        "--profile",
        help="paper, or quick: 2,000 examples, 16,000 rows and fewer epochs (1, 3 and 2) \\[paper].",
        rich_help_panel=TRAINING,
    ),
]
Epochs = Annotated[int | None, Option(help="Passes over the data [3].", rich_help_panel=TRAINING)]
BatchSize = Annotated[int | None, Option(help="Examples of a step [32].", rich_help_panel=TRAINING)]
Rate = Annotated[float | None, Option("--lr", help="Learning rate at its peak [2e-5].", rich_help_panel=TRAINING)]
MaxSteps = Annotated[
    int | None,
    Option(help="Stop each stage after as many steps, and end its schedule there.", rich_help_panel=TRAINING),
]
EpochsFinetune = Annotated[int | None, Option(help="Of the teacher [3].", rich_help_panel=TRAINING)]
BatchSizeFinetune = Annotated[int | None, Option(help="Of the teacher [32].", rich_help_panel=TRAINING)]
RateFinetune = Annotated[float | None, Option("--lr-finetune", help="Of the teacher [2e-5].", rich_help_panel=TRAINING)]
EpochsIntermediate = Annotated[
    int | None,
    Option(help="0 leaves the stage out [10; cola 50; mnli, qqp, qnli 5].", rich_help_panel=TRAINING),
]
EpochsPrediction = Annotated[int | None, Option(help="0 leaves the stage out [3].", rich_help_panel=TRAINING)]
BatchSizeIntermediate = Annotated[int | None, Option(help="[32; mnli, qqp, qnli 256].", rich_help_panel=TRAINING)]
BatchSizePrediction = Annotated[int | None, Option(help="[32].", rich_help_panel=TRAINING)]
RateIntermediate = Annotated[float | None, Option("--lr-intermediate", help="[5e-5].", rich_help_panel=TRAINING)]
RatePrediction = Annotated[float | None, Option("--lr-prediction", help="[3e-5].", rich_help_panel=TRAINING)]
MaxLength = Annotated[int, Option(help="Tokens at which texts are cut.", rich_help_panel=TRAINING)]
JudgedLength = Annotated[
    int | None,
    Option("--max-length", help="Tokens at which texts are cut \\[as trained, else 128].", rich_help_panel=HOW),
]
JudgedRows = Annotated[int, Option("--batch-size", help="Examples of a forward pass.", rich_help_panel=HOW)]
Seed = Annotated[int, Option(help="Of order, dropout, drawn weights and subsets.", rich_help_panel=TRAINING)]
Losses = Annotated[
    str, Option(help="Of the intermediate stage: some of embedding,attention,hidden.", rich_help_panel=TRAINING)
]
LayerWeights = Annotated[
    str | None,
    Option(help="λ of embedding, each layer and prediction, separated by commas [1 each].", rich_help_panel=TRAINING),
]
Temperature = Annotated[float, Option(help="Of the prediction loss.", rich_help_panel=TRAINING)]
Heads = Annotated[
    str,
    Option(
        help="none, or mean: compare attention by its mean over heads where counts differ.", rich_help_panel=TRAINING
    ),
]
Accumulation = Annotated[
    int | None, Option(help="Cut a step's examples into so many parts to save memory [1].", rich_help_panel=HOW)
]  # fmt: skip
CheckpointEvery = Annotated[int, Option(help="Steps between checkpoints.", rich_help_panel=HOW)]

Cache = Annotated[
    str,
    Option(
        help="auto (logits always, attention and hidden states within the budget), full, logits or off.",
        rich_help_panel=CACHE,
    ),
]
CacheBudget = Annotated[
    str | None, Option(help="Such as 20GB \\[the smaller of 20GB and half the free disk].", rich_help_panel=CACHE)
]
CacheDir = Annotated[Path | None, Option(help="Folder of the caches [OUT/teacher_cache].", rich_help_panel=CACHE)]
RebuildCache = Annotated[
    bool,
    Option(
        "--rebuild-cache",
        help="Empty the cache first, whatever lies there. A run that goes on keeps its cache.",
        rich_help_panel=CACHE,
    ),
]
RefillCache = Annotated[
    bool, Option("--rebuild-cache", help="Make the cache anew, whatever lies there.", rich_help_panel=CACHE)
]  # fmt: skip

Out = Annotated[str, Option(help="Folder to write into.", rich_help_panel=FILES)]
Submission = Annotated[
    Path | None,
    Option(help="Zip archive for the GLUE server; other tasks' files in it are kept.", rich_help_panel=FILES),
]
Predictions = Annotated[
    Path | None,
    Option(help="Predictions on the dev parts, as .csv, .tsv, .jsonl or .parquet.", rich_help_panel=FILES),
]
Json = Annotated[Path | None, Option("--json", help="The metrics as JSON.", rich_help_panel=FILES)]
Precision = Annotated[
    str,
    Option(
        help="Precision of the models: fp32, tf32, bf16, fp16, or auto: fp32 on a CPU, on a GPU bf16, else fp32.",
        rich_help_panel=HOW,
    ),
]
AugmentPrecision = Annotated[
    str,
    Option(
        help="Precision of the masked LM: fp32, tf32, bf16, fp16, or auto: fp32 on a CPU, on a GPU bf16, else fp16.",
        rich_help_panel=HOW,
    ),
]
TrainPrecision = Annotated[
    str,
    Option(
        help="Precision of teacher and student: fp32, tf32, bf16, fp16, or auto: fp32 on a CPU, on a GPU bf16, else "
        "fp32.",
        rich_help_panel=HOW,
    ),
]
