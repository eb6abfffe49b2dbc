"""All of GLUE augmented (N = 20): made-up tables with the rows, lengths and repeats of the public sets, by the plan.

The words are those of --data. MRPC and WNLI, which have 4,303 rows together, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.gpu_parts import about, make_model, planned_by, read_texts

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from benchmarks.gpu_parts import Results
    from pipelines.augmenting.estimate import Estimate

TOKENS_OF_A_WORD = 1.1
COLUMNS = ("first", "second")


@dataclass(frozen=True)
class Counts:
    """Counted in a public training set; of QQP and MNLI words and tokens are estimates.

    Args:
        rows: examples.
        columns: texts of each.
        unique: share of the texts that are no repeats.
        words: of a text, the mean.
        tokens: of all masked copies of unique texts, in millions.
    """

    rows: int
    columns: int
    unique: float
    words: float
    tokens: float

    def table(self, words: np.ndarray, share: float) -> pa.Table:
        """A table of made-up texts.

        Args:
            words: to draw from.
            share: of the rows.
        """
        chance = np.random.default_rng(0)
        rows = max(64, round(self.rows * share))
        number = rows * self.columns
        masked = self.tokens * 1e6 / (self.rows * self.columns * self.unique)  # tokens of the copies of a text
        spread = max(1.0, (masked - 2 * self.words) / TOKENS_OF_A_WORD - self.words**2)  # of the words of a text
        shape = self.words**2 / spread
        sizes = np.maximum(1, np.rint(chance.gamma(shape, self.words / shape, number))).astype(int)
        ends = np.cumsum(sizes)
        drawn = words[chance.integers(0, len(words), ends[-1])].tolist()
        texts = [" ".join(drawn[end - size : end]) for size, end in zip(sizes.tolist(), ends.tolist(), strict=True)]
        for place in np.flatnonzero(chance.random(number) >= self.unique).tolist():
            texts[place] = texts[place // 2]
        columns = {name: texts[start :: self.columns] for start, name in enumerate(COLUMNS[: self.columns])}
        return pa.table({**columns, "label": chance.integers(0, 2, rows)})


GLUE = {
    "SST-2": Counts(67_349, 1, 0.99, 10.2, 13.5),
    "CoLA": Counts(8_551, 1, 1.0, 9.0, 1.0),
    "RTE": Counts(2_490, 2, 0.91, 32.7, 11.0),
    "STS-B": Counts(5_749, 2, 0.92, 12.0, 2.3),
    "QNLI": Counts(104_743, 2, 0.7, 21.4, 115.0),
    "QQP": Counts(363_846, 2, 0.7, 9.5, 75.0),
    "MNLI": Counts(392_702, 2, 0.67, 13.0, 150.0),
}


def measure(arguments: argparse.Namespace, results: Results, folder: Path) -> None:
    """The plan of each table; `gpu_table.py` makes seconds of it with the rates that other sections measure."""
    results.content |= about(arguments.device, arguments.shape)
    share = min(1.0, arguments.seconds / 200)
    mlm = make_model(arguments.shape, arguments.mlm, folder / "mlm")
    texts = read_texts(arguments.task, arguments.data, arguments.texts)
    words = np.array(" ".join(texts).split(), dtype=object)
    for name, counts in GLUE.items():
        (folder / name).mkdir()
        pq.write_table(counts.table(words, share), folder / name / "train.parquet")
        plan = planned(arguments, folder / name, mlm, counts.columns)
        whole = {
            "rows": plan.rows,
            "masked_words": plan.counts["masked_words"],
            "mlm_tokens": plan.counts["mlm_tokens"],
            "variants": plan.output_rows * counts.columns,
            "planned_seconds": plan.seconds,
        }
        results.put("tasks", name, found={kind: value / share for kind, value in whole.items()})


def planned(arguments: argparse.Namespace, table: Path, mlm: Path, columns: int) -> Estimate:
    """What `tinyaug augment --dry-run` says of a table."""
    named = [part for column in COLUMNS[:columns] for part in ("--text", column)]
    command = [
        "augment", "--dry-run", "--task", "custom", "--data", table, *named, "--label", "label", "--mlm", mlm,
        "--glove", arguments.glove, "--device", arguments.device, "--engine", "local", "--out", table / "run",
    ]  # fmt: skip
    plan: Estimate = planned_by("pipelines.cli.plans.estimate", command)
    return plan
