"""What determines a run's bytes, in one place: recorded in run.json, hashed, and compared on resume."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from augment.presets import CandidateSettings, DrawSettings, check_protected
from pipelines.augmenting.plan import PART_COST
from pipelines.errors import UserError
from pipelines.machine.precision import check_precision
from pipelines.run_folder.identity import as_json, content_hash, task_content, task_from
from pipelines.run_folder.records import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipelines.run_folder.identity import Versions
    from pipelines.tasks import InputFile, Task

MAX_THREADS = 1024  # libraries crash at absurd numbers
BY_CLASS = ("by_class", "balance")  # what run.json leaves out where every row has as many variants


@dataclass(frozen=True)
class Compute:
    """How the masked LM runs; each field can change scores in their last bits.

    A run records what `pipelines.machine.compute.resolve_compute` made of `auto` and None.

    Args:
        device: `cpu` or `cuda`, resolved.
        precision: `fp32`, `tf32`, `bf16`, `fp16` or `auto`.
        batch_tokens: tokens of a forward pass; None for what suits the device.
        threads: CPU threads of a worker.
        part_tokens: estimated tokens of a part, whose texts share batches; None for what suits the device.

    Raises:
        UserError: a precision that the device lacks, or more threads than libraries stand.
    """

    device: str = "cpu"
    precision: str = "fp32"
    batch_tokens: int | None = 2048
    threads: int = 1
    part_tokens: int | None = PART_COST  # that of all runs whose run.json does not say

    def __post_init__(self) -> None:
        check_precision(self.precision, self.device)
        if self.threads > MAX_THREADS:
            raise UserError(
                f"--threads: expected at most {MAX_THREADS:,} (the cores of a worker), found {self.threads:,}; more "
                "workers at once are --workers"
            )


@dataclass(frozen=True)
class JobSettings:
    """Everything a user can set that determines the output.

    Args:
        candidates: how candidates are found.
        draw: how variants are drawn.
        compute: how the masked LM runs.
        shard_rows: source rows of an output shard.
        limit: first rows of the input to read; None for all.
        on_bad_row: `stop` or `skip`.
        drop_leaks: leave out variants that equal an example of the dev or test part.
        protect_more: kept as `candidates.protect` is, but only when variants are drawn (`resample --protect`).
        by_class: variants of the rows of each class, in place of `draw.n`; None for none.
        balance: make all classes as large as the largest one, whose rows have `draw.n` variants.

    Raises:
        AugmentError: a value of `protect_more` that is no entry of `protect`.
    """

    candidates: CandidateSettings = field(default_factory=CandidateSettings)
    draw: DrawSettings = field(default_factory=DrawSettings)
    compute: Compute = field(default_factory=Compute)
    shard_rows: int = 4096
    limit: int | None = None
    on_bad_row: str = "stop"
    drop_leaks: bool = False
    protect_more: tuple[str, ...] = ()
    by_class: tuple[int, ...] | None = None
    balance: bool = False

    def __post_init__(self) -> None:
        check_protected(self.protect_more)


@dataclass(frozen=True)
class Identity:
    """A run's settings together with what they were applied to.

    Args:
        task: the task.
        inputs: name, bytes and sha256 of each input file.
        settings: what the user set.
        models: role (`mlm`, `glove`) -> fingerprint; empty where none is used.
        versions: software -> version.
    """

    task: Task
    inputs: list[dict[str, Any]]
    settings: JobSettings
    models: dict[str, str]
    versions: dict[str, str]

    def fields(self) -> dict[str, Any]:
        """Plain data, as run.json holds it; numbers by class only where there are some."""
        settings = {name: value for name, value in asdict(self.settings).items() if value or name not in BY_CLASS}
        return {
            "task": task_content(self.task),
            "inputs": self.inputs,
            "settings": as_json(settings),
            "models": self.models,
            "versions": self.versions,
        }

    @property
    def candidates_hash(self) -> str:
        """Hash of what determines the candidates: nothing of the draw."""
        content = self.fields()
        settings = dict(content["settings"])
        for name in ("draw", "shard_rows", "drop_leaks", "protect_more", *BY_CLASS):
            settings.pop(name, None)
        return content_hash({**content, "settings": settings})

    @property
    def augmented_hash(self) -> str:
        """Hash of everything."""
        return content_hash(self.fields())


def make_identity(
    task: Task, inputs: Sequence[InputFile], settings: JobSettings, models: dict[str, str], versions: Versions
) -> Identity:
    """Collects a run's identity.

    Args:
        task: the task.
        inputs: files that were read.
        settings: what the user set.
        models: fingerprints by role.
        versions: of the software.
    """
    files = [{"name": file.name, "bytes": file.bytes, "sha256": file.sha256} for file in inputs]
    return Identity(task, files, settings, models, versions)


def identity_from(content: Mapping[str, Any]) -> Identity:
    """Reads an identity back from run.json.

    Args:
        content: what `Identity.fields` gave.

    Raises:
        UserError: it was written by another version of tinyaug.
    """
    try:
        given = dict(content["settings"])
        candidates = {**given.pop("candidates")}
        candidates["protect"] = tuple(candidates["protect"])
        given["protect_more"] = tuple(given.get("protect_more", ()))
        given["by_class"] = tuple(given.get("by_class", ())) or None
        settings = JobSettings(
            CandidateSettings(**candidates), DrawSettings(**given.pop("draw")), Compute(**given.pop("compute")), **given
        )
        task, known = task_from(content["task"]), {name: content[name] for name in ("inputs", "models", "versions")}
    except (KeyError, TypeError) as error:
        raise UserError(
            f"run.json: expected the fields of format version {FORMAT_VERSION}, found others ({error}); it was "
            "written by another version of tinyaug: use that one, or start afresh with --overwrite"
        ) from error
    return Identity(task, settings=settings, **known)
