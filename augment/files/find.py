"""Finds a model's files by folder or hub name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from augment.errors import AugmentError
from augment.files.checks import TOKENIZER_FILES, check_masked_lm
from augment.files.hub import download_model

MASKED_LM = "masked LM"


@dataclass(frozen=True)
class ModelFiles:
    """A model's files on this machine.

    Args:
        what: the model's part in the job, for messages: masked LM, teacher, encoder, ….
        name: what the user called it.
        folder: where its files lie.
        revision: the hub's commit, if it came from there.
        fingerprint: sha256 over names and contents of configuration, tokenizer and weights.
    """

    what: str
    name: str
    folder: Path
    revision: str | None
    fingerprint: str

    @property
    def who(self) -> str:
        """Part and name, such as "teacher runs/sst2/teacher": the beginning of messages."""
        return f"{self.what} {self.name}"


def find_model(name: str, revision: str | None = None) -> ModelFiles:
    """Finds a masked LM by folder or hub name and checks what can be checked without loading it.

    Args:
        name: a folder, or a repository on the model hub (downloaded into the hub's cache when missing there).
        revision: branch, tag or commit on the hub.

    Raises:
        AugmentError: no such model, no network, or a model that cannot be used as augmenter.
    """
    folder, commit = locate_model(name, revision)
    check_masked_lm(folder, f"{MASKED_LM} {name}")
    return ModelFiles(MASKED_LM, name, folder, commit, folder_fingerprint(folder))


def locate_model(name: str, revision: str | None = None, what: str = MASKED_LM) -> tuple[Path, str | None]:
    """The folder of a model and its commit on the hub, None for a local one; nothing in it is checked.

    Args:
        name: a folder, or a repository on the model hub.
        revision: branch, tag or commit on the hub.
        what: the model's part in the job, for messages.

    Raises:
        AugmentError: no such model, or no network.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path, None
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise AugmentError(f"{what}: expected a model folder or a name on the hub, found no folder {name!r}")
    return download_model(name, revision, what)


def folder_fingerprint(folder: Path) -> str:
    """Hexadecimal sha256 over names and contents of a folder's configuration, tokenizer and weights."""
    digest = hashlib.sha256()
    weights = [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]
    named = [folder / file for file in ("config.json", *TOKENIZER_FILES) if (folder / file).exists()]
    for path in sorted([*weights, *named], key=lambda path: path.name):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
