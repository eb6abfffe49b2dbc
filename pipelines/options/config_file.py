"""--config: a TOML file whose keys are options without their dashes, for all verbs or in a table for one of them."""

from __future__ import annotations

import json
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pipelines.options.option import Typed

Given = dict[str, str | list[str]]  # parameter -> what would be typed
NOT_KEPT = ("--overwrite", "--verify")  # of one command, not of the run


def read_config(path: Path, verb: str, known: Mapping[str, Collection[str]]) -> Given:
    """What a file says to a verb: the keys at its top that are options of the verb, and its table, which goes first.

    Args:
        path: the file.
        verb: the verb.
        known: verb -> its options without dashes in front.

    Raises:
        UserError: a file that is no TOML, or a key that is no option: of any verb at the top, of its own in a table.
    """
    try:
        content = tomllib.loads(path.expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"--config {path}: expected a TOML file, such as a line n = 4, found: {reason}") from error
    tables = {name: value for name, value in content.items() if isinstance(value, dict)}
    common = {key: value for key, value in content.items() if key not in tables}
    _refuse_unknown(f"{path}: expected the name of a verb in brackets", tables, known)
    _refuse_unknown(f"{path}: expected an option without its dashes", common, set().union(*known.values()))
    for name, table in tables.items():
        _refuse_unknown(f"{path}: expected an option of `tinyaug {name}` in [{name}]", table, known[name])
    chosen = {**common, **tables.get(verb, {})}
    return {key.replace("-", "_"): _words(path, key, value) for key, value in chosen.items() if key in known[verb]}


def config_text(typed: Typed) -> str:
    """A file that has a run made again; credentials in addresses are left out.

    Args:
        typed: option -> its value, of the run.
    """
    from distill.stores import without_credentials

    lines = [
        "# The options of this run: tinyaug run --config FILE makes it again. Relative paths are seen from where",
        f"# the command is given; here it was {Path.cwd()}",
    ]
    for name, value in typed.items():
        if name not in NOT_KEPT and value is not None:
            plain: Any = str(value) if isinstance(value, Path) else value
            plain = [*map(str, plain)] if isinstance(plain, (list, tuple)) else plain
            plain = plain.item() if hasattr(plain, "item") else plain  # a number of numpy's
            safe = without_credentials(plain) if isinstance(plain, str) else plain
            hint = "  # without the credentials in its address" if safe != plain else ""
            lines.append(f"{name.lstrip('-')} = {json.dumps(safe, ensure_ascii=False)}{hint}")
    return "\n".join([*lines, ""])


def _refuse_unknown(expected: str, found: Collection[str], known: Collection[str]) -> None:
    for key in found:
        if key not in known:
            near = get_close_matches(key, known, 1, 0)
            raise UserError(f"{expected}, found {key}; the nearest is {near[0] if near else 'none'}")


def _words(path: Path, key: str, value: Any) -> str | list[str]:
    """A value as it would be typed."""
    if isinstance(value, list):
        return [str(_words(path, key, one)) for one in value]
    if isinstance(value, dict):
        raise UserError(f"{path}: expected a value for {key}, found a table; write {key} = VALUE")
    return str(value).lower() if isinstance(value, bool) else str(value)
