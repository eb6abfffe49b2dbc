"""run.json of an augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.augmenting.settings import Identity, identity_from
from pipelines.errors import UserError
from pipelines.run_folder.records import FORMAT_VERSION
from pipelines.run_folder.run_file import AUGMENT, CONFIG, RUN, refuse_other_run, started_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.run_folder.identity import Versions
    from pipelines.run_folder.storage import Storage


@dataclass(frozen=True)
class RunFile:
    """What run.json says.

    Args:
        identity: settings and what they apply to.
        sources: names of masked LM, vectors and data as the user gave them, to replay the run.
        candidates_hash: hash of what the candidates were made with.
        resampled_from: the run whose candidates were drawn from; None for a run of its own.
        reused_from: the run whose candidates were taken for the texts that it has; None for none.
        config: what config.toml says, where the run has stages beside augmentation; it is not read back.
    """

    identity: Identity
    sources: dict[str, Any]
    candidates_hash: str
    resampled_from: str | None = None
    reused_from: str | None = None
    config: str = ""

    def write(self, storage: Storage) -> None:
        """Writes run.json, the first file of a run, and config.toml."""
        content = {
            "tinyaug": self.identity.versions["tinyaug"],
            "format_version": FORMAT_VERSION,
            "identity": self.identity.fields(),
            "candidates_hash": self.candidates_hash,
            "sources": self.sources,
            "resampled_from": self.resampled_from,
            **({"reused_from": self.reused_from} if self.reused_from else {}),
        }
        storage.write_json(RUN, content)
        if self.config:
            storage.write_bytes(CONFIG, self.config.encode())


def read_run(storage: Storage) -> RunFile | None:
    """The run of a directory that a command is to write into; None where nothing has been started.

    Args:
        storage: the directory.

    Raises:
        UserError: the directory holds something else, or a run of another format.
    """
    content = started_run(storage, AUGMENT)
    return _run_of(content) if content is not None else None


def existing_run(storage: Storage, option: str = "") -> RunFile:
    """The run of a directory that a command only reads.

    Args:
        storage: the directory.
        option: that names it, with a space behind; empty where it is the command's argument.

    Raises:
        UserError: there is none, or one of another format.
    """
    content = storage.read_json(RUN)
    if content is None or "identity" not in content or content.get("format_version") != FORMAT_VERSION:
        kind = (content or {}).get("kind", "of another kind")
        found = "no run.json there" if content is None else f"a run of `tinyaug {kind}` that has no augmented rows"
        raise UserError(
            f"{option}{storage.display()}: expected the run directory of a `tinyaug augment` or `tinyaug run`, format "
            f"version {FORMAT_VERSION}, found {found}; check the path"
        )
    return _run_of(content)


def refuse_other(storage: Storage, started: RunFile, asked: Callable[[Versions | None], RunFile], done: bool) -> None:
    """Refuses to go on with other settings, data or models than a run was started with.

    Args:
        storage: the directory.
        started: its run.
        asked: what run.json would say now; is given the versions where they need not be found out.
        done: whether nothing is left to make: versions do not matter then, and finding them out takes torch's seconds.

    Raises:
        UserError: naming the fields.
    """
    now = asked(started.identity.versions if done else None)
    refuse_other_run(storage, started.identity.fields(), now.identity.fields(), done)


def _run_of(content: dict[str, Any]) -> RunFile:
    sources, candidates_hash = content["sources"], content["candidates_hash"]
    others = content.get("resampled_from"), content.get("reused_from")
    return RunFile(identity_from(content["identity"]), sources, candidates_hash, *others)
