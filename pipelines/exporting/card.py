"""The README.md of an exported model: how it is run, how well it does, what it was made from."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from distill.wording import shown_bytes
from pipelines.distilling.trimming import Trimmed
from pipelines.exporting.comparing import BOUND, FILES, INT8, ONNX, TORCH
from pipelines.run_folder.run_file import RUN
from pipelines.run_folder.stage_folder import METRICS
from pipelines.run_folder.storage import Storage
from pipelines.training.model_card import model_card
from pipelines.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipelines.distilling.checks import TeacherFiles
    from pipelines.exporting.export_job import Exported
    from pipelines.tasks import Task

WITH_TRANSFORMERS = """```python
{imported}from transformers import pipeline

model = pipeline("{pipeline}", model="path/to/this/folder")
print(model({example}))
```"""
WITH_ONNXRUNTIME = """```python
import onnxruntime
from transformers import AutoTokenizer

folder = "path/to/this/folder"
tokenizer = AutoTokenizer.from_pretrained(folder)
session = onnxruntime.InferenceSession(f"{{folder}}/{file}")
inputs = tokenizer({example}, truncation=True, max_length={max_length}, padding=True, return_tensors="np")
print(session.run(None, dict(inputs)))  # {gives}
```"""
MODEL = "--model"
OF_HUB = (MODEL, "--teacher", "--teacher-model", "--mlm", "--encoder", "--student", "--student-init", "--corpus")
REST = "`export.json` has the figures above. The licence is that of the data and of the models it was made from."


def export_card(files: TeacherFiles, task: Task, exported: Exported) -> str:
    """The text of the card.

    Args:
        files: of the model; run.json and metrics.json beside them, as our training verbs write them, are told of.
        task: that it was judged on, or a stand-in.
        exported: what was made.
    """
    purpose = "" if task.name == "custom" or not exported.findings.dev else f" for {task.name}"
    title, pipeline = _last(files.found.name, MODEL), "text-classification"
    what = "text classifier"
    if task.label.is_span:
        what, pipeline = "model that finds answers in texts", "question-answering"
    elif files.config.num_labels == 1:
        what = "model that scores texts"
    usage = "\n\n".join([_usage(task, exported, pipeline, files), _table(exported), *told(exported)])
    about = f"A {what}{purpose}, exported by `tinyaug export`."
    tags = ("onnx",) if ONNX in exported.sizes else ()
    return model_card(title, about, usage, dict(_facts(files, exported)), tags, pipeline, REST)


def _usage(task: Task, exported: Exported, pipeline: str, files: TeacherFiles) -> str:
    """How it is run, in Python."""
    pairs = len(task.text_columns) > 1
    if ONNX not in exported.sizes:
        example = '{"text": "one text", "text_pair": "the other"}' if pairs else '"a text"'
        example = 'question="what?", context="a text"' if task.label.is_span else example
        registers = "import distill.bilstm  # of tinyaug: makes transformers know this model\n\n"
        imported = registers if files.config.model_type == "bilstm-soft" else ""
        return WITH_TRANSFORMERS.format(imported=imported, pipeline=pipeline, example=example)
    names = ", ".join(f"{number} {name}" for number, name in (files.config.id2label or {}).items())
    gives = "start and end logits of each token" if task.label.is_span else f"logits: {names}"
    example = '["what?"], ["a text"]' if task.label.is_span else '["one text"], ["the other"]'
    return WITH_ONNXRUNTIME.format(
        file=FILES[INT8 if INT8 in exported.sizes else ONNX],
        example=example if pairs else '["a text", "another"]',
        max_length=exported.max_length,
        gives=gives,
    )


def _facts(files: TeacherFiles, exported: Exported) -> Iterator[tuple[str, str]]:
    """Name and value of what is known of how the model was made; paths are cut to their last part."""
    storage = Storage(str(files.found.folder))
    run, metrics = storage.read_json(RUN) or {}, storage.read_json(METRICS) or {}
    yield "model", f"`{_last(files.found.name, MODEL)}`, sha256 of its files {files.found.fingerprint[:12]}"
    yield "max_length", f"{exported.max_length} tokens"
    if "tinyaug" not in run:
        return
    yield "command", f"`{' '.join(_shown(run.get('command', [])))}`"
    for part, inputs in run.get("inputs", {}).items():
        told = [f"{one['name']} (sha256 {one['sha256'][:12]})" for one in inputs if "name" in one]
        yield f"files of {part}", ", ".join(told[:5]) + (f" and {len(told) - 5} more" if told[5:] else "")
    for name, stage in metrics.get("stages", {}).items():
        yield name, f"{counted(stage['steps'], 'step')} over {counted(stage['rows'], 'row')}"
    for part, scores in metrics.get("teacher_dev", {}).items():
        yield f"teacher, {part}", ", ".join(f"{metric} {value:.4f}" for metric, value in scores.items())
    if "trimmed" in metrics:
        yield "vocabulary", str(Trimmed(**metrics["trimmed"]))
    yield "made with", ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items())


def _shown(command: Sequence[str]) -> Iterator[str]:
    """The words of a command line without the folders of this machine."""
    for before, word in zip(("", *command), command, strict=False):
        option, equals, value = word.partition("=") if word.startswith("--") else (before, "", word)
        yield f"{option}={_last(value, option)}" if equals else _last(word, option)


def _last(value: str, option: str) -> str:
    """The last part of a path; all of what is a name on the hub."""
    named = option in OF_HUB and value.count("/") == 1 and not value.startswith(("/", "~", "."))
    return value if named and not Path(value).exists() else PurePath(value).name or value


def table(exported: Exported) -> list[list[str]]:
    """The forms side by side: file, size, dev scores, milliseconds; the first line is the head."""
    found = exported.findings
    columns = [(part, metric) for part, scores in found.dev.get(TORCH, {}).items() for metric in scores]
    columns = [(part, metric) for part, metric in columns if not metric.startswith(("HasAns", "NoAns", "best"))]
    head = ["", "file", "size", *(f"{part} {metric}" for part, metric in columns), "ms a text"]
    rows = [head]
    for form, size in exported.sizes.items():
        scores = [f"{found.dev[form][part][metric]:.4f}" for part, metric in columns]
        rows.append([form, FILES[form], shown_bytes(size), *scores, f"{found.latency.milliseconds[form]:.2f}"])
    return rows


def _table(exported: Exported) -> str:
    head, *rows = table(exported)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows))


def told(exported: Exported) -> list[str]:
    """How far the forms are from torch's logits and how they were timed, a sentence or two each."""
    found, lines = exported.findings, []
    for form, one in found.compared.items():
        bound = f" (at most {BOUND:g} is accepted)" if form == ONNX else ""
        shares = " and ".join(
            f"{share:.1%} of {found.rows[part]:,} rows of {part}" for part, share in one.agreed.items()
        )
        same = f"; the same class for {shares}" if shares else ""
        lines.append(f"{form}: its logits differ from torch's by {one.difference:.2g} at most{bound}{same}")
    if found.compared:
        shapes = ", ".join(f"{rows} × {tokens}" for rows, tokens in found.shapes)
        lines.append(f"compared on {exported.texts}, and on batches of rows × tokens: {shapes}")
    texts, threads = counted(found.latency.texts, "text"), counted(found.latency.threads, "thread")
    lines.append(f"ms a text: median of {texts}, one at a time, on {threads} of a CPU, tokenising left out")
    return lines
