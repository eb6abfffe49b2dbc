"""`tinyaug status`, `verify`, `inspect` and `clean`: looking at a run, and deleting what can be made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

if TYPE_CHECKING:
    from pipelines.run_folder.storage import Storage

Run = Annotated[str, Argument(help="Run directory.")]
Begun = Annotated[str, Argument(help="Run directory, or the --out of a training verb.")]


def status(run: Begun) -> int:
    """Say how far a run or a training is."""
    from pipelines.augmenting.augment_job import all_done, run_states
    from pipelines.cli.terminal import output_console
    from pipelines.run_folder.storage import Storage
    from pipelines.training.stage_progress import training_state
    from pipelines.wording import counted

    console, storage = output_console(), Storage(run)
    if (training := training_state(storage)) is not None:
        for name, words in training.stages.items():
            console.print(f"{name:<12} {words}")
        return _say_whether_complete(training.done)
    augments = (storage.read_json("run.json") or {}).get("kind") != "run"  # else its method reads no augmented rows
    states, trained = run_states(_open(run)) if augments else [], _models(storage)
    complete = all(trained.values()) and (all_done(states) if augments else bool(trained))
    for state in states:
        rows, size = (sum(getattr(record, name) for record in state.records.values()) for name in ("rows", "bytes"))
        console.print(f"{state}, {counted(rows, 'row')}, {size / 1e6:,.1f} MB")
    for model, done in trained.items():
        console.print(f"{model:<11} {'trained' if done else 'not trained yet'}")
        begun = None if done else training_state(storage, f"{model}/")
        for name, words in begun.stages.items() if begun else ():
            console.print(f"{'':<11} {name}: {words}")
    return _say_whether_complete(complete)


def verify(run: Run) -> int:
    """Read every shard again and compare its sha256 with its record; exit 1 if one differs."""
    from pipelines.augmenting.augment_job import run_states
    from pipelines.cli.terminal import output_console

    console = output_console()
    states = run_states(_open(run), verify=True)
    if not states:
        console.print("not complete: its input is missing or damaged; run its command again to go on")
        return 1
    bad = [state.stage.names.data(part) for state in states for part in state.left]
    for state in states:
        console.print(f"{state} intact")
    for name in bad:
        console.print(f"missing or damaged: {name}", soft_wrap=True)
    if bad:
        console.print("run the command of this run again with --verify to have them redone")
    return 1 if bad else 0


def inspect(
    run: Run,
    examples: Annotated[int, Option(help="Examples to show.", min=1)] = 5,
    variants: Annotated[int, Option(help="Variants of each.", min=1)] = 5,
) -> int:
    """Show examples and their variants, replaced words highlighted: masked LM green, GloVe magenta."""
    from pipelines.augmenting.run_file import existing_run
    from pipelines.cli.summary import show_variants
    from pipelines.cli.terminal import output_console
    from pipelines.errors import UserError

    storage = _open(run)
    if not storage.names("augmented/data"):
        raise UserError(
            f"{storage.display()}: expected augmented shards, found none yet; run its command again to go on"
        )
    columns = list(existing_run(storage).identity.task.text_columns)
    show_variants(output_console(), storage, columns, examples, variants)
    return 0


def clean(run: Begun, dry_run: Annotated[bool, Option(help="List it with sizes; delete nothing.")] = False) -> int:
    """Delete what can be made again: teacher_cache/, tokenised rows, half-written files; never a result."""
    from distill.wording import shown_bytes
    from pipelines.cli.terminal import output_console
    from pipelines.run_folder.clean import clean
    from pipelines.run_folder.storage import Storage

    console, found = output_console(), clean(Storage(run), dry_run)
    for folder in found:
        console.print(f"{shown_bytes(folder.bytes):>10}  {folder.path}", soft_wrap=True)
    total = shown_bytes(sum(folder.bytes for folder in found))
    console.print(f"{total} would be deleted; nothing was" if dry_run else f"{total} deleted")
    return 0


def _models(storage: Storage) -> dict[str, bool]:
    """The models that `tinyaug run` makes beside the data, as far as one was begun, and whether each is done."""
    from pipelines.run_folder.clean import MODELS

    begun = [model for model in MODELS if storage.size(f"{model}/run.json") is not None]
    if begun and "student" not in begun:
        begun.append("student")
    return {model: storage.size(f"{model}/metrics.json") is not None for model in begun}


def _say_whether_complete(complete: bool) -> int:
    """Says it, and gives the exit code."""
    from pipelines.cli.terminal import output_console

    output_console().print("complete" if complete else "not complete: run its command again to go on")
    return 0 if complete else 1


def _open(run: str) -> Storage:
    from pipelines.augmenting.run_file import existing_run
    from pipelines.run_folder.storage import Storage

    storage = Storage(run)
    existing_run(storage)
    return storage
