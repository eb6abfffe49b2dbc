"""A picture of an audit, by matplotlib, which is an extra."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pipelines.auditing.report import BY
from pipelines.errors import UserError
from pipelines.evaluating.output_files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.auditing.report import Report, Share

MOST_BARS = 20  # of a group; names of more would overlap


def check_plots(path: Path) -> None:
    """Refuses a picture that cannot be drawn, before a teacher is run.

    Args:
        path: of the PNG.

    Raises:
        UserError: matplotlib is missing, or the name is that of another kind of file.
    """
    if path.suffix.lower() != ".png":
        raise UserError(f"--png {path}: expected a name that ends with .png, found {path.suffix or None}; rename it")
    if find_spec("matplotlib") is None:
        raise UserError(
            "--png: expected matplotlib to draw it, found that it is not installed; install it with "
            "`pip install 'tinyaug[plots]'`, or leave --png out"
        )


def write_plot(report: Report, path: Path) -> None:
    """Draws the share of flips in each group, beside that of all that the group counts: variants, or edits.

    Args:
        report: what was found.
        path: of the PNG.

    Raises:
        JobError: it cannot be written.
    """
    from matplotlib.figure import Figure

    groups = {group: {name: one for name, one in report.groups[group].items() if one.of} for group in BY}
    shown = {group: members for group, members in groups.items() if members}
    figure = Figure(figsize=(10, 7), layout="constrained")
    whole = report.variants
    figure.suptitle(f"{whole.share:.1%} of {whole.of:,} variants flip")
    for axes, (group, members) in zip(figure.subplots(2, 2).flat, shown.items(), strict=False):
        line = _bars(axes, members, BY[group])
    for axes in figure.axes[len(shown) :]:
        axes.set_axis_off()
    figure.legend(handles=[line], loc="outside lower center", fontsize=8)
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=150, metadata={"Software": None})
    write_whole(path, sink.getvalue())


def _bars(axes: Any, members: dict[str, Share], title: str) -> Any:
    """Draws a panel; gives the line of all its members."""
    most = sorted(members, key=lambda name: -members[name].of)[:MOST_BARS]
    names = [name for name in members if name in most]
    axes.bar(range(len(names)), [100 * members[name].share for name in names], color="tab:blue")
    of_all = sum(one.flips for one in members.values()) / sum(one.of for one in members.values())
    line = axes.axhline(
        100 * of_all, color="tab:red", linestyle="--", linewidth=1, label="all bars of a panel together"
    )
    shown = [f"{name}\n{members[name].flips:,} of\n{members[name].of:,}" for name in names]
    axes.set_xticks(range(len(names)), shown, rotation=0 if len(names) <= 8 else 90, fontsize=7, parse_math=False)
    axes.set_title(title, fontsize=9)
    axes.set_ylabel("% that flip")
    return line
