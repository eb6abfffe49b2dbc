"""The options of every verb as the command line reads them: names, defaults, panels; none may be lost unnoticed.

After a change that is meant: `python -m tests.pipelines.options.test_options`, and look at what differs.
"""

from __future__ import annotations

from pathlib import Path

import typer

from pipelines.cli.app import app

KEPT = Path(__file__).with_suffix(".tsv")


def signatures() -> list[str]:
    """A line an option: verb, names, default, panel, and whether it is required, may be repeated or is a flag."""
    found = []
    for verb, command in typer.main.get_command(app).commands.items():
        for one in command.params:
            traits = [trait for trait in ("required", "multiple", "is_flag") if getattr(one, trait, False)]
            names = "/".join([" ".join(one.opts), *one.secondary_opts])
            default = (
                one.default if one.default is None or not isinstance(one.default, (str, Path)) else str(one.default)
            )
            assert one.help, f"{verb} {names}"
            found.append("\t".join([verb, names, str(default), one.rich_help_panel or "", " ".join(traits)]))
    return sorted(found)


def test_signatures():
    assert signatures() == KEPT.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    KEPT.write_text("\n".join([*signatures(), ""]), encoding="utf-8")
