"""`tinyaug doctor`: looks at this machine and says what would fail, why, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's table.

    Args:
        name: what was looked at.
        state: ok; warn: something else than the demo would fail or be slow; fail: the demo would not run.
        found: what is there; where that is not ok, also what would fail and why.
        remedy: what to do; empty where it is ok.

    Raises:
        ValueError: an unknown state, or a remedy that is missing where something is not ok.
    """

    name: str
    state: str
    found: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.state not in (OK, WARN, FAIL):
            raise ValueError(f"expected {OK}, {WARN} or {FAIL}, found {self.state!r}")
        if bool(self.remedy) == (self.state == OK):
            raise ValueError(f"expected a remedy exactly where something is not ok, found {self}")
