"""How `tinyaug run --demo` trains: chosen for the best dev scores that four minutes on two cores allow."""

from __future__ import annotations

from typing import Any

from pipelines.demo import demo_options, fill
from pipelines.methods.names import METHODS
from pipelines.methods.tinybert import TINYBERT
from pipelines.options.models import GENERAL, STARTS, TEACHER_LAYERS

DEMO_RECIPE = {
    "n": 3,
    "epochs_finetune": 5,
    "lr_finetune": 2e-4,
    "epochs_intermediate": 1,
    "lr_intermediate": 3e-4,
    "epochs_prediction": 1,
    "lr_prediction": 2e-4,
}
"""Options of `run`, by their names. A small model on a thousand sentences wants larger rates than the paper's."""


def demo_run_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options of `run` with the embedded pack and the demo's recipe wherever the user named nothing else.

    Args:
        options: by name, as typed; None where nothing was typed.

    Returns:
        The same options, filled in. A profile that was typed brings its own epochs and rates.

    Raises:
        UserError: another task than sst2, or a revision of something embedded.
    """
    method = METHODS.get(options["method"] or "tinybert", TINYBERT)
    start = method.start if method.start != GENERAL else TEACHER_LAYERS  # the published weights are not embedded
    shape = {"student": "half"} if options["student_init"] in {None, *STARTS} - {GENERAL} else {}
    recipe = DEMO_RECIPE if options["profile"] is None else {}
    if not method.augmented:  # it reads a quarter of the rows
        recipe = {name: value for name, value in recipe.items() if name != "epochs_prediction"}
    return fill(demo_options(options), {"student_init": start, **shape, **recipe})
