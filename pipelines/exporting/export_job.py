"""`tinyaug export`: a fine-tuned model as ONNX or as a folder for the hub; all of it is written, or nothing."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from augment.errors import is_of_machine
from pipelines.distilling.checks import check_teacher, find_files
from pipelines.errors import UserError
from pipelines.evaluating.evaluate_job import reading_length
from pipelines.evaluating.label_order import load_in_order, order_note
from pipelines.exporting.card import export_card
from pipelines.exporting.comparing import FILES, INT8, ONNX, TORCH, Comparison, Findings
from pipelines.exporting.hub import check_push, push_folder
from pipelines.exporting.texts import find_texts
from pipelines.models.load import name_labels
from pipelines.options.verbs import Format
from pipelines.run_folder.stage_folder import stage_storage
from pipelines.run_folder.storage import move_into_place, unwritten
from pipelines.wording import first_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distill.onnx_model import OnnxModel
    from pipelines.distilling.checks import TeacherFiles
    from pipelines.exporting.texts import Texts
    from pipelines.found import Found
    from pipelines.options.verbs import ExportOptions
    from pipelines.reporting import Reporter

INSTALL = "pip install 'tinyaug[export]'"


@dataclass(frozen=True)
class Exported:
    """What was made.

    Attributes:
        sizes: form -> bytes of its file.
        findings: of the forms side by side.
        texts: what they were given, in words.
        max_length: tokens at which texts were cut.
        pushed: address of the repository on the hub; None where nothing was uploaded.
    """

    sizes: dict[str, int]
    findings: Findings
    texts: str
    max_length: int
    pushed: str | None = None


def run_export(request: ExportOptions, reporter: Reporter, found: Found) -> Exported:
    """Exports a model.

    Args:
        request: what the user asked for.
        reporter: is told of progress.
        found: what the command has found already.

    Raises:
        UserError, AugmentError, DistillError: a mistake of the user's; a model that cannot be exported.
        JobError: logits that differ, a file that cannot be written, an upload that failed.
    """
    _check_packages(request.format)
    storage = stage_storage(request.out, "a model")
    if storage.names():
        raise UserError(
            f"--out {request.out}: expected a folder that is not there yet, found files in it; name another"
        )
    if request.push_to is not None:
        check_push(request.push_to)
    files = find_files(request.model, request.revision, "model", found, any_family=True)
    target = storage.local_folder()
    with tempfile.TemporaryDirectory(prefix="tinyaug-") as folder:
        export = _Export(request, files, find_texts(request.data, files.config, files.found, folder, found), reporter)
        _publish(target, export)
    if request.push_to is None:
        return export.exported
    reporter.message(f"uploading to {request.push_to}")
    return replace(export.exported, pushed=push_folder(target, request.push_to))


def _publish(target: Path, export: _Export) -> None:
    """Makes the folder at once, out of one beside it or above it."""
    above = next(folder for folder in target.parents if folder.is_dir())
    try:
        with tempfile.TemporaryDirectory(dir=above, prefix=f".{target.name}-") as hidden:
            partial = Path(hidden) / target.name
            partial.mkdir()
            export.fill(partial)
            for path in partial.iterdir():
                move_into_place(path, path)
            move_into_place(partial, target)
    except OSError as error:
        raise unwritten(str(target), error) from error


def _check_packages(wanted: Format) -> None:
    from distill.onnx_model import PACKAGES

    missing = [name for name in PACKAGES if find_spec(name) is None]
    if wanted == Format.onnx and missing:
        raise UserError(
            f"--format onnx: expected the packages {', '.join(PACKAGES)}, found no {', '.join(missing)}; install them "
            f"with {INSTALL}"
        )


class _Export:
    """A model that is exported, with the texts that it is checked on."""

    exported: Exported

    def __init__(self, request: ExportOptions, files: TeacherFiles, texts: Texts, reporter: Reporter) -> None:
        self.request, self.files, self.texts, self.reporter = request, files, texts, reporter
        self.max_length = reading_length(files, texts.data.task, request.max_length)
        check_teacher(files, texts.data, self.max_length)
        for note in order_note(files.found, files.config, texts.data.task):
            reporter.message(note)

    def fill(self, folder: Path) -> None:
        """Writes everything into an empty folder, and checks it."""
        from distill.checks import is_unnamed
        from distill.latency import model_size

        task = self.texts.data.task
        model = load_in_order(self.files.found, self.files.config, task)
        if task.label.names and is_unnamed(model.config):
            name_labels(model.config, task)
        self._refuse_broken(model)
        forms = {TORCH: model, **self._write(model, folder)}
        sizes = {name: sum(path.stat().st_size for path in folder.glob(f"{FILES[name]}*")) for name in forms}
        sizes[TORCH] = model_size(model, self.files.found.folder)["bytes"]
        findings = Comparison(forms, self.files.tokenizer, self.max_length, self.texts, self.reporter).run()
        self.exported = Exported(sizes, findings, self.texts.words, self.max_length)
        (folder / "export.json").write_text(json.dumps(asdict(self.exported), indent=1) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(export_card(self.files, task, self.exported), encoding="utf-8")

    def _refuse_broken(self, model: PreTrainedModel) -> None:
        broken = [name for name, one in model.named_parameters() if not one.isfinite().all()]
        if broken:
            raise UserError(
                f"{self.files.found.who}: expected weights that are finite numbers, found NaN or infinity in "
                f"{broken[0]}; train it anew, or copy the folder again"
            )

    def _write(self, model: PreTrainedModel, folder: Path) -> dict[str, OnnxModel]:
        """Writes model and tokenizer; gives the forms beside torch's, loaded from the files."""
        from distill.onnx_model import OnnxModel, input_names, quantise_onnx, write_onnx
        from distill.saving import save_model, save_tokenizer

        tokenizer = self.files.tokenizer
        tokenizer.model_input_names = [*input_names(model)]  # what it makes is what the model takes
        tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names  # without the key it is not saved
        tokenizer.model_max_length = self.max_length
        if self.request.format == Format.hub:
            save_model(model, tokenizer, folder)
            return {}
        model.config.save_pretrained(folder)
        save_tokenizer(tokenizer, folder)
        self.reporter.message("writing model.onnx")
        paths = {name: folder / FILES[name] for name in (ONNX, INT8) if name == ONNX or self.request.int8}
        try:
            write_onnx(model, paths[ONNX])
            if self.request.int8:
                quantise_onnx(paths[ONNX], paths[INT8])
        except Exception as error:  # the exporter has many errors of its own
            if is_of_machine(error) or isinstance(error, OSError):
                raise
            raise UserError(
                f"{self.files.found.who}: expected a model that torch's ONNX exporter converts, found a "
                f"{type(model).__name__}, which it does not ({first_line(_cause(error))[:160]}); --format hub writes "
                "it for transformers; docs/deploy.md lists what converts"
            ) from error
        return {name: OnnxModel(path, model.config) for name, path in paths.items()}


def _cause(error: BaseException) -> BaseException:
    """What went wrong first: the exporter's own message is advice."""
    return error if error.__cause__ is None else _cause(error.__cause__)
