from __future__ import annotations

import pytest
import typer
from typer.core import TyperOption
from typer.testing import CliRunner

from pipelines.cli.app import app

VERBS = typer.main.get_command(app).commands


def each_kind(verb: str) -> list[TyperOption]:
    """An option of each kind that a verb has: flag or value, with a shorter name, with one for no."""
    found = [option for option in VERBS[verb].params if isinstance(option, TyperOption) and not option.multiple]
    return list({(one.is_flag, len(one.opts), len(one.secondary_opts)): one for one in found}.values())


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_an_option_of_one_value_is_refused_when_it_is_given_twice(verb):
    for option in each_kind(verb):
        for second in (option.opts[-1], (option.secondary_opts or option.opts)[0]):
            typed = [word for name in (option.opts[0], second) for word in ([name] if option.is_flag else [name, "1"])]
            found = CliRunner().invoke(app, [verb, *typed])
            assert found.exit_code == 2, option.name
            said = " ".join(found.output.replace("│", " ").split())
            assert f"Invalid value for '{option.opts[0]}'" in said, option.name
            assert "found it 2 times" in said, option.name


def test_how_often_an_option_was_given():
    found = CliRunner().invoke(app, ["augment", *["--seed", "1"] * 3])
    assert "found it 3 times" in " ".join(found.output.replace("│", " ").split())


def test_what_may_be_repeated_and_what_asks_for_help_is_not_refused():
    several = CliRunner().invoke(app, ["augment", "--task", "custom", "--text", "a", "--text", "b", "--protect", "c"])
    assert "expected it once" not in several.output
    assert CliRunner().invoke(app, ["augment", "--label", "a", "--label", "b", "--help"]).exit_code == 0
