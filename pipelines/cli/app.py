"""The app, and what its exit codes mean: 0 done, 1 failed, 2 a mistake of the user's, 130/143 stopped."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from typer.core import TyperCommand

from pipelines.cli.audit import audit
from pipelines.cli.augment import augment, resample
from pipelines.cli.distill import cache_teacher, distill, distill_general, pretrain
from pipelines.cli.doctor import doctor
from pipelines.cli.evaluate import evaluate
from pipelines.cli.export import export
from pipelines.cli.finetune import finetune
from pipelines.cli.flatten import NAMED, ClickException, flat
from pipelines.cli.run import run
from pipelines.cli.runs import clean, inspect, status, verify
from pipelines.errors import JobError, UserError

if TYPE_CHECKING:
    from types import FrameType

app = typer.Typer(
    name="tinyaug",
    help="TinyBERT from augmentation to student: resumable augmentation, fine-tuning, distillation, evaluation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


class OncePerOption(TyperCommand):
    """A verb that refuses an option given twice where it takes one value: the last would count, without a word."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the command line.

        Raises:
            typer.BadParameter: naming the option.
        """
        given: list[Any] = self.make_parser(ctx).parse_args(args=list(args))[2]
        if not any(parameter.name == "help" for parameter in given):  # it helps, whatever stands beside it
            for parameter in given:
                if not parameter.multiple and (times := given.count(parameter)) > 1:
                    said = f"expected it once, for it takes one value; found it {times} times: keep one"
                    raise typer.BadParameter(said, ctx=ctx, param=parameter)
        ctx.meta[NAMED] = {parameter.name for parameter in given}
        return super().parse_args(ctx, args)


VERBS: tuple[Callable[[Any], int], ...] = (
    run, augment, resample, audit, pretrain, finetune, distill, distill_general, cache_teacher, evaluate,
    export, doctor,
)  # fmt: skip
for command in (*map(flat, VERBS), status, verify, inspect, clean):
    app.command(cls=OncePerOption)(command)


class Stopped(BaseException):
    """Ctrl-C or SIGTERM; no KeyboardInterrupt, which typer would turn into an exit code without a word.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


def main() -> None:
    """Runs the command line and exits."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    # Tokenizers warn, on stderr and in every worker, when a process is forked after they were used.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false" if os.cpu_count() == 1 else "true")
    try:
        code = app(standalone_mode=False)
    except Stopped as stop:
        _say_how_to_go_on()
        _leave(stop.code)
    except ClickException as error:
        _name_verbs(error)
        error.show()
        _leave(error.exit_code)
    except BrokenPipeError:
        _leave(1)
    except Exception as error:
        _leave(_explain(error))
    sys.exit(code if isinstance(code, int) else 0)


def _name_verbs(error: Any) -> None:
    """Adds to "No such option" the verbs that have it."""
    name, above = getattr(error, "option_name", None), getattr(error.ctx, "parent", None)
    if name is not None and above is not None:
        commands = above.command.commands.items()
        if verbs := [verb for verb, one in commands if any(name in own.opts for own in one.params)]:
            error.message = f"No such option: {name} (an option of {', '.join(verbs)})"


def _leave(code: int) -> NoReturn:
    """Exits after a failure: at once where threads are still at work on parts, which would be waited for."""
    from pipelines.engines.engine import PART_THREAD

    if any(thread.name.startswith(PART_THREAD) for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    raise Stopped(number)


def _say_how_to_go_on() -> None:
    from distill.stores import without_credentials

    typed = ["tinyaug", *(argument for argument in sys.argv[1:] if argument != "--overwrite")]
    shown = [without_credentials(argument) for argument in typed]  # options of an address stay: it is none without them
    left_out = " (with the credentials in its addresses)" if shown != typed else ""
    _say(f"stopped; what was finished is kept. To go on{left_out}: {shlex.join(shown)}")


def _explain(error: Exception) -> int:
    """Says what went wrong, without a traceback where the message is meant for the user."""
    from augment.errors import AugmentError
    from distill.errors import DistillError
    from glove.errors import VectorsError

    if isinstance(error, (UserError, AugmentError, DistillError, VectorsError)):
        _say(f"error: {error}")
        return 2
    if isinstance(error, JobError):
        _say(f"failed: {error}")
        return 1
    if os.environ.get("TINYAUG_DEBUG"):
        traceback.print_exc()
    reason = str(error).strip().splitlines()
    _say(
        f"failed: {type(error).__name__}: {reason[0] if reason else ''}; this is a defect of tinyaug or of this "
        "machine: set TINYAUG_DEBUG=1 for the traceback"
    )
    return 1


def _say(text: str) -> None:
    sys.stderr.write(f"tinyaug: {' '.join(text.split(chr(10)))}\n")  # libraries break lines in what they say
    sys.stderr.flush()
