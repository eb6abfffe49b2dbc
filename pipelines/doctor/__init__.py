"""`tinyaug doctor`: looks at this machine and says what would fail, why, and what to do."""

from pipelines.doctor.examine import examine
from pipelines.doctor.finding import FAIL, OK, WARN, Finding

__all__ = ["FAIL", "OK", "WARN", "Finding", "examine"]
