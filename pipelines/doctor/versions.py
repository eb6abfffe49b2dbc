"""Python and the packages this project needs, against the lower bounds it declares."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.doctor.finding import FAIL, OK, WARN, Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

DISTRIBUTION = "tinyaug"
PYTHON = (3, 11)
REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*([^;]*)")
BOUND = re.compile(r"(>=|<)\s*([0-9.]+)")


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Finding:
    """The interpreter.

    Args:
        version: major, minor, micro.
    """
    shown = ".".join(map(str, version))
    if version[:2] < PYTHON:
        wanted = ".".join(map(str, PYTHON))
        return Finding("python", FAIL, f"{shown}; nothing runs below {wanted}", f"install Python {wanted} or later")
    return Finding("python", OK, f"{shown}, {sys.platform}, {sys.executable}")


def check_packages(requirements: Iterable[str] | None = None) -> list[Finding]:
    """All packages: one line for those that fit, and one for each that does not.

    Args:
        requirements: such as `torch>=2.6`; None for those the project declares.
    """
    fit, findings = [f"{DISTRIBUTION} {installed(DISTRIBUTION) or 'source tree'}"], []
    for text in declared() if requirements is None else requirements:
        name, bounds = _parsed(text)
        version = installed(name)
        if version is not None and all(_within(version, sign, bound) for sign, bound in bounds):
            fit.append(f"{name} {version}")
            continue
        wanted = text.split(";")[0].strip()
        if version is None:
            found = f"is not installed; expected {wanted}, and whatever uses it fails"
            findings.append(Finding(name, FAIL, found, f"pip install '{wanted}'"))
        else:
            found = f"{version}; expected {wanted}: other versions are not tested and may fail"
            findings.append(Finding(name, WARN, found, f"pip install '{wanted}'"))
    return [Finding("packages", OK, ", ".join(fit)), *findings]


def declared() -> list[str]:
    """The project's requirements: of the installed distribution, or of pyproject.toml in a source tree."""
    try:
        listed = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        import tomllib

        project = Path(__file__).parents[2] / "pyproject.toml"
        listed = (
            tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"] if project.exists() else []
        )
    return [text for text in listed if "extra ==" not in text]


def installed(name: str) -> str | None:
    """The version of an installed package; None if there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _parsed(requirement: str) -> tuple[str, list[tuple[str, str]]]:
    found = REQUIREMENT.match(requirement.strip())
    return (found[1], BOUND.findall(found[2])) if found else (requirement, [])


def _within(version: str, sign: str, bound: str) -> bool:
    mine, other = _numbers(version), _numbers(bound)
    width = max(len(mine), len(other))
    mine, other = mine + (0,) * (width - len(mine)), other + (0,) * (width - len(other))
    return mine >= other if sign == ">=" else mine < other


def _numbers(version: str) -> tuple[int, ...]:
    """2.6.0+cpu and 2.6.0rc1 as (2, 6, 0): enough to compare with bounds of two or three numbers."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
