"""The command line: one typer app, one file for each group of verbs, nothing heavy at import."""

import sys

from pipelines.hidden import refuse_hidden

__all__ = ["main"]


def main() -> None:
    """Runs the command line and exits."""
    try:
        refuse_hidden()
    except ImportError as error:
        sys.stderr.write(f"tinyaug: error: {error}\n")
        sys.exit(2)
    from pipelines.cli.app import main as run_app

    run_app()
