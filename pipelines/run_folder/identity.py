"""What determines a run, as run.json records it; differences are told by the names of options."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any

from pipelines.options.names import option_of
from pipelines.tasks import Label, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.augmenting.settings import Compute

DECISIVE = ("config", "kept", "method", "name")  # where one of them differs, what stands beside it follows from it
UNSAID = {"method": "tinybert"}  # what run.json leaves out
VERSIONED = ("tinyaug", "torch", "transformers", "tokenizers", "numpy", "pyarrow")
Versions = dict[str, str]  # software -> version


def differences(old: Mapping[str, Any], new: Mapping[str, Any], kind: str = "", prefix: str = "") -> list[str]:
    """Names of the fields in which two identities differ, with both values.

    Args:
        old: as recorded.
        new: as asked for.
        kind: of the run, whose settings are called by their options; empty for none.
        prefix: name of the enclosing field.
    """
    found: list[str] = []
    decisive = [name for name in DECISIVE if old.get(name) != new.get(name)]
    for name in decisive[:1] or sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, kind, f"{prefix}{name}.")
        elif before != after and (files := changed_files(before, after)):
            found += files
        elif before != after:
            there, now = (_short(UNSAID.get(name) if one is None else one) for one in (before, after))
            found.append(f"{option_of(kind, prefix + name)}: {there} there, {now} now")
    return found


def software_versions(compute: Compute | None = None) -> Versions:
    """Versions of the software that determines the output.

    Args:
        compute: how the masked LM runs: adds what multiplies its matrices on this machine. None: none runs.
    """
    versions = {name: _version(name) for name in VERSIONED}
    if compute is not None:
        from augment.packed_linear import linear_kernel

        versions["linear_layers"] = linear_kernel(compute.device, compute.precision)
    return versions


def changed_files(before: Any, after: Any) -> list[str]:
    """Which input files changed since a run was begun, in words; none of anything but lists of files.

    Args:
        before: as run.json has them: name, bytes and sha256 of each.
        after: as they are now.
    """
    if not all(isinstance(files, list) for files in (before, after)):
        return []
    if not all(isinstance(file, dict) and "sha256" in file for file in [*before, *after]):
        return []
    words = []
    for name in sorted({file["name"] for file in [*before, *after]}):
        then, now = ([file for file in files if file["name"] == name] for files in (before, after))
        if then and now and then != now:
            old, new = (", ".join(f"{file['bytes']:,}" for file in files) for files in (then, now))
            told = f"{old} bytes then, {new} now" if old != new else f"{old} bytes as before"
            words.append(f"content of the input file {name} ({told})")
        elif then != now:
            words.append(f"input files: {name} is {'new' if now else 'not among them any more'}")
    return words


def task_content(task: Task) -> dict[str, Any]:
    """A task as plain data; its split-off dev part only where there is one."""
    split = {} if task.dev_split is None else {"dev_split": task.dev_split}
    return as_json({"name": task.name, "text_columns": task.text_columns, "label": asdict(task.label), **split})


def task_from(content: Mapping[str, Any]) -> Task:
    """Reads a task back: what `task_content` gave."""
    label = Label(**{**content["label"], "names": tuple(content["label"]["names"])})
    return Task(content["name"], tuple(content["text_columns"]), label, dev_split=content.get("dev_split"))


def content_hash(content: Mapping[str, Any]) -> str:
    """Hexadecimal sha256 of plain data in canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def as_json(content: Any) -> Any:
    """Plain data as it is read back: tuples are lists."""
    return json.loads(json.dumps(content))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "source tree"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
