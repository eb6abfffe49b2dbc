"""What an earlier start of a training verb left in its folder, for plans of what is still to be done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.distilling.content import INTERMEDIATE, PREDICTION
from pipelines.distilling.session import CacheDecision
from pipelines.run_folder.stage_folder import finished_metrics, is_whole

if TYPE_CHECKING:
    from pipelines.run_folder.storage import Storage


@dataclass(frozen=True)
class Begun:
    """A distillation as an earlier start left it.

    Args:
        cache: the decision of its first start, which holds; None where none was made yet.
        done: stages that are finished.
    """

    cache: CacheDecision | None = None
    done: tuple[str, ...] = ()


def begun_distillation(storage: Storage, started: dict[str, Any] | None) -> Begun:
    """Looks at the folder of a distillation.

    Args:
        storage: the folder.
        started: its run.json; None for a fresh folder, or one that will be emptied.
    """
    if started is None or "resolved" not in started:
        return Begun()
    done: tuple[str, ...] = ()
    if finished_metrics(storage) is not None:
        done = (INTERMEDIATE, PREDICTION)
    elif is_whole(storage, (storage.read_json(f"{INTERMEDIATE}/stage.json") or {}).get("files")):
        done = (INTERMEDIATE,)
    return Begun(CacheDecision(**started["resolved"]["cache"]), done)
