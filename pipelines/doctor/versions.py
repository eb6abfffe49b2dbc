"""Python and the packages this project needs, against the lower bounds it declares."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.doctor import FAIL, OK, WARN, Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

DISTRIBUTION = "tinyaug"


def check_python() -> Finding:
    """The interpreter; one that is too old does not come so far."""
    return Finding("python", OK, f"{platform.python_version()}, {sys.platform}, {sys.executable}")


def check_packages(requirements: Iterable[str] | None = None) -> list[Finding]:
    """All packages: one line for those that fit, and one for each that does not.

    Args:
        requirements: such as `torch>=2.6`; None for those the project declares.
    """
    from packaging.requirements import Requirement  # here, since it may be what is missing

    fit, findings = [f"{DISTRIBUTION} {installed(DISTRIBUTION) or 'source tree'}"], []
    for text in declared() if requirements is None else requirements:
        requirement = Requirement(text)
        name, version = requirement.name, installed(requirement.name)
        if version is not None and requirement.specifier.contains(version, prereleases=True):
            fit.append(f"{name} {version}")
            continue
        wanted = text.split(";")[0].strip()
        state, found = FAIL, f"is not installed; expected {wanted}, and whatever uses it fails"
        if version is not None:
            state, found = WARN, f"{version}; expected {wanted}: other versions are not tested and may fail"
        findings.append(Finding(name, state, found, f"pip install '{wanted}'"))
    return [Finding("packages", OK, ", ".join(fit)), *findings]


def declared() -> list[str]:
    """The project's requirements: of the installed distribution, or of pyproject.toml in a source tree."""
    try:
        listed = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        import tomllib

        project = Path(__file__).parents[2] / "pyproject.toml"
        listed = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    return [text for text in listed if "extra ==" not in text]


def installed(name: str) -> str | None:
    """The version of an installed package; None if there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
