"""Helpers: write small inputs, run jobs in this process or another one, read what came of them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import typer

from pipelines.cli import main
from pipelines.cli.flatten import flat
from tests.fixtures import GLOVE_WORDS, WHOLE_WORDS
from tests.ready import Process, start_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipelines.options.option import Options

REPOSITORY = Path(__file__).parents[2]
ONE_WORKER = ("--engine", "local", "--workers", "1")
PATIENCE = 120  # seconds until a process that hangs fails its test
SEVERAL = ("--text", "--protect")  # options that may be repeated
OURS = ("candidates", "augmented", "rejected.parquet")


@dataclass(frozen=True)
class Inputs:
    """An SST-2 folder, a tiny masked LM and tiny vectors."""

    data: Path
    mlm: Path
    glove: Path

    def augment(self, out: Path | str, *more: object) -> list[str]:
        """Arguments of `tinyaug augment` that write into `out`; later ones win."""
        return augment(self, self.data, out, "--task", "sst2", *more)

    def custom(self, data: Path, out: Path | str, *more: object) -> list[str]:
        """The same for a file of the user's own with texts in the column `text`."""
        return augment(self, data, out, "--task", "custom", "--text", "text", *more)


def augment(inputs: Inputs, data: Path, out: Path | str, *more: object) -> list[str]:
    given = ["--data", data, "--mlm", inputs.mlm, "--glove", inputs.glove, "--out", out, "--n", 3, *ONE_WORKER]
    return ["augment", *later_wins(*given, *more)]


def later_wins(*arguments: object) -> list[str]:
    """Arguments as text; of an option that is given twice, which the command line refuses, the later one."""
    groups: list[list[str]] = [[]]
    for word in map(str, arguments):
        if re.match("--?[a-z]", word):
            groups.append([])
        groups[-1].append(word)
    last = {group[0].partition("=")[0]: number for number, group in enumerate(groups) if group}
    kept = [
        group
        for number, group in enumerate(groups)
        if group and (group[0] in SEVERAL or last[group[0].partition("=")[0]] == number)
    ]
    return [word for group in kept for word in group]


def custom_task(path: Path, rows: list[tuple[str, int]]) -> tuple[object, ...]:
    """Writes texts and labels as a task of the user's own without a dev part; gives the options that name it."""
    path.write_text("\n".join(["sentence,label", *(f'"{text}",{label}' for text, label in rows), ""]))
    return ("--task", "custom", "--data", path, "--text", "sentence", "--label", "label")


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


def tinyaug(*arguments: object) -> Ran:
    """Runs the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    argv = sys.argv
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    sys.argv = ["tinyaug", *later_wins(*arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as stop:
        return Ran(int(stop.code or 0), out.getvalue(), err.getvalue())
    finally:
        sys.argv = argv
        for number, handler in handlers.items():
            signal.signal(number, handler)
    raise AssertionError("the command line did not exit")


def handed(kind: type[Options], *words: object) -> Options:
    """The options that a verb is handed when these words were typed."""
    seen: list[Options] = []

    def verb(options: Options) -> int:
        seen.append(options)
        return 0

    verb.__annotations__ = {"options": kind}
    command = typer.Typer()
    command.command()(flat(verb))
    command([str(word) for word in words], standalone_mode=False)
    return seen[0]


def done(*arguments: object) -> Ran:
    """The same, and it must succeed."""
    ran = tinyaug(*arguments)
    assert ran.code == 0, ran.err
    return ran


def refused(command: list[str]) -> str:
    """Runs what must be refused as a user's mistake; the last line of what it says."""
    ran = tinyaug(*command)
    assert ran.code == 2, ran.err
    assert "Traceback" not in ran.err
    return ran.err.strip().splitlines()[-1]


def start(*arguments: object, **environment: str) -> Process:
    """Starts the command line as the leader of a session, as a shell does, without the seconds of its imports."""
    return start_ready("pipelines", later_wins(*arguments), {**os.environ, **environment})


