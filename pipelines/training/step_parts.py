"""Into how many parts all processes together cut a step: dropout is drawn for each, so a run keeps their number."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pipelines.general.request import GeneralRequest
    from pipelines.training.request import DistillRequest, FinetuneRequest

    Request = TypeVar("Request", FinetuneRequest, DistillRequest, GeneralRequest)

PARTS = "parts"  # their number in run.json


def processes() -> int:
    """Processes of the run, as torchrun tells them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def with_parts(request: Request, started: dict[str, Any] | None, usual: int = 1) -> Request:
    """The request with the parts that each process cuts its share of a step into, where none were typed.

    Args:
        request: what the user asked for.
        started: run.json of an earlier start, whose number is kept where the processes can share it; None for none.
        usual: parts of each process at a first start.
    """
    if request.machine.accumulation is not None:
        return request
    kept = None if request.overwrite else (started or {}).get(PARTS)
    parts = kept // processes() if kept and kept % processes() == 0 else usual
    return replace(request, machine=replace(request.machine, accumulation=parts))


def parts_of(request: FinetuneRequest | DistillRequest | GeneralRequest) -> int:
    """Parts of a step, those of all processes, of a request `with_parts`."""
    return (request.machine.accumulation or 1) * processes()
