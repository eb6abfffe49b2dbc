"""The options of the verbs that augment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from augment.presets import PRESETS
from pipelines.demo import demo_defaults
from pipelines.options import drawing, running
from pipelines.options.data import DataChoice, InputRows, Rejects
from pipelines.options.models import MaskedLm
from pipelines.options.option import Options, Panel, option
from pipelines.options.output import RunDirectory, ShardsAsBefore


@dataclass(frozen=True, kw_only=True)
class AugmentOptions(Options):
    """Options of `tinyaug augment`."""

    data: DataChoice
    rows: InputRows
    models: MaskedLm
    preset: str = option(
        "Settings, which other options override; texts is for your own.", "paper", panel=Panel.DRAWN, choices=PRESETS
    )
    draw: drawing.DrawOptions
    candidates: drawing.CandidateOptions
    drop_leaks: bool = option("Leave out variants equal to a dev or test example.", False, panel=Panel.DRAWN)
    engine: running.EngineOptions
    compute: running.ComputeOptions
    output: RunDirectory

    def defaults(self) -> dict[str, Any]:
        """With --demo the embedded pack."""
        return demo_defaults(self) if self.rows.demo else {}


@dataclass(frozen=True, kw_only=True)
class ResampleOptions(Options):
    """Options of `tinyaug resample`; None leaves what the run had."""

    candidates: str = option("Run directory whose candidates are drawn from.", ...)
    rejects: Rejects
    draw: drawing.DrawOptions
    protected: drawing.Protected
    drop_leaks: bool | None = option("Leave out leaked variants.", None, "--drop-leaks/--keep-leaks", panel=Panel.DRAWN)
    workers: running.Workers
    out: str = option("Run directory of the new draw.", ..., panel=Panel.OUTPUT)
    shards: ShardsAsBefore
