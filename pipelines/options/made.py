"""Makes an object of options out of values by name: for the command line, and for verbs that Python calls."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields
from inspect import Parameter, Signature
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

from pipelines.errors import UserError
from pipelines.options.effects import refuse_idle
from pipelines.options.option import Option, Options, Panel, Typed, groups_of, hints_of, options_of

Kind = TypeVar("Kind", bound=Options)


class Found(NamedTuple):
    """An option of a verb, its type, and its default, `...` for none."""

    option: Option
    hint: Any
    default: Any


def all_options(kind: type[Options]) -> dict[str, Found]:
    """All options of a verb by parameter, in the order of the help's panels.

    Args:
        kind: of the verb; an option that several of its groups have is there once, as the last of them has it.
    """
    found: dict[str, Found] = {}
    hints, own, groups = hints_of(kind), options_of(kind), groups_of(kind)
    for name in (one.name for one in fields(kind)):
        if name in own:
            found[_parameter_name(own[name])] = Found(own[name], hints[name], getattr(kind, name, ...))
        elif name in groups:
            found |= all_options(groups[name])
    return dict(sorted(found.items(), key=lambda item: list(Panel).index(item[1].option.panel or Panel.DATA)))


def made(kind: type[Kind], given: Typed, /, **values: Any) -> Kind:
    """The options of a verb; refuses those that have no effect.

    Args:
        kind: of the verb.
        given: what the user gave, by parameter.
        values: by parameter, of all options.

    Raises:
        UserError: a value that cannot be used, or an option without effect.
    """
    flags = {found.option.name: given[name] for name, found in all_options(kind).items() if name in given}
    built = _built(kind, values, flags)
    if defaults := built.defaults():
        built = _built(kind, {**values, **defaults, **{name: values[name] for name in given}}, flags)
    refuse_idle(built)
    return built


def from_keywords(kind: type[Kind], /, **given: Any) -> Kind:
    """The options of a verb that Python calls: named as on the command line, with `_` for `-`.

    Texts are read as if they were typed; numbers, lists and paths may be given as such.

    Args:
        kind: of the verb.
        given: by parameter, those that are not left to their defaults.

    Raises:
        UserError: an option that the verb does not have or that is missing, or a value that cannot be used.
    """
    options = all_options(kind)
    if unknown := [name for name in given if name not in options]:
        raise UserError(f"expected options of the command, such as task or out; found {', '.join(unknown)}")
    if missing := [name for name, found in options.items() if found.default is ... and name not in given]:
        raise UserError(f"expected a value for {', '.join(missing)}, found none")
    read = {name: _value(name, options[name], value) for name, value in given.items()}
    return made(kind, given, **{**{name: found.default for name, found in options.items()}, **read})


def keywords(kind: type[Options]) -> Signature:
    """The signature of a function that takes a verb's options as keywords."""
    return Signature(
        [
            Parameter(name, Parameter.KEYWORD_ONLY, default=Parameter.empty if default is ... else default)
            for name, (_, _, default) in all_options(kind).items()
        ]
    )


def _value(name: str, found: Found, value: Any) -> Any:
    """A value as the field has it."""
    kinds = {found.hint, *get_args(found.hint)}
    if value is None and type(None) in kinds:
        return None
    if list[str] in (*kinds, found.option.typed):
        return found.option.value([str(value)] if isinstance(value, (str, Path)) else [*map(str, value)])
    if found.option.read is not None:
        if isinstance(value, str) or (isinstance(value, bool) and "/" in found.option.flag):
            return found.option.value(value)
        if not isinstance(value, bool):
            return tuple(value) if isinstance(value, list) else value
    if isinstance(value, (str, Path)) and kinds & {Path, str}:
        return Path(value) if Path in kinds else str(value)
    if isinstance(value, str) and bool not in kinds:
        with suppress(ValueError):  # what is no number is refused below
            value = float(value) if float in kinds else int(value)
    if isinstance(value, bool) != (bool in kinds) or not isinstance(value, Real if float in kinds else Integral):
        named = next(kind.__name__ for kind in (bool, int, float, Path, str) if kind in kinds)
        raise UserError(f"{name}: expected {named}, found {value!r}")
    return value


def _parameter_name(one: Option) -> str:
    return one.name.removeprefix("--").replace("-", "_")


def _built(kind: type[Kind], values: dict[str, Any], typed: Typed) -> Kind:
    """An object of options out of values by parameter."""
    own = {name: values[_parameter_name(one)] for name, one in options_of(kind).items()}
    groups = {name: _built(group, values, typed) for name, group in groups_of(kind).items()}
    built = kind(**own, **groups)
    object.__setattr__(built, "typed", typed)
    return built
