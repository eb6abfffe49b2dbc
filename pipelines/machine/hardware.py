"""The kind of hardware that a model computes on: equal bytes are promised for one kind, so records name it.

Only stages in which a model computes are guarded. Drawing from a stored table is integer arithmetic on the same numbers
everywhere.
"""

from __future__ import annotations

import platform
import socket
from collections import Counter
from typing import TYPE_CHECKING

from pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipelines.augmenting.stages import Stage
    from pipelines.run_folder.records import Record
    from pipelines.run_folder.storage import Storage

UNKNOWN = "unknown"  # of records made before it was recorded
OPTION = "--mixed-hardware"
EXPLAINED = "scores differ in their last digits between kinds of hardware, and so may the bytes"


def hardware_of(device: str) -> str:
    """The kind of hardware behind a device: a GPU's model, or a CPU's architecture and vector instructions.

    Args:
        device: `cpu`, `cuda` or `cuda:N`.

    Returns:
        Such as "x86_64 AVX512" or "NVIDIA H100 80GB HBM3".
    """
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(torch.device(device))
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def worker_hardware(stage: Stage) -> str | None:
    """The hardware of this worker, where it counts.

    Args:
        stage: what will be run; says on which hardware its finished parts were made.

    Returns:
        The kind; None where no model computes.

    Raises:
        UserError: it is not the kind that the finished parts were made on.
        AugmentError: this machine lacks the device.
    """
    if not stage.computes:
        return None
    from augment.masked_lm import resolve_device

    here = hardware_of(str(resolve_device(stage.job.identity.settings.compute.device)))
    if stage.hardware not in (None, here):
        raise UserError(
            f"worker on {socket.gethostname()}: expected {stage.hardware}, which the finished parts of {stage.name}/ "
            f"were made on, found {here}: {EXPLAINED}; go on with machines of that kind, or add {OPTION}"
        )
    return here


def ruling_hardware(stage: Stage, finished: Iterable[Record], mixed: bool) -> str | None:
    """The kind that the parts that are left must be made on.

    Args:
        stage: what will be run, with parts left.
        finished: records of its finished parts.
        mixed: whether any will do.

    Returns:
        The kind; None where any will do, or none is recorded.

    Raises:
        UserError: the finished parts are of several kinds.
    """
    if mixed or not stage.computes:
        return None
    records = [record for record in finished if record.hardware is not None]
    kinds = counted_hardware(records)
    if len(kinds) > 1:
        fewest = min(kinds, key=lambda kind: kinds[kind])
        names = [stage.names.record(record.part) for record in records if record.hardware == fewest]
        raise UserError(
            f"{stage.name}/: expected finished parts made on one kind of hardware, found "
            f"{' and '.join(f'{count} on {kind}' for kind, count in kinds.items())}: {EXPLAINED}; go on with {OPTION}, "
            f"or delete the records of one kind, whose parts are then made again ({', '.join(names[:3])}"
            f"{' …' if len(names) > 3 else ''})"
        )
    return next(iter(kinds), None)


def refuse_other_hardware(storage: Storage, stage: Stage, made: Iterable[Record], record: Record) -> None:
    """Refuses a part that was made on another kind of hardware than those before it, and drops its record.

    Args:
        storage: the run directory.
        stage: the stage.
        made: records of the parts before it.
        record: of the part.

    Raises:
        UserError: naming both kinds.
    """
    rules = next((one.hardware for one in made if one.hardware is not None), None)
    if record.hardware is None or rules in (None, record.hardware):
        return
    storage.remove(stage.names.record(record.part))
    raise UserError(
        f"{storage.display(stage.names.data(record.part))}: expected it made on {rules} as the parts before it, found "
        f"{record.hardware}: {EXPLAINED}; its record is dropped and the others are kept: go on with machines of one "
        f"kind, or add {OPTION}"
    )


def counted_hardware(records: Iterable[Record]) -> dict[str, int]:
    """How many parts were made on each kind."""
    return dict(sorted(Counter(record.hardware or UNKNOWN for record in records).items()))
