"""Makes a command of a verb that takes a dataclass of options: the plain keyword signature that typer reads."""

from __future__ import annotations

from functools import update_wrapper
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from rich.markup import escape

from pipelines.options.made import all_options, made

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.options.option import Option, Options


def flat(verb: Callable[[Any], int]) -> Callable[..., int]:
    """A command with a parameter for each option of a verb, in the order of the help's panels.

    An option that several groups have is typed once, for all of them; the help shows what the last of them says.

    Args:
        verb: takes one object of a subclass of `Options`, by its annotation.

    Returns:
        The command. It refuses options that have no effect, and hands the verb what was typed.
    """
    kind: type[Options] = next(iter(get_type_hints(verb).values()))
    options = all_options(kind)
    parameters = {name: _parameter(name, *found) for name, found in options.items()}

    def command(clicked: typer.Context, **words: Any) -> int:
        values = {name: options[name].option.value(word) for name, word in words.items()}
        typed = {name for name in words if getattr(clicked.get_parameter_source(name), "name", "") == "COMMANDLINE"}
        return verb(made(kind, frozenset(typed), **values))

    update_wrapper(command, verb)
    own = Parameter("clicked", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    command.__signature__ = Signature([own, *parameters.values()])  # type: ignore[attr-defined]
    command.__annotations__ = {"clicked": typer.Context, **{one.name: one.annotation for one in parameters.values()}}
    return command


def _parameter(name: str, one: Option, hint: Any, default: Any) -> Parameter:
    if one.read is not None:
        hint = one.typed | None if default is None and one.shown is None else one.typed
        default = one.shown if one.shown is not None else default and str(default)
    choices = f" One of {', '.join(one.choices)}." if one.choices else ""
    shown = typer.Option(*one.flag.split(" "), help=escape(one.help + choices), rich_help_panel=one.panel)
    default = Parameter.empty if default is ... else default
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, shown])
