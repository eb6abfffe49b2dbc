"""Help texts: rich takes what stands in brackets for markup unless it is escaped."""

from __future__ import annotations

import pytest
import typer
from rich.text import Text

from pipelines.cli.app import app

COMMANDS = typer.main.get_command(app).commands


@pytest.mark.parametrize("verb", sorted(COMMANDS))
def test_no_default_is_lost_in_markup(verb):
    for parameter in COMMANDS[verb].params:
        text = getattr(parameter, "help", None) or ""
        shown = Text.from_markup(text).plain
        assert shown.count("[") == text.count("["), f"{parameter.name}: {text}"
