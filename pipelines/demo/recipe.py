"""How `tinyaug run --demo` trains: chosen for the best dev scores that four minutes on two cores allow."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pipelines.demo import demo_options

STARTS = (None, "teacher-layers", "random")  # that take any shape; a folder has its own


@dataclass(frozen=True)
class DemoRecipe:
    """Options of `run`, by their names. A small model on a thousand sentences wants larger rates than the paper's."""

    n: int = 3
    epochs_finetune: int = 5
    lr_finetune: float = 2e-4
    epochs_intermediate: int = 1
    lr_intermediate: float = 3e-4
    epochs_prediction: int = 1
    lr_prediction: float = 2e-4


DEMO_RECIPE = DemoRecipe()


def demo_run_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options of `run` with the embedded pack and the demo's recipe wherever the user named nothing else.

    Args:
        options: by name, as typed; None where nothing was typed.

    Returns:
        The same options, filled in. A profile that was typed brings its own epochs and rates.

    Raises:
        UserError: another task than sst2, or a revision of something embedded.
    """
    filled: dict[str, Any] = {"student_init": "teacher-layers"}
    if options["student_init"] in STARTS:
        filled["student"] = "half"
    if options["profile"] is None:
        filled.update(asdict(DEMO_RECIPE))
    typed = {name: options[name] for name in filled if options[name] is not None}
    return {**demo_options(options), **filled, **typed}
