"""The command line: one typer app, one file for each group of verbs, nothing heavy at import."""

from pipelines.cli.app import main

__all__ = ["main"]
