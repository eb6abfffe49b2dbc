"""The embedded demo pack: a small masked LM, a subset of GloVe, and review sentences, so that no network is needed.

Only the folders' names are known here; README.md says what lies in them and under which licences. Nothing depends
on the masked LM's sizes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import UserError
from pipelines.tasks.glue import plain_name

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).resolve().parent
MLM, GLOVE, DATA = FOLDER / "mlm", FOLDER / "glove" / "glove.demo.50d.txt.gz", FOLDER / "sst2"
OUT = "runs/demo"
PACK = {"data": DATA, "mlm": str(MLM), "glove": str(GLOVE), "out": OUT}


def demo_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options of `augment` or `run` with the embedded pack wherever the user named nothing else.

    Args:
        options: by name, as typed; None where nothing was typed.

    Returns:
        The same options with data, mlm, glove and out filled in. What the user named stays.

    Raises:
        UserError: another task than sst2, or a revision of something embedded.
    """
    task = str(options["task"])
    if plain_name(task) != "sst2":
        raise UserError(
            f"--demo: expected --task sst2, whose sentences are embedded, found {task}; leave --demo out, or give "
            f"--mlm {MLM} and --glove {GLOVE} to use the embedded models with --data of your own"
        )
    for option, of in (("revision", "mlm"), ("data_revision", "data")):
        if options.get(option) and options[of] is None:
            name = option.replace("_", "-")
            raise UserError(f"--{name}: expected --{of} beside it, found --demo, whose {of} is embedded; leave it out")
    return fill(options, PACK)


def fill(options: dict[str, Any], values: Mapping[str, object]) -> dict[str, Any]:
    """The options with these values wherever nothing was typed."""
    return {**options, **{name: value for name, value in values.items() if options[name] is None}}
