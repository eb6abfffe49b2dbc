"""Turns options as typed into a request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from augment.presets import is_regex, preset
from pipelines.augmenting.request import AugmentRequest
from pipelines.augmenting.settings import Compute, JobSettings
from pipelines.engines import EngineSettings
from pipelines.errors import UserError
from pipelines.machine.devices import named_device
from pipelines.machine.precision import AUTO
from pipelines.tasks import CustomOptions
from pipelines.tasks.glue import GLUE, find_task, plain_name
from pipelines.tasks.task import Task

DEFAULT_MLM, DEFAULT_GLOVE = "bert-base-uncased", "glove-wiki-gigaword-300"
LIST_SUFFIXES = (".txt", ".tsv", ".csv", ".lst", ".list")  # no word ends like this
SAME_NAME = (
    "n", "p", "k", "seed", "context", "mask_spacing", "exclude_original", "skip_stopwords", "punctuation", "pairs",
    "keep_whole", "max_words",
)  # fmt: skip


def augment_request(options: dict[str, Any]) -> AugmentRequest:
    """The request behind the options of `augment`.

    Args:
        options: by name, as typed.

    Returns:
        The request.

    Raises:
        UserError, AugmentError: a value that cannot be used.
    """
    demo = options["demo"]
    if demo:
        from pipelines.demo import demo_options

        options = demo_options(options)
    device = named_device(options["device"])
    workers = 1 if device.startswith("cuda:") and options["workers"] is None else options["workers"]
    return AugmentRequest(
        task=options["task"],
        out=f"runs/{options['task'].lower()}" if options["out"] is None else options["out"],
        mlm=options["mlm"] or DEFAULT_MLM,
        glove=None if options["glove"] == "none" else options["glove"] or DEFAULT_GLOVE,
        data=options["data"],
        custom=custom_options(options),
        settings=_settings(options, device),
        engine=EngineSettings(
            options["engine"],
            workers,
            options["threads"],
            device == "cuda",
            options["address"],
            options["mixed_hardware"],
        ),
        mlm_revision=options["revision"],
        data_revision=options["data_revision"],
        overwrite=options["overwrite"],
        verify=options["verify"],
        allow_rejects=options["allow_rejects"],
        pairs=options["pairs"],
    )


def _settings(options: dict[str, Any], device: str) -> JobSettings:
    overrides = {name: options[name] for name in SAME_NAME}
    overrides["protect"] = protected(options["protect"]) if options["protect"] else None
    if options["pair_context"] is not None:
        overrides["segment"] = "partner" if options["pair_context"] else "none"
    if options["unique"] is not None:
        overrides["duplicates"] = "redraw" if options["unique"] else "keep"
    candidates, draw = preset(options["preset"], GLUE.get(plain_name(options["task"]), Task).official_n, **overrides)
    compute = Compute(device, options["precision"], _batch_tokens(options["batch_tokens"]), options["threads"])
    return JobSettings(
        candidates, draw, compute, options["shard_rows"], options["limit"], options["on_bad_row"], options["drop_leaks"]
    )


def _batch_tokens(text: str) -> int | None:
    """Tokens of a forward pass; None for `auto`."""
    if text == AUTO:
        return None
    if not text.lstrip("-").isdecimal():
        raise UserError(f"--batch-tokens: expected auto or a number of tokens, found {text!r}")
    return int(text)


def protected(entries: list[str]) -> tuple[str, ...]:
    """Words and patterns that are never replaced; a file's lines in its place.

    Args:
        entries: words, `/regular expressions/`, or names of files with one of them a line.

    Raises:
        UserError: a file that is no text, or is not there.
    """
    found: list[str] = []
    for entry in entries:
        path = Path(entry).expanduser()
        if not path.is_file():
            markup = "<" in entry or ">" in entry  # such as <br />: no file is called so
            if not (is_regex(entry) or markup) and ("/" in entry or path.suffix.lower() in LIST_SUFFIXES):
                raise UserError(
                    f"--protect {entry}: expected a word, a /regular expression/ or a file with one of them a line, "
                    "found what looks like a path and no such file; check it, or write the word into a file"
                )
            found.append(entry)
            continue
        try:
            lines = path.read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--protect {entry}: expected a UTF-8 file with one word a line: {error}") from error
        found += [line.strip() for line in lines if line.strip()]
    return tuple(dict.fromkeys(found))


def custom_options(options: dict[str, Any]) -> CustomOptions | None:
    """The columns of a custom task as typed; None if none is named.

    Args:
        options: by name, as typed.

    Raises:
        UserError: options that contradict each other, or that only a custom task has.
    """
    given = [name for name in ("text", "label", "label_type", "label_names") if options[name] not in (None, [])]
    if not given:
        return None
    typed = ", ".join(f"--{name.replace('_', '-')}" for name in given)
    if options["task"] is not None and plain_name(options["task"]) != "custom":
        task = find_task(options["task"])
        raise UserError(
            f"{typed}: expected --task custom, found --task {task.name}, whose columns are known (text "
            f"{', '.join(task.text_columns)}; label {task.label.column}); leave {typed} out, or pass --task custom"
        )
    if not options["text"]:
        raise UserError(f"--text: expected the name of a text column beside {typed}, found none; add --text COLUMN")
    names = options["label_names"]
    return CustomOptions(
        tuple(options["text"]),
        options["label"],
        options["label_type"],
        tuple(name.strip() for name in names.split(",")) if names is not None else None,
    )
