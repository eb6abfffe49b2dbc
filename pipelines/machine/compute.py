"""Decides what was left open of how a masked LM runs, on the command's machine: all workers get one answer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from pipelines.augmenting.plan import usual_part_tokens
from pipelines.errors import UserError
from pipelines.machine.devices import gpu_count
from pipelines.machine.precision import AUTO

if TYPE_CHECKING:
    from augment.files.find import ModelFiles
    from pipelines.augmenting.settings import Compute
    from pipelines.engines import EngineSettings

UNSEEN_BATCH_TOKENS = 16_384  # where only the workers have GPUs: fits BERT-base in fp32 on a card of 8 GB


def resolve_compute(compute: Compute, model: ModelFiles, engine: EngineSettings) -> Compute:
    """Decides precision and tokens of a forward pass before they are recorded in run.json and compared with it.

    Args:
        compute: as asked for.
        model: the masked LM's files.
        engine: tells whether the workers' GPUs may be those of other machines.

    Returns:
        The same without `auto`, in precision and tokens of passes and parts.

    Raises:
        UserError: only the workers have GPUs, and no precision was chosen.
    """
    from augment.precision import default_batch_tokens, resolve_precision

    unseen = compute.device.startswith("cuda") and engine.joins_cluster and not gpu_count()
    precision, tokens = compute.precision, compute.batch_tokens
    if not unseen:
        precision = resolve_precision(precision, compute.device)
    elif precision == AUTO:
        raise UserError(
            "--precision auto: expected a GPU on this machine to decide by, found none: the cluster's workers have "
            "them; give --precision bf16 (compute capability 8.0 and above), fp16 or fp32"
        )
    if tokens is None and unseen:
        tokens = UNSEEN_BATCH_TOKENS
    elif tokens is None:
        config = json.loads((model.folder / "config.json").read_text(encoding="utf-8"))
        tokens = default_batch_tokens(compute.device, config, precision)
    parts = usual_part_tokens(compute.device) if compute.part_tokens is None else compute.part_tokens
    return replace(compute, precision=precision, batch_tokens=tokens, part_tokens=parts)
