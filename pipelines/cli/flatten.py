"""Makes a command of a verb that takes a dataclass of options: the plain keyword signature that typer reads."""

from __future__ import annotations

from functools import update_wrapper
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from rich.markup import escape

from pipelines.errors import UserError
from pipelines.options.config_file import read_config
from pipelines.options.made import all_options, made
from pipelines.options.option import Gives, Options, Panel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipelines.options.config_file import Given
    from pipelines.options.made import Found

ClickException: Any = typer.BadParameter.__mro__[2]  # click's, or that of the copy of click that newer typers carry
NAMED = "tinyaug.named"  # in a context's meta: the parameters on the command line, for callbacks that come early
TYPED = ("COMMANDLINE", "DEFAULT_MAP")  # where the user's own values come from; the second are those of --config


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
    giver = next((one.option.name for one in options.values() if one.option.gives), None)
    given_by = {name: giver for name, found in options.items() if giver is not None and found.default is ...}
    parameters = {name: _parameter(name, found, given_by.get(name)) for name, found in options.items()}

    def configured(clicked: typer.Context, config: Path | None) -> None:
        if config is not None:
            given = read_config(config, str(clicked.info_name), _known(clicked))
            clicked.default_map = {**(clicked.default_map or {}), **_as_typed(clicked, given, options, str(config))}

    def command(clicked: typer.Context, config: Path | None, **words: Any) -> int:  # noqa: ARG001
        if missing := next((name for name in given_by if words[name] is None), None):
            raise UserError(f"expected {options[missing].option.name}, or {giver}, found neither; name one of them")
        values = {name: options[name].option.value(word) for name, word in words.items()}
        typed = [name for name in words if getattr(clicked.get_parameter_source(name), "name", "") in TYPED]
        return verb(made(kind, {name: words[name] for name in typed}, **values))

    update_wrapper(command, verb)
    context = Parameter("clicked", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    about = "TOML file of options; what is typed goes before it."
    said = typer.Option("--config", help=about, rich_help_panel=Panel.RUNNING, is_eager=True, callback=configured)
    file = Parameter("config", Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[Path | None, said])
    every = [context, *parameters.values(), file]
    command.__signature__ = Signature(every)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in every}
    return command


def _known(clicked: typer.Context) -> dict[str, set[str]]:
    """Verb -> its options without dashes in front; of the verbs that take a file of them."""
    verbs = getattr(clicked.find_root().command, "commands", {}).items()
    named = {verb: {str(one.name) for one in command.params} for verb, command in verbs}
    return {verb: {name.replace("_", "-") for name in names - {"config"}} for verb, names in named.items()}


def _as_typed(clicked: typer.Context, given: Given, options: Mapping[str, Found], source: str) -> Given:
    """Values of options that were not typed, checked as if they were; a list is what is typed with commas."""
    made: Given = {}
    for one in clicked.command.params:
        if (name := one.name) in given:
            value = given[name]
            if one.multiple:
                value = [value] if isinstance(value, str) else value
            made[name] = value if one.multiple or isinstance(value, str) else ",".join(value)
            option = options[name].option
            try:
                if (read := option.value(one.process_value(clicked, made[name]))) is not None:
                    option.check(read)
            except ClickException as error:
                raise UserError(f"{source}: {option.name}: {error.message}") from error
            except UserError as error:
                raise UserError(f"{source}: {error}") from error
    return made


def _parameter(name: str, found: Found, given_by: str | None) -> Parameter:
    """A parameter; one that another option gives need not be typed."""
    one, hint, default = found
    if one.read is not None:
        hint = one.typed | None if default is None and one.shown is None else one.typed
        if default is not ...:
            default = one.shown if one.shown is not None else default and str(default)
    more = f" One of {', '.join(one.choices)}." if one.choices else ""
    if given_by is not None:
        hint, default, more = hint | None, None, f"{more} [required without {given_by}]"
    told: dict[str, Any] = {"help": escape(one.help + more), "rich_help_panel": one.panel}
    shown = typer.Option(*one.flag.split(" "), **told) if one.flag.startswith("-") else typer.Argument(**told)
    if one.gives is not None:
        shown.is_eager, shown.callback = True, _giving(one.gives)
    default = Parameter.empty if default is ... else default
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, shown])


def _giving(gives: Gives) -> Callable[[typer.Context, Any], Any]:
    """A callback of typer's that fills in what stands for other options, which are read later."""

    def given(clicked: typer.Context, value: Any) -> Any:
        if value is not None:
            known = clicked.default_map or {}
            clicked.default_map = {**gives(value, {*clicked.meta.get(NAMED, ()), *known}), **known}
        return value

    return given
