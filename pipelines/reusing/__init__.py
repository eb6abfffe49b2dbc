"""Candidates that an earlier run found are taken from it, text by text."""
