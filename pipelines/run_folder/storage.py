"""A run directory on a local disk or in an object store; training writes its checkpoints and models itself.

A file appears under its name complete or not at all: on a local disk it is written beside, synced and renamed; in
an object store it is one upload of bytes that are already complete.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.fs as pafs

from pipelines.errors import DiskFullError, JobError, UserError
from pipelines.run_folder.address import is_store, open_store, shown_address
from pipelines.run_folder.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTIAL = ".partial"  # half-written files
PREVIOUS, BEGUN = ".previous", ".begun"  # of a run that overwrites another: its candidates; the input of the new one
NO_SPACE = (28, 122)  # ENOSPC, EDQUOT
# What pyarrow says of credentials that may not and of buckets that are not: it has no exceptions of their own for them.
REFUSED = re.compile("ACCESS_DENIED|INVALID_ACCESS_KEY|SIGNATURE_DOES_NOT_MATCH|NO_SUCH_BUCKET|HTTP status 40[13]")


class Storage:
    """Reads and writes the files of one run directory.

    Args:
        root: a local path, or a URI such as `s3://bucket/run` that pyarrow can open.

    Attributes:
        gate: what is written passes it.

    Raises:
        UserError: an empty name, a URI that cannot be opened, or a store that cannot be reached.
    """

    def __init__(self, root: str) -> None:
        if not root.strip():
            raise UserError("expected a folder or an address of a run directory, found an empty name; give one")
        self.is_local = not is_store(root)
        if self.is_local:
            root = str(Path(root.removeprefix("file://")).expanduser().absolute())
            self._fs, self._prefix = pafs.LocalFileSystem(), root.rstrip("/")
        else:
            self._fs, self._prefix = open_store(root)
        self.root = root
        self.gate = Gate()

    def local_folder(self) -> Path:
        """The directory on this machine; only for a local run."""
        return Path(self.root)

    def display(self, name: str = "") -> str:
        """How a file is named to the user."""
        address = self.root if self.is_local else shown_address(self.root)
        return f"{address.rstrip('/')}/{name}".rstrip("/")

    def size(self, name: str) -> int | None:
        """Bytes of a file; None if there is none.

        Raises:
            UserError: it may not be looked at.
        """
        with self._allowed(name):
            info = self._fs.get_file_info(self._key(name))
            return int(info.size) if info.is_file else None

    def names(self, folder: str = "") -> list[str]:
        """Names of the entries directly in a folder, sorted; empty if there is no such folder.

        Raises:
            UserError: it may not be listed.
        """
        with self._allowed(folder), suppress(NotADirectoryError):
            return sorted(info.base_name for info in self._entries(folder))
        return []

    def read_bytes(self, name: str) -> bytes:
        """Contents of a file.

        Raises:
            FileNotFoundError: there is none.
        """
        with self.open_input(name) as stream:
            return bytes(stream.read())

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A JSON object; None if the file is missing or is no JSON object.

        Raises:
            UserError: it may not be read, or it is run.json, without which nothing here is known, and is no JSON.
        """
        try:
            with self._allowed(name):
                content = json.loads(self.read_bytes(name))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            if not name.endswith("run.json"):
                return None
            raise UserError(
                f"{self.display(name)}: not valid JSON ({error}); restore it from a copy, or start afresh in "
                "another folder"
            ) from error
        return content if isinstance(content, dict) else None

    def open_input(self, name: str) -> pa.NativeFile:
        """Opens a file for random access.

        Raises:
            FileNotFoundError: there is none.
        """
        return self._fs.open_input_file(self._key(name))

    def write_bytes(self, name: str, content: bytes) -> None:
        """Writes a whole file; it replaces one of the same name at once.

        Raises:
            JobError: the disk is full or the file cannot be written; nothing is left under its name.
        """
        with self.writing(name) as sink:
            sink.write(content)

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Writes a JSON object, readable by eye.

        Raises:
            JobError: as for `write_bytes`.
        """
        text = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=False)
        self.write_bytes(name, (text + "\n").encode())

    @contextmanager
    def writing(self, name: str) -> Iterator[Any]:
        """A binary sink whose content becomes the file when the block ends without an exception.

        Raises:
            DiskFullError: no space is left; nothing is left under the file's name.
            JobError: the file cannot be written, likewise.
        """
        try:
            if self.is_local:
                partial = self.local_folder() / PARTIAL / f"{name.replace('/', '-')}.{uuid.uuid4().hex}"
                try:
                    with self.gate.passed():
                        partial.parent.mkdir(parents=True, exist_ok=True)
                        opened = partial.open("wb")
                    with opened as stream:
                        yield stream
                    with self.gate.passed():
                        move_into_place(partial, self.local_folder() / name)
                finally:
                    partial.unlink(missing_ok=True)  # its folder stays: another writer may be about to open a file
            else:
                # An exception inside a pyarrow upload still publishes what was written, so it begins at the end.
                buffer = pa.BufferOutputStream()
                yield buffer
                self.gate.check()  # an upload may hang, and nobody is to wait for it
                with self._fs.open_output_stream(self._key(name)) as upload:
                    upload.write(buffer.getvalue())
        except OSError as error:
            raise unwritten(self.display(name), error) from error

    def remove(self, name: str) -> None:
        """Removes a file if it is there."""
        if self.size(name) is not None:
            with suppress(FileNotFoundError):
                self._fs.delete_file(self._key(name))

    def remove_all(self) -> None:
        """Removes everything in the run directory but the lock that protects it, and what outlives an overwriting."""
        # run.json is the last: till then it is a run.
        entries = [info for info in self._entries() if info.base_name not in (".lock", PREVIOUS, BEGUN)]
        for info in sorted(entries, key=lambda info: info.base_name == "run.json"):
            (self._fs.delete_dir if info.type == pafs.FileType.Directory else self._fs.delete_file)(info.path)

    def clear_partial(self) -> None:
        """Removes what writers left behind; only for the driver, before its workers begin or after they ended."""
        if self.is_local:
            shutil.rmtree(self.local_folder() / PARTIAL, ignore_errors=True)

    def create(self) -> None:
        """Makes the directory.

        Raises:
            UserError: it cannot be made or written to.
        """
        probe = self._key(f".probe-{uuid.uuid4().hex}")
        try:
            if self.is_local:
                self.local_folder().mkdir(parents=True, exist_ok=True)
            with self._fs.open_output_stream(probe) as upload:
                upload.write(b"")
            self._fs.delete_file(probe)
        except OSError as error:
            raise UserError(
                f"--out {self.display()}: expected a {'directory' if self.is_local else 'bucket'} that can be written "
                f"to, found: {_reason(error)}; choose another one"
            ) from error

    def written(self, name: str) -> float:
        """When a file was written, in seconds, by the clock of the place where it lies.

        Raises:
            FileNotFoundError: there is none, or the store does not say when.
        """
        info = self._fs.get_file_info(self._key(name))
        if not info.is_file or info.mtime_ns is None:
            raise FileNotFoundError(name)
        return float(info.mtime_ns / 1e9)

    def missing_folders(self) -> list[Path]:
        """The directory and those above it that are not there yet, the innermost first; none in an object store."""
        folders = [self.local_folder(), *self.local_folder().parents] if self.is_local else []
        return [folder for folder in folders if not os.path.lexists(folder)]

    @contextmanager
    def _allowed(self, name: str) -> Iterator[None]:
        """Tells a user who may not read something from a disk that fails."""
        try:
            yield
        except OSError as error:
            if not (isinstance(error, PermissionError) or REFUSED.search(str(error))):
                raise
            raise UserError(
                f"{self.display(name)}: expected a place that may be read, found: {_reason(error)}; ask for access, or "
                "name another one"
            ) from error

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}".rstrip("/")

    def _entries(self, folder: str = "") -> list[pafs.FileInfo]:
        return list(self._fs.get_file_info(pafs.FileSelector(self._key(folder) or "/", allow_not_found=True)))


def move_into_place(partial: Path, target: Path) -> None:
    """Gives a complete file or folder its name, at once and synced; it replaces what has that name.

    Args:
        partial: on the same file system; of a folder the files are synced already.
        target: its folder is made if it is missing.
    """
    mask = os.umask(0)
    os.umask(mask)
    # As readable as the user's other files: safetensors writes for its owner alone.
    partial.chmod((0o777 if partial.is_dir() else 0o666) & ~mask)
    sync(partial)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        shutil.rmtree(target)
    os.replace(partial, target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Has the system write a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_folders(made: list[Path]) -> None:
    """Removes directories that a command made and left empty, the innermost first."""
    for folder in made:
        with suppress(OSError):  # it was never made, or another job works in it
            folder.rmdir()


def unwritten(shown: str, error: OSError) -> JobError:
    """What is said of a file that cannot be written.

    Args:
        shown: its name.
        error: what the system said.
    """
    if error.errno in NO_SPACE:
        return DiskFullError(
            f"{shown}: cannot be written: no space left; what was finished is kept: free some space and run the same "
            "command again"
        )
    return JobError(f"{shown}: cannot be written: {_reason(error)}; what was finished is kept")


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error).strip().splitlines()[0]
