"""Bytes as people read them."""

from __future__ import annotations


def shown_bytes(number: float) -> str:
    """Bytes with a fitting unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.95:
            return f"{number:,.0f} B" if unit == "B" else f"{number:,.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"
