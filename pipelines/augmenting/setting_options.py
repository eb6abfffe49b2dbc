"""The option by which a user sets what run.json calls otherwise, for messages about other settings."""

from __future__ import annotations

DATA = {
    "task.name": "--task",
    "task.text_columns": "--text",
    "task.label.column": "--label",
    "task.label.kind": "--label-type",
    "task.label.names": "--label-names",
}
READING = {"settings.reading.max_length": "--max-length", "settings.reading.seed": "--seed"}
SUBSET = {"settings.reading.train_rows": "--train-rows"}
HOW = {"settings.precision": "--precision", "parts": "--accumulation"}
COUNTED = {"parts": " times processes"}  # what run.json has is not what is typed
TEACHING = {
    "settings.losses.kinds": "--losses",
    "settings.losses.temperature": "--temperature",
    "settings.losses.layer_weights": "--layer-weights",
    "settings.losses.heads": "--heads",
    "settings.cache.mode": "--cache",
    "settings.cache.budget": "--cache-budget",
    "settings.student.config": "--student",
    "settings.student.start": "--student-init",
    "settings.student.layer_map": "--layer-map",
}


def _recipe(field: str, suffix: str = "") -> dict[str, str]:
    return {
        f"settings.{field}.epochs": f"--epochs{suffix}",
        f"settings.{field}.batch_rows": f"--batch-size{suffix}",
        f"settings.{field}.learning_rate": f"--lr{suffix}",
        f"settings.{field}.max_steps": "--max-steps",
    }


def _same_name(field: str, *names: str) -> dict[str, str]:
    return {f"settings.{field}{name}": f"--{name.replace('_', '-')}" for name in names}


OPTIONS: dict[str, dict[str, str]] = {
    "augment": {
        **DATA,
        **_same_name(
            "candidates.", "k", "context", "mask_spacing", "exclude_original", "skip_stopwords", "punctuation",
            "protect", "keep_whole", "max_words",
        ),
        "settings.candidates.segment": "--pair-context",
        **_same_name("draw.", "n", "p", "seed", "pairs"),
        "settings.draw.duplicates": "--unique",
        **_same_name("compute.", "device", "precision", "batch_tokens", "threads"),
        **_same_name("", "shard_rows", "limit", "on_bad_row", "drop_leaks"),
        "settings.protect_more": "--protect",
    },
    "finetune": {**DATA, **_recipe("recipe"), **READING, **SUBSET, **HOW},
    "distill": {
        **DATA,
        **_recipe("intermediate", "-intermediate"),
        **_recipe("prediction", "-prediction"),
        **READING,
        **SUBSET,
        **TEACHING,
        **HOW,
    },
    "cache-teacher": {
        **DATA,
        **READING,
        **SUBSET,
        "settings.layer_map": "--layer-map",
        "settings.batch_rows": "--batch-size-intermediate",
        "settings.cache.mode": "--cache",
        "settings.cache.budget": "--cache-budget",
        "settings.precision": "--precision",
    },
    "distill-general": {
        **_recipe("recipe"),
        **READING,
        **TEACHING,
        **HOW,
        "settings.student.embeddings": "--embedding-init",
        "settings.masked_lm.weight": "--mlm-weight",
        "settings.masked_lm.soft": "--mlm-soft",
        "settings.masked_lm.whole_word": "--whole-word",
        "settings.corpus.column": "--text",
        "settings.corpus.limit": "--limit",
        "settings.corpus.rows": "--rows",
        "settings.corpus.pairs": "--pairs",
    },
}  # fmt: skip
IN_RUN = {
    ("augment", "--precision"): "--augment-precision",
    ("finetune", "--epochs"): "--epochs-finetune",
    ("finetune", "--batch-size"): "--batch-size-finetune",
    ("finetune", "--lr"): "--lr-finetune",
    ("finetune", "--precision"): "--train-precision",
    ("distill", "--precision"): "--train-precision",
}


def option_of(kind: str, field: str) -> str:
    """What to call a setting in a message.

    Args:
        kind: of the run: augment, finetune, distill, distill-general, cache-teacher.
        field: its place in run.json, such as settings.draw.n.

    Returns:
        The option, with that of `tinyaug run` where it has another name there; the place itself where there is none.
    """
    known = OPTIONS.get(kind, {})
    whole = next((name for name in known if field == name or field.startswith(f"{name}.")), None)
    if whole is None:
        return field
    option, inner = known[whole], field[len(whole) + 1 :]
    in_run = IN_RUN.get((kind, option))
    counted = COUNTED.get(field, "")
    return option + counted + (f" ({inner})" if inner else "") + (f" (in `run`: {in_run})" if in_run else "")
