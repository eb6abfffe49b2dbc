"""docs/python.md: its blocks run one after the other, and print what the page says."""

from __future__ import annotations

import io
import re
import sys
import types
from contextlib import redirect_stdout
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs/python.md"
BLOCKS = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)
DECIMALS = re.compile(r"\d+\.\d+")  # what a model's sums decide, which differ from machine to machine


def printed(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[tuple[str, str]]:
    """What each block should print, and what it does."""
    monkeypatch.chdir(folder)
    module = types.ModuleType("python_page")  # a module, for functions that other processes are to run
    monkeypatch.setitem(sys.modules, module.__name__, module)
    found = []
    for code, expected in BLOCKS.findall(PAGE.read_text(encoding="utf-8")):
        out = io.StringIO()
        with redirect_stdout(out):
            exec(compile(code, str(PAGE), "exec"), module.__dict__)
        found.append((expected, out.getvalue()))
    return found


@pytest.mark.integration
def test_the_page_prints_what_it_says(monkeypatch, tmp_path):
    found = printed(monkeypatch, tmp_path)
    assert len(found) == 7
    for expected, out in found:
        assert DECIMALS.sub("0.0", out) == DECIMALS.sub("0.0", expected)
