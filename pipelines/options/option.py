"""What an option is: a field of a frozen dataclass, with its flag, help, bounds and choices in the field's metadata."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from enum import EnumType, StrEnum
from functools import cache
from inspect import get_annotations
from pathlib import Path
from typing import Any, ClassVar, get_type_hints

from pipelines.errors import UserError

Typed = Mapping[str, bool | int | float | str | Path | list[str] | None]  # flag -> what typer made of what was typed
Gives = Callable[[Any, Collection[str]], Mapping[str, str | list[str]]]


class Panel(StrEnum):
    """The panels of a verb's help, in the order in which they are shown."""

    DATA = "Data"
    MODELS = "Models"
    DRAWN = "What is drawn"
    TRAINING = "How it trains"
    CACHE = "Teacher cache"
    RUNNING = "How it runs"
    OUTPUT = "Output"


@dataclass(frozen=True)
class Bounds:
    """The numbers that an option takes.

    Args:
        least: the lowest one.
        most: the highest one.
        inside: whether both ends are excluded.
    """

    least: float
    most: float = math.inf
    inside: bool = False

    def __contains__(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        return self.least < value < self.most if self.inside else self.least <= value <= self.most

    def __str__(self) -> str:
        if self.most == math.inf:
            return f"a number {'above' if self.inside else 'of at least'} {self.least}"
        return (
            f"a number {'between' if self.inside else 'from'} {self.least} {'and' if self.inside else 'to'} {self.most}"
        )


COUNT = Bounds(1)
RATE = Bounds(0, 1, inside=True)


@dataclass(frozen=True)
class Option:
    """How a field is given on the command line.

    Args:
        help: text of the help.
        flag: names as typer takes them, such as `--n -n` or `--unique/--keep-duplicates`; empty: the field's name. A
            name without a dash is that of an argument.
        panel: of the help; None for that of the group.
        bounds: of a number.
        choices: the texts that are taken; empty for those of the field's StrEnum, or for any.
        read: turns what was typed into the field's value; None where typer does. A ValueError says what is expected.
        typed: what typer makes of the words for `read`.
        shown: the default as the user would type it, where `read` makes another value of it.
        gives: what stands for other options that were not typed, by parameter, once it is told which were named;
            None where it gives none.
    """

    help: str
    flag: str = ""
    panel: Panel | None = None
    bounds: Bounds | None = None
    choices: tuple[str, ...] = ()
    read: Callable[[Any], Any] | None = None
    typed: Any = str
    shown: Any = None
    gives: Gives | None = None

    @property
    def name(self) -> str:
        """The first flag, as messages call the option."""
        return re.split("[ /]", self.flag)[0]

    def value(self, typed: Any) -> Any:
        """The field's value for what was typed; None stays None.

        Raises:
            UserError: it cannot be read.
        """
        if typed is None or self.read is None:
            return typed
        if self.choices:
            self.check(typed)
        try:
            return self.read(typed)
        except ValueError as error:
            raise UserError(f"{self.name}: expected {error}, found {typed!r}") from error

    def check(self, value: Any) -> None:
        """Refuses a value out of the bounds or not among the choices.

        Raises:
            UserError: naming the option.
        """
        if self.choices and value not in self.choices:
            raise UserError(f"{self.name}: expected one of {', '.join(self.choices)}, found {value!r}")
        if self.bounds is not None and value not in self.bounds:
            raise UserError(f"{self.name}: expected {self.bounds}, found {value}")


def option(help: str, default: Any = None, flag: str = "", **more: Any) -> Any:  # noqa: A002
    """A field that is an option.

    Args:
        help: text of the help.
        default: its value where nothing is typed; `...` where the user must type one.
        flag: names as typer takes them; empty: the field's name.
        more: other arguments of `Option`.
    """
    metadata = {"option": Option(help, flag, **more)}
    return field(metadata=metadata) if default is ... else field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Options:
    """Options that belong together: those of a panel of the help, or all those of a verb, in groups.

    A field that is neither an option nor a group keeps its default: a verb may take an option away from its base.

    Attributes:
        panel: of the group's options.
        words: for `{names}` in flags and help texts, where subclasses differ in little else.
        typed: the options that the user typed, or that --config has; empty where an object was made otherwise, as by
            `replace`.

    Raises:
        UserError: a value out of its bounds.
    """

    panel: ClassVar[Panel] = Panel.DATA
    words: ClassVar[dict[str, str]] = {}
    typed: ClassVar[Typed] = {}

    def __post_init__(self) -> None:
        for name, one in options_of(type(self)).items():
            if (value := getattr(self, name)) is not None:
                one.check(value)

    def defaults(self) -> dict[str, Any]:
        """Values of options that follow from others where they were not typed, by parameter; here none do."""
        return {}

    def has(self, name: str) -> bool:
        """Whether the user typed the option behind a field."""
        one = options_of(type(self)).get(name)
        return one is not None and one.name in self.typed


hints_of: Callable[[Any], dict[str, Any]] = cache(get_type_hints)


def _options_of(group: type[Options]) -> dict[str, Option]:
    """The options of a group itself by field; flags and choices are filled in."""
    found, hints = {}, hints_of(group)
    for one in fields(group):
        if (said := one.metadata.get("option")) is not None:
            flag, home = said.flag or f"--{one.name.replace('_', '-')}", _home(group, one.name)
            texts = {"flag": flag.format(**group.words), "help": said.help.format(**group.words)}
            named: dict[str, Any] = {**texts, "panel": said.panel or home.panel}
            if isinstance(hints[one.name], EnumType):
                named |= {"choices": said.choices or tuple(hints[one.name]), "read": hints[one.name]}
            found[one.name] = replace(said, **named)
    return found


def _home(group: type[Options], name: str) -> type[Options]:
    """The class that writes a field: its panel is the field's."""
    return next(base for base in group.__mro__ if name in get_annotations(base))


def _groups_of(options: type[Options]) -> dict[str, type[Options]]:
    """The groups of options in a dataclass by field."""
    hints, own = hints_of(options), options_of(options)
    named = [one.name for one in fields(options) if one.default is MISSING and one.name not in own]
    return {name: hints[name] for name in named}


# mypy takes the classes for unhashable: they are Any to the caches
options_of: Callable[[Any], dict[str, Option]] = cache(_options_of)
groups_of: Callable[[Any], dict[str, type[Options]]] = cache(_groups_of)


def flag(group: type[Options], name: str) -> str:
    """What the user types for a field of a group, for messages."""
    return options_of(group)[name].name
