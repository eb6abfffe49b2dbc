"""Real processes without the seconds that imports take: one process has done them, and forks for each command.

What runs there is what `python -m MODULE` runs, with its own arguments, variables, output, session, exit code and
handlers. Only the state of a fresh interpreter is not tested by it: some tests start one, as a user does.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import runpy
import select
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]
LIBRARIES = (
    "numpy", "pandas", "pyarrow.parquet", "scipy.optimize", "torch", "torch.distributed.tensor", "torch._dynamo",
)  # fmt: skip
EVERYTHING = (
    *LIBRARIES, "accelerate", "transformers.models.bert.modeling_bert", "transformers.models.bert.tokenization_bert",
    "pipelines.cli.app", "augment.augmenter", "augment.masked_lm", "distill.training", "distill.objectives",
)  # fmt: skip
READ_AT_IMPORT = {LIBRARIES: ("OMP_", "MKL_"), EVERYTHING: ("OMP_", "MKL_", "HF_", "TRANSFORMERS_")}
LONGEST = 1 << 20  # bytes of a request
SECONDS_TO_END = 10  # of a server, before it is killed

_ready: dict[tuple[str, ...], socket.socket] = {}


class Process:
    """A command at work: the part of `subprocess.Popen` that tests use.

    Args:
        out: file that it writes its output to.
        err: the same for errors.
        report: where its number comes from first, and the way it ended at last.
    """

    def __init__(self, out: IO[bytes], err: IO[bytes], report: int) -> None:
        self._out, self._err = out, err
        self._report = os.fdopen(report, encoding="ascii")
        self.pid = int(self._report.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """How it ended, None while it lives."""
        return self.returncode if self._ended(0) else None

    def wait(self, timeout: float) -> int:
        """How it ended; in seconds `timeout`, else subprocess.TimeoutExpired."""
        if not self._ended(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float = 0) -> tuple[str, str]:
        """Waits for its end; what it wrote."""
        self.wait(timeout)
        texts = []
        for stream in (self._out, self._err):
            stream.seek(0)
            texts.append(stream.read().decode())
            stream.close()
        self._report.close()
        return texts[0], texts[1]

    def send_signal(self, number: int) -> None:
        """Sends it a signal, if it still lives."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _ended(self, timeout: float) -> bool:
        if self.returncode is None and select.select([self._report], [], [], timeout)[0]:
            self.returncode = int(self._report.readline())
        return self.returncode is not None


def start_ready(
    module: str,
    arguments: list[str],
    variables: dict[str, str],
    folder: Path = ROOT,
    imported: tuple[str, ...] = EVERYTHING,
) -> Process:
    """Starts `python -m module` as the leader of a session.

    Args:
        module: to run.
        arguments: its arguments.
        variables: its environment.
        folder: it works in.
        imported: what is imported already, before `variables` are set; those that count then are its own all the same.
    """
    counts = READ_AT_IMPORT[imported]
    key = (*imported, *(f"{name}={value}" for name, value in sorted(variables.items()) if name.startswith(counts)))
    if key not in _ready:
        _ready[key] = _serve(variables, imported)
    report, theirs = os.pipe()
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
    request = json.dumps([module, arguments, variables, str(folder)])
    socket.send_fds(_ready[key], [request.encode()], [out.fileno(), err.fileno(), theirs])
    os.close(theirs)
    return Process(out, err, report)


def _serve(variables: dict[str, str], imported: tuple[str, ...]) -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST)
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno()), *imported],
            cwd=ROOT, env=variables, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
        )  # fmt: skip

    atexit.register(_end, ours, server)
    return ours


def _end(ours: socket.socket, server: subprocess.Popen[bytes]) -> None:
    ours.close()  # which it takes as the end
    try:
        server.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def main() -> None:
    """Serves until nobody asks any more; in a process forked for a command, is that command."""
    asking = socket.socket(fileno=int(sys.argv[1]))
    for name in sys.argv[2:]:
        importlib.import_module(name)
    while True:
        request, descriptors, *_ = socket.recv_fds(asking, LONGEST, 3)
        with suppress(ChildProcessError):  # there is none
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not request:
            return
        if os.fork() == 0:
            break
        for descriptor in descriptors:
            os.close(descriptor)
    asking.close()
    out, err, report = descriptors
    _mind(report)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for descriptor in (out, err, report):
        os.close(descriptor)
    module, arguments, variables, folder = json.loads(request)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _mind(report: int) -> None:
    """Forks once more: the parent tells how its child ended, the child leads a session and goes on."""
    number = os.fork()
    if number:
        status = os.waitpid(number, 0)[1]
        os.write(report, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)
    os.setsid()
    os.write(report, f"{os.getpid()}\n".encode())


if __name__ == "__main__":
    main()
