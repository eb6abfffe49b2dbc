"""A run directory on a local disk or in an object store; the only module that writes into it (design section 4).

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

from pipelines.errors import JobError, UserError
from pipelines.run_folder.address import open_store, shown_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

PARTIAL = ".partial"
NO_SPACE = (28, 122)  # ENOSPC, EDQUOT
# What pyarrow says of credentials that may not and of buckets that are not: it has no exceptions of their own for them.
REFUSED = re.compile("ACCESS_DENIED|INVALID_ACCESS_KEY|SIGNATURE_DOES_NOT_MATCH|NO_SUCH_BUCKET|HTTP status 40[13]")


class Storage:
    """Reads and writes the files of one run directory.

    Args:
        root: a local path, or a URI such as `s3://bucket/run` that pyarrow can open.

    Raises:
        UserError: an empty name, a URI that cannot be opened, or a store that cannot be reached.
    """

    def __init__(self, root: str) -> None:
        if not root.strip():
            raise UserError("expected a folder or an address of a run directory, found an empty name; give one")
        self.root = root
        self.is_local = "://" not in root or root.startswith("file://")
        if self.is_local:
            self._folder = Path(root.removeprefix("file://")).expanduser().absolute()
            self.root = str(self._folder)
        else:
            self._fs, self._prefix = open_store(root)

    def local_folder(self) -> Path:
        """The directory on this machine; only for a local run."""
        return self._folder

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
            if self.is_local:
                path = self._folder / name
                return path.stat().st_size if path.is_file() else None
            info = self._fs.get_file_info(self._key(name))
            return int(info.size) if info.is_file else None

    def names(self, folder: str = "") -> list[str]:
        """Names of the entries directly in a folder, sorted; empty if there is no such folder.

        Raises:
            UserError: it may not be listed.
        """
        with self._allowed(folder):
            if self.is_local:
                path = self._folder / folder
                return sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
            import pyarrow.fs as pafs

            selector = pafs.FileSelector(self._key(folder), allow_not_found=True)
            return sorted(info.base_name for info in self._fs.get_file_info(selector))

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
            UserError: it may not be read.
        """
        try:
            with self._allowed(name):
                content = json.loads(self.read_bytes(name))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def open_input(self, name: str) -> pa.NativeFile:
        """Opens a file for random access.

        Raises:
            FileNotFoundError: there is none.
        """
        import pyarrow as pa

        if self.is_local:
            return pa.OSFile(str(self._folder / name), "rb")
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
            JobError: the disk is full or the file cannot be written; nothing is left under its name.
        """
        try:
            if self.is_local:
                with self._writing_locally(name) as sink:
                    yield sink
            else:
                with self._uploading(name) as sink:
                    yield sink
        except OSError as error:
            reason = "no space left" if error.errno in NO_SPACE else _reason(error)
            raise JobError(f"{self.display(name)}: cannot be written: {reason}; what was finished is kept") from error

    def remove(self, name: str) -> None:
        """Removes a file if it is there."""
        if self.is_local:
            (self._folder / name).unlink(missing_ok=True)
        elif self.size(name) is not None:
            self._fs.delete_file(self._key(name))

    def remove_all(self) -> None:
        """Removes everything in the run directory but the lock that protects it."""
        if self.is_local:
            entries = self._folder.iterdir() if self._folder.is_dir() else ()
            for entry in sorted(entries, key=lambda entry: entry.name == "run.json"):  # last: till then it is a run
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry.name != ".lock":
                    entry.unlink()
        else:
            import pyarrow.fs as pafs

            for info in self._fs.get_file_info(pafs.FileSelector(self._prefix, recursive=True, allow_not_found=True)):
                if info.is_file and info.base_name != ".lock":
                    self._fs.delete_file(info.path)

    def clear_partial(self) -> None:
        """Removes what writers left behind; only for the driver, before its workers begin or after they ended."""
        if self.is_local:
            shutil.rmtree(self._folder / PARTIAL, ignore_errors=True)

    def create(self) -> None:
        """Makes the directory.

        Raises:
            UserError: it cannot be made or written to.
        """
        probe = f".probe-{uuid.uuid4().hex}"
        try:
            if self.is_local:
                self._folder.mkdir(parents=True, exist_ok=True)
                (self._folder / probe).touch()
                (self._folder / probe).unlink()
            else:
                with self._fs.open_output_stream(self._key(probe)) as upload:
                    upload.write(b"")
                self._fs.delete_file(self._key(probe))
        except OSError as error:
            raise UserError(
                f"--out {self.display()}: expected a {'directory' if self.is_local else 'bucket'} that can be written "
                f"to, found: {_reason(error)}; choose another one"
            ) from error

    def check_writable(self) -> None:
        """The same, but leaves nothing behind: a directory that had to be made is removed again.

        Raises:
            UserError: it cannot be made or written to.
        """
        made = self.missing_folders()
        try:
            self.create()
        finally:
            remove_folders(made)

    def written(self, name: str) -> float:
        """When a file was written, in seconds, by the clock of the place where it lies.

        Raises:
            FileNotFoundError: there is none, or the store does not say when.
        """
        if self.is_local:
            return (self._folder / name).stat().st_mtime
        info = self._fs.get_file_info(self._key(name))
        if not info.is_file or info.mtime_ns is None:
            raise FileNotFoundError(name)
        return float(info.mtime_ns / 1e9)

    def missing_folders(self) -> list[Path]:
        """The directory and those above it that are not there yet, the innermost first; none in an object store."""
        folders = [self._folder, *self._folder.parents] if self.is_local else []
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

    @contextmanager
    def _writing_locally(self, name: str) -> Iterator[Any]:
        partial = self._folder / PARTIAL / f"{name.replace('/', '-')}.{uuid.uuid4().hex}"
        partial.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            target = self._folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(partial, target)
            _sync_folder(target.parent)
        finally:
            partial.unlink(missing_ok=True)  # the folder stays: another writer may be about to open a file in it

    @contextmanager
    def _uploading(self, name: str) -> Iterator[Any]:
        import pyarrow as pa

        # An exception inside a pyarrow upload still publishes what was written, so nothing is sent before the end.
        buffer = pa.BufferOutputStream()
        yield buffer
        with self._fs.open_output_stream(self._key(name)) as upload:
            upload.write(buffer.getvalue())


def remove_folders(made: list[Path]) -> None:
    """Removes directories that a command made and left empty, the innermost first."""
    for folder in made:
        with suppress(OSError):  # it was never made, or another job works in it
            folder.rmdir()


def _reason(error: OSError) -> str:
    return error.strerror or str(error).strip().splitlines()[0]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