def finish(process: Process | subprocess.Popen[str]) -> Ran:
    """Waits for a process that was started."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return Ran(process.returncode, out, err)


@contextmanager
def again_and_again(act: Callable[[], object]) -> Iterator[None]:
    """Calls a function beside the test until the block ends."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(0.01):
            act()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def in_a_process(*arguments: object, **environment: str) -> Ran:
    """Runs the command line as a user does, in a fresh interpreter."""
    return finish(
        subprocess.Popen(
            [sys.executable, "-m", "pipelines", *later_wins(*arguments)],
            cwd=REPOSITORY,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    )


def wait_for(condition: Callable[[], Any], process: Process | subprocess.Popen[str], every: float = 0.002) -> Any:
    """Waits, looking `every` so many seconds, until something holds while the process lives; gives what it gave."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := condition():
            return found
        assert process.poll() is None, f"ended with {process.returncode}: {process.communicate(PATIENCE)[1]}"
        time.sleep(every)
    os.killpg(process.pid, signal.SIGKILL)
    raise AssertionError("waited in vain")


def kill(process: Process) -> None:
    """SIGKILL of the driver alone."""
    process.send_signal(signal.SIGKILL)
    finish(process)


def records(run: Path, stage: str = "*") -> list[Path]:
    """Completion records that are there."""
    return sorted(run.glob(f"{stage}/records/*.json"))


def intact(run: Path) -> set[Path]:
    """Shards whose completion record tells their size and sha256."""
    found = set()
    for path in records(run):
        record = json.loads(path.read_text())
        data = path.parents[1] / "data" / f"{path.stem}.parquet"
        if record["bytes"] == data.stat().st_size and record["sha256"] == sha256(data):
            found.add(data)
    return found


def identities(paths: set[Path]) -> dict[Path, tuple[int, int]]:
    """Inode and time of writing of some files: another pair if a file was made again."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


def contents(run: Path) -> dict[str, str]:
    """Name -> sha256 of all a job makes: shards, records, manifests, card, rejected rows."""
    files = [path for name in OURS for path in [run / name, *(run / name).rglob("*")] if path.is_file()]
    assert files, f"nothing in {run}"
    return {str(path.relative_to(run)): sha256(path) for path in files}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def everything(folder: Path) -> dict[str, bytes]:
    """All files of a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(run: Path) -> list[dict[str, Any]]:
    """All augmented rows, shard by shard."""
    return [row for path in sorted(run.glob("augmented/data/*")) for row in pq.read_table(path).to_pylist()]


def variants(run: Path, column: str = "sentence") -> dict[int, list[str]]:
    """The texts of each example, the original first."""
    found: dict[int, list[str]] = {}
    for row in rows(run):
        found.setdefault(row["source_idx"], []).append(row[column])
    return found


def rejected(run: Path) -> list[dict[str, Any]]:
    return pq.read_table(run / "rejected.parquet").to_pylist()


def manifest(run: Path, stage: str = "augmented") -> dict[str, Any]:
    return json.loads((run / stage / "manifest.json").read_text())


def rebuilt(row: dict[str, Any], original: dict[str, Any], column: str) -> str:
    """The text that a row's edits make of the original."""
    text, cursor, pieces = original[column], 0, []
    for edit in (edit for edit in row["edits"] if edit["column"] == column):
        assert text[edit["start"] : edit["end"]] == edit["original"] != edit["replacement"]
        pieces += [text[cursor : edit["start"]], edit["replacement"]]
        cursor = edit["end"]
    return "".join([*pieces, text[cursor:]])


def sentences(count: int, seed: int = 0) -> Iterator[str]:
    """Sentences of 4 to 14 words, one in eight of several pieces; some occur again."""
    chance = random.Random(seed)
    written: list[str] = []
    for _ in range(count):
        words = (
            chance.choice(GLOVE_WORDS if chance.random() < 1 / 8 else WHOLE_WORDS) for _ in range(chance.randint(4, 14))
        )
        written.append(chance.choice(written) if written and chance.random() < 0.05 else " ".join(words) + " .")
        yield written[-1]


def write_sst2(folder: Path, train: list[str], dev: list[str], test: list[str] | None = None) -> Path:
    """GLUE's own layout."""
    folder.mkdir(parents=True)
    for name, texts in (("train", train), ("dev", dev)):
        lines = [f"{text}\t{number % 2}" for number, text in enumerate(texts)]
        (folder / f"{name}.tsv").write_text("\n".join(["sentence\tlabel", *lines, ""]), encoding="utf-8")
    lines = [f"{number}\t{text}" for number, text in enumerate(test or ["a test"])]
    (folder / "test.tsv").write_text("\n".join(["index\tsentence", *lines, ""]), encoding="utf-8")
    return folder
