"""What `tinyaug distill-general` prints when it is done, and its plan."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from pipelines.cli.terminal import output_console
from pipelines.cli.training_summary import show_stages
from pipelines.wording import counted, sequences_words

if TYPE_CHECKING:
    from pipelines.general.request import GeneralRequest
    from pipelines.training.finetune_job import Trained

KNOWN = {
    True: "",
    False: ", estimated from its beginning",
    None: " read; the size of a data set on the hub is not known: give --limit for a plan",
}


def show_general(trained: Trained) -> int:
    """Prints what came of it; gives the exit code.

    Args:
        trained: what came of it.
    """
    if os.environ.get("RANK", "0") != "0":
        return 0  # under torchrun the first rank prints it
    console, metrics = output_console(), trained.metrics
    if not trained.fresh:
        console.print("everything was done already; nothing was run")
    losses = ", ".join(f"{kind} {value:.4f}" for kind, value in metrics["losses"].items())
    steps, sequences = counted(metrics["steps"], "step"), sequences_words(metrics["sequences"], metrics["pairs"])
    console.print(f"{steps} over {sequences}; last losses: {losses}")
    console.print(f"model: {trained.storage.display()}", soft_wrap=True)
    console.print(
        f"next:  tinyaug distill --task … --teacher … --student-init {trained.storage.display()} --out …",
        soft_wrap=True,
    )
    return 0


def show_general_plan(request: GeneralRequest) -> int:
    """Prints what it would cost; writes nothing.

    Args:
        request: what the user asked for.

    Returns:
        The exit code.
    """
    from pipelines.found import Found
    from pipelines.general.plan import plan_from_beginning

    with tempfile.TemporaryDirectory(prefix="tinyaug-") as folder:
        plan = plan_from_beginning(request, folder, Found())
    console, estimate = output_console(), plan.estimate
    if estimate.done:
        console.print("everything was done already; nothing is left to do")
    found = f"{sequences_words(plan.sequences, plan.pairs)}, {counted(plan.tokens, 'token')}"
    console.print(f"corpus: {found}{KNOWN[plan.known]}", soft_wrap=True)
    show_stages(console, estimate, "packed corpus, ")
    console.print("nothing was written")
    return 0
