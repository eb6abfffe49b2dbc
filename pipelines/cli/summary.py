"""What is shown when a job is done: counts, where everything lies, and some variants to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from pipelines.classes.rows import class_rows
from pipelines.cli.terminal import rows_table, told_of, warn
from pipelines.run_folder.parquet import RowReader
from pipelines.tasks.task import listed
from pipelines.wording import counted, rejected_rows

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.augmenting.augment_job import Outcome
    from pipelines.run_folder.storage import Storage

SHOWN_EXAMPLES, SHOWN_VARIANTS = 3, 3
SHOWN_ENTRIES = 5
FEW = 0.4  # of the eligible words with candidates; English has 92% and more, Chinese, Russian or Finnish 29% and less


def show_outcome(outcome: Outcome, out: str, allow_rejects: bool) -> int:
    """Prints the summary of a finished job.

    Args:
        outcome: what came of it.
        out: the run directory as the user named it.
        allow_rejects: whether rejected rows are no failure.

    Returns:
        The exit code.
    """
    console = told_of(outcome.fresh, f"{Path(out).name}: ")
    console.print(rows_table(summary_rows(outcome)))
    show_variants(console, outcome.storage, list(outcome.job.task.text_columns), SHOWN_EXAMPLES, SHOWN_VARIANTS)
    console.print(f"\nshards:   {outcome.storage.display('augmented/data')}", soft_wrap=True)
    console.print(f"manifest: {outcome.storage.display('augmented/manifest.json')}", soft_wrap=True)
    warn(console, warnings(outcome))
    if outcome.rejected:
        said = Text(f"{rejected_rows(outcome.rejected)}:", style="yellow")
        console.print(said, outcome.storage.display("rejected.parquet"), soft_wrap=True)
    return 1 if outcome.rejected and not allow_rejects else 0


def warnings(outcome: Outcome) -> list[str]:
    """What a user should know of a run that did not fail: entries that protected nothing, words nothing is known of.

    Args:
        outcome: what came of it.
    """
    said = []
    idle = [entry for entry, words in outcome.protected.items() if not words]
    if idle:
        more = f" and {len(idle) - SHOWN_ENTRIES:,} more" if len(idle) > SHOWN_ENTRIES else ""
        resampled = outcome.job.root != outcome.job.source
        before = " beyond those that the first run kept" if resampled else ""
        folder = "candidates" if outcome.candidates else "augmented"
        said.append(
            f"--protect: found no word{before} for {', '.join(idle[:SHOWN_ENTRIES])}{more}; a word or phrase is looked "
            "for as a whole, a /regular expression/ in the whole text, case and all "
            f"({folder}/manifest.json: protected)"
        )
    counts = outcome.candidates or outcome.augmented
    eligible = counts.get("eligible_words", 0)
    known = eligible - counts.get("words_without_candidates", 0)
    if known < FEW * eligible:
        why = (
            "the texts seem to be in a language that masked LM and vectors do not know; choose --mlm and --glove of "
            "their language"
        )
        if not outcome.job.identity.models["glove"]:
            why = (
                "words of several pieces have none without vectors (--glove none); give --glove, or --mlm of their "
                "language where the texts are in another one"
            )
        said.append(f"only {known / eligible:.1%} of the {eligible:,} eligible words have candidates: {why}")
    return said


def summary_rows(outcome: Outcome) -> list[tuple[str, str]]:
    """Labels and values of the summary.

    Args:
        outcome: what came of it.
    """
    counts, found = outcome.augmented, outcome.candidates
    drawable = counts.get("drawable_words", 0)
    share = counts.get("draws", 0) / drawable if drawable else 0.0
    edits = max(counts.get("edits", 0), 1)
    kept = found or counts
    rows = [
        ("examples", f"{counts.get('source_rows', 0):,} ({counted(outcome.snapshot.texts, 'unique text')})"),
        ("rows", f"{outcome.rows:,} with the originals, {outcome.bytes / 1e6:,.1f} MB"),
    ]
    if by_class := class_rows(counts, outcome.job.task.label.names):
        rows.append(("rows by class", listed(f"{name} {number:,}" for name, number in by_class.items())))
    rows += reused_rows(outcome)
    if found:
        pieces = f"{found['single_piece_words']:,} single-piece, {found['multi_piece_words']:,} multi-piece"
        rows += [
            ("eligible words", f"{pieces}, {found['words_without_candidates']:,} without candidates"),
            ("masked LM", f"{found['masked_words']:,} masked words, {found['mlm_tokens']:,} tokens"),
        ]
    stayed = [counted(kept.get("protected_words", 0), "protected word")] if outcome.protected else []
    if whole := kept.get("whole_words", 0):
        stayed.append(f"{counted(whole, 'word')} written together or with digits")
    if stayed:
        rows.append(("kept", ", ".join(stayed)))
    rows += [
        ("replaced", f"{share:.4f} of the words with candidates (p = {outcome.job.identity.settings.draw.p})"),
        (
            "edits",
            f"{counts.get('edits', 0):,}: {counts.get('edits_mlm', 0) / edits:.1%} masked LM, "
            f"{counts.get('edits_glove', 0) / edits:.1%} GloVe; "
            f"{counts.get('identity_draws', 0):,} draws gave the word itself",
        ),
        (
            "variants",
            f"{counts.get('duplicate_variants', 0):,} equal to another of the same example, "
            f"{counts.get('leaked_variants', 0):,} equal to a dev or test example",
        ),
    ]
    return rows


def reused_rows(outcome: Outcome) -> list[tuple[str, str]]:
    """How many texts' candidates an earlier run had; nothing where none was to be reused.

    Args:
        outcome: what came of it.
    """
    if not outcome.job.reuse and "reused_texts" not in outcome.candidates:
        return []
    reused = outcome.candidates.get("reused_texts", 0)
    return [("reused", f"candidates of {reused:,} of the unique texts, found by an earlier run")]


def show_variants(console: Console, storage: Storage, columns: list[str], examples: int, variants: int) -> None:
    """Prints some examples and their variants with the replaced words highlighted.

    Args:
        console: where to.
        storage: the run directory.
        columns: text columns.
        examples: how many.
        variants: how many of each.
    """
    names = [name for name in storage.names("augmented/data") if name.endswith(".parquet")]
    if not names:
        return
    reader = RowReader(storage, f"augmented/data/{names[0]}")
    shown_columns = [*columns, "source_idx", "variant", "edits"]  # others may be wide
    rows = reader.range(0, min(reader.rows, 4000), shown_columns).to_pylist()
    reader.close()
    shown: dict[int, int] = {}
    for row in rows:
        source = row["source_idx"]
        if row["variant"] == 0 and len(shown) < examples:
            shown[source] = 0
            console.print()
            console.print(Text(" | ".join(row[column] for column in columns), style="bold"))
        elif source in shown and shown[source] < variants and row["edits"]:
            shown[source] += 1
            console.print(Text("  ") + highlighted(row, columns))


def highlighted(row: dict[str, Any], columns: list[str]) -> Text:
    """A variant with its replacements coloured: green from the masked LM, magenta from GloVe.

    Args:
        row: of an augmented shard.
        columns: text columns.
    """
    text = Text()
    for number, column in enumerate(columns):
        if number:
            text.append(" | ", style="dim")
        variant, cursor, shift = row[column], 0, 0
        for edit in (edit for edit in row["edits"] if edit["column"] == column):
            start = edit["start"] + shift
            text.append(variant[cursor:start])
            end = start + len(edit["replacement"])
            text.append(variant[start:end], style="bold green" if edit["source"] == "mlm" else "bold magenta")
            shift += len(edit["replacement"]) - (edit["end"] - edit["start"])
            cursor = end
        text.append(variant[cursor:])
    return text
