"""Makes a command of a verb that takes a dataclass of options: the plain keyword signature that typer reads."""

from __future__ import annotations

from dataclasses import fields
from functools import update_wrapper
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer
from rich.markup import escape

from pipelines.options.effects import refuse_idle
from pipelines.options.option import Option, Options, Panel, groups_of, hints_of, options_of

if TYPE_CHECKING:
    from collections.abc import Callable

Kind = TypeVar("Kind", bound=Options)


def flat(verb: Callable[[Any], int]) -> Callable[..., int]:
    """A command with a parameter for each option of a verb, in the order of the help's panels.

    An option that several groups have is typed once, for all of them; the help shows what the last of them says.

    Args:
        verb: takes one object of a subclass of `Options`, by its annotation.

    Returns:
        The command. It refuses options that have no effect, and hands the verb what was typed.
    """
    kind: type[Options] = next(iter(get_type_hints(verb).values()))
    options = _all_options(kind)
    parameters = {name: _parameter(name, *found) for name, found in options.items()}

    def command(clicked: typer.Context, **words: Any) -> int:
        values = {name: options[name][0].value(word) for name, word in words.items()}
        typed = [name for name in words if getattr(clicked.get_parameter_source(name), "name", "") == "COMMANDLINE"]
        flags = frozenset(options[name][0].name for name in typed)
        made = _built(kind, values, flags)
        if defaults := made.defaults():
            made = _built(kind, {**values, **defaults, **{name: values[name] for name in typed}}, flags)
        refuse_idle(made)
        return verb(made)

    update_wrapper(command, verb)
    own = Parameter("clicked", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    command.__signature__ = Signature([own, *parameters.values()])  # type: ignore[attr-defined]
    command.__annotations__ = {"clicked": typer.Context, **{one.name: one.annotation for one in parameters.values()}}
    return command


def _all_options(kind: type[Options]) -> dict[str, tuple[Option, Any, Any]]:
    """All options by parameter: what is said of each, its type and its default, `...` for none."""
    found: dict[str, tuple[Option, Any, Any]] = {}
    hints, own, groups = hints_of(kind), options_of(kind), groups_of(kind)
    for name in (one.name for one in fields(kind)):
        if name in own:
            found[_parameter_name(own[name])] = (own[name], hints[name], getattr(kind, name, ...))
        elif name in groups:
            found |= _all_options(groups[name])
    return dict(sorted(found.items(), key=lambda item: list(Panel).index(item[1][0].panel or Panel.DATA)))


def _parameter_name(one: Option) -> str:
    return one.name.removeprefix("--").replace("-", "_")


def _parameter(name: str, one: Option, hint: Any, default: Any) -> Parameter:
    if one.read is not None:
        hint = one.typed | None if default is None and one.shown is None else one.typed
        default = one.shown if one.shown is not None else default and str(default)
    choices = f" One of {', '.join(one.choices)}." if one.choices else ""
    about: dict[str, Any] = {"help": escape(one.help + choices), "rich_help_panel": one.panel}
    shown = typer.Option(*one.flag.split(" "), **about) if one.flag[:1] == "-" else typer.Argument(**about)
    default = Parameter.empty if default is ... else default
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, shown])


def _built(kind: type[Kind], values: dict[str, Any], typed: frozenset[str]) -> Kind:
    """An object of options out of values by parameter."""
    fields = {name: values[_parameter_name(one)] for name, one in options_of(kind).items()}
    groups = {name: _built(group, values, typed) for name, group in groups_of(kind).items()}
    made = kind(**fields, **groups)
    object.__setattr__(made, "typed", typed)
    return made
