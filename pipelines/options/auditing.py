"""Options of `tinyaug audit`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.options import running
from pipelines.options.option import COUNT, Bounds, Options, Panel, option


@dataclass(frozen=True, kw_only=True)
class AuditOptions(Options):
    """Options of `tinyaug audit`."""

    run: str = option("Run directory of `augment`, `resample` or `run`.", ..., "run")
    teacher: str = option(
        "Classifier that labels originals and variants: a folder or a name on the hub.", ..., panel=Panel.MODELS
    )
    revision: str | None = option("Revision of the teacher on the hub.", panel=Panel.MODELS)
    sample: int = option("Random examples whose variants are judged.", 500, bounds=COUNT)
    all: bool = option("Judge all, and keep what the teacher says for --max-flip, in RUN/augmented/audit.", False)
    seed: int = option("Seed of the sample.", 0, bounds=Bounds(0))
    max_length: int | None = option(
        "Tokens at which texts are cut [as trained, else 128].", panel=Panel.RUNNING, bounds=Bounds(8)
    )
    batch_rows: int | None = option(
        "Examples of a forward pass.", None, "--batch-size", panel=Panel.RUNNING, bounds=COUNT
    )
    machine: running.Device
    json_file: Path | None = option("File for the findings as JSON.", None, "--json", panel=Panel.OUTPUT)
    png: Path | None = option("File for a picture of them; needs tinyaug[plots].", panel=Panel.OUTPUT)
