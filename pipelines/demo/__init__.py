"""The embedded demo pack: a small masked LM, a subset of GloVe, and review sentences, so that no network is needed.

Only the folders' names are known here; README.md says what lies in them and under which licences. Nothing depends
on the masked LM's sizes. `tinyaug run --demo` trains for the best dev scores that four minutes on two cores allow.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.options.option import flag

if TYPE_CHECKING:
    from pipelines.options.augmenting import AugmentOptions
    from pipelines.options.whole_run import RunOptions

FOLDER = Path(__file__).resolve().parent
MLM, GLOVE, DATA = FOLDER / "mlm", FOLDER / "glove" / "glove.demo.50d.txt.gz", FOLDER / "sst2"
OUT = "runs/demo"
PACK: dict[str, Path | str | float] = {"data": DATA, "mlm": str(MLM), "glove": str(GLOVE), "out": OUT}
SQUAD_PACK: dict[str, Path | str | float] = {**PACK, "data": FOLDER / "squad", "out": "runs/demo-squad"}
PACKS = {"sst2": PACK, "squadv2": SQUAD_PACK}
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

SQUAD_RECIPE = {
    "n": 2,
    "max_length": 96,
    "epochs_finetune": 7,
    "lr_finetune": 4e-4,
    "batch_size_finetune": 8,
    "epochs_intermediate": 1,
    "lr_intermediate": 3e-4,
    "epochs_prediction": 2,
    "lr_prediction": 3e-4,
    "batch_size_prediction": 8,
}
"""The same for questions on made-up texts."""


DEMO_CORPUS: dict[str, Path | str | float] = {
    "epochs_corpus": 6,
    "batch_size_corpus": 32,
    "lr_corpus": 1e-3,
    "max_length": 64,
}
"""The same where there is a corpus. A method that cannot do without gets the train sentences, each a document."""


def demo_defaults(options: AugmentOptions) -> dict[str, Path | str | float]:
    """The embedded pack, by the options of `augment` that it stands in for.

    Args:
        options: as typed.

    Raises:
        UserError: another task than sst2 and squad_v2, or a revision of something embedded.
    """
    from pipelines.tasks.glue import plain_name  # here, since --help loads no tables

    task = options.data.task
    if plain_name(task) not in PACKS:
        raise UserError(
            f"--demo: expected --task sst2 or squad_v2, whose texts are embedded, found {task}; leave --demo out, or "
            f"give --mlm {MLM} and --glove {GLOVE} to use the embedded models with --data of your own"
        )
    for group, of in ((options.models, "mlm"), (options.data, "data")):
        if group.has("revision") and not group.has(of):
            name = flag(type(group), "revision")
            raise UserError(f"{name}: expected --{of} beside it, found --demo, whose {of} is embedded; leave it out")
    return PACKS[plain_name(task)]


def demo_run_defaults(options: RunOptions) -> dict[str, Path | str | float]:
    """The same for `run`, with a recipe of its own; a profile that was typed brings its own epochs and rates.

    Args:
        options: as typed.

    Raises:
        UserError: another task than sst2 and squad_v2, or a revision of something embedded.
    """
    from distill.shape_names import start_of
    from pipelines.methods.names import METHODS
    from pipelines.options.models import GENERAL, RANDOM, STARTS, TEACHER_LAYERS

    distill, method = options.distill, METHODS[options.distill.method]
    start = method.start if method.start != GENERAL else TEACHER_LAYERS  # the published weights are not embedded
    sized = bool(distill.size.targets)
    start = RANDOM if sized else start_of(distill.student, start)
    is_half = not sized and (not distill.has("start") or distill.start in {*STARTS} - {GENERAL})
    shape = {"student": "half"} if is_half else {}
    pack = demo_defaults(options.augment)
    recipe = {} if distill.has("profile") else SQUAD_RECIPE if pack is SQUAD_PACK else DEMO_RECIPE
    if RANDOM in (start, distill.start):  # it has rates of its own
        recipe = {name: value for name, value in recipe.items() if name not in ("lr_intermediate", "lr_prediction")}
    if not method.augmented:  # it reads a quarter of the rows
        recipe = {name: value for name, value in recipe.items() if name != "epochs_prediction"}
    corpus: dict[str, Path | str | float] = DEMO_CORPUS if options.general.corpus.place is not None else {}
    if method.encoder and not method.start and not distill.has("start") and not corpus:
        corpus = {"corpus": str(DATA / "train.tsv"), "corpus_text": "sentence", **DEMO_CORPUS}
    if not method.encoder:  # it starts from word vectors alone
        recipe = {name: value for name, value in recipe.items() if not name.endswith("_prediction")}
    return {**pack, "student_init": start, **shape, **corpus, **recipe}
