"""What an audit finds: the share of variants that flip, by class, number of edits, source and rank, with examples."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from pipelines.auditing.flips import FARTHEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from pipelines.auditing.flips import Flips, Keys
    from pipelines.run_folder.parquet import RowReader

EXAMPLES = 5
CONFIDENCES = (0.5, 0.7, 0.9, 0.99)
FROM = (0, 1, 2, 3, 5, 10, 20)  # where ranges of ranks and of numbers of edits begin
BY = {  # group -> what is counted
    "class": "variants by the teacher's label of the original",
    "edits": "variants by number of edits",
    "source": "edits by source, and those of variants that flip",
    "rank": "edits by rank among candidates, and those of variants that flip",
}


@dataclass
class Share:
    """How many of some variants flip, or of some edits are in a variant that flips.

    Attributes:
        of: how many there are.
        flips: how many of them flip.
    """

    of: int = 0
    flips: int = 0

    @property
    def share(self) -> float:
        """Share of variants that flip; 0 without variants."""
        return self.flips / max(1, self.of)


@dataclass(frozen=True)
class Example:
    """A variant that flips.

    Args:
        source_idx: row of the example in the input.
        variant: its number.
        original: the texts before.
        texts: the texts of the variant.
        before: what the teacher says of the original: a class, or a score.
        after: what it says of the variant.
        confidence: that it gives the latter.
        edits: as the shard has them.
    """

    source_idx: int
    variant: int
    original: list[str]
    texts: list[str]
    before: str | float
    after: str | float
    confidence: float
    edits: list[Any]


@dataclass
class Report:
    """What an audit finds.

    Attributes:
        names: of the classes; empty for scores.
        examples: source rows whose variants were judged.
        variants: judged, and how many flip.
        groups: of `BY` -> its members -> share, in the order in which they are shown.
        confident: confidence -> variants that flip with at least that one, which --max-flip leaves out.
        flipped: those with the highest confidence, of scores those that are farthest away.
    """

    names: tuple[str, ...] = ()
    examples: int = 0
    variants: Share = field(default_factory=Share)
    groups: dict[str, dict[str, Share]] = field(default_factory=lambda: {group: {} for group in BY})
    confident: dict[float, int] = field(default_factory=lambda: dict.fromkeys(CONFIDENCES, 0))
    flipped: list[tuple[float, Example]] = field(default_factory=list)

    def add(self, keys: Keys, flips: Flips, originals: NDArray[np.float32], edits: pa.ChunkedArray) -> None:
        """Counts rows.

        Args:
            keys: of the rows.
            flips: of the rows.
            originals: what the teacher says of the original of each row.
            edits: of the rows.
        """
        made, flip = keys.variant > 0, flips.flips
        self.examples += int((~made).sum())
        self.variants.of += int(made.sum())
        self.variants.flips += int(flip.sum())
        for least in self.confident:
            self.confident[least] += int((flip & (flips.confidence >= least)).sum())
        if self.names:
            self._count("class", [*self.names], originals[made].astype(np.int64), flip[made])
        edits = edits.combine_chunks()
        number = pc.list_value_length(edits).to_numpy(zero_copy_only=False)
        self._count("edits", _ranges(), _range_of(number[made]), flip[made])
        each, flip_of_each = edits.flatten(), np.repeat(flip, number)
        sources, rank = ["mlm", "glove"], pc.struct_field(each, "rank").to_numpy(zero_copy_only=False)
        is_glove = pc.equal(pc.struct_field(each, "source"), "glove").to_numpy(zero_copy_only=False)
        self._count("source", sources, is_glove.astype(np.int64), flip_of_each)
        self._count("rank", _ranges(), _range_of(rank), flip_of_each)

    def _count(self, group: str, members: Sequence[str], of: NDArray[np.int64], flips: NDArray[np.bool_]) -> None:
        every = np.bincount(of, minlength=len(members))
        flipped = np.bincount(of[flips], minlength=len(members))
        for member, number, bad in zip(members, every, flipped, strict=True):
            found = self.groups[group].setdefault(member, Share())
            found.of, found.flips = found.of + int(number), found.flips + int(bad)

    def keep_examples(
        self, keys: Keys, flips: Flips, originals: NDArray[np.int64], rows: NDArray[np.int64], reader: RowReader,
        columns: Sequence[str],
    ) -> None:  # fmt: skip
        """Keeps the most telling variants that flip, one of each example.

        Args:
            keys: of rows of a shard.
            flips: of the rows.
            originals: the place of each row's original among them.
            rows: their numbers in the shard.
            reader: of the shard.
            columns: of the texts.
        """
        said = flips.prediction
        strength = flips.confidence if self.names else np.abs(said - said[originals])
        at = np.flatnonzero(flips.flips)
        at = at[np.lexsort((keys.variant[at], keys.source[at], -strength[at]))]
        at = at[np.sort(np.unique(keys.source[at], return_index=True)[1])][:EXAMPLES]
        if not len(at):
            return
        wanted = np.unique(np.concatenate([rows[at], rows[originals[at]]]))
        read = dict(zip(wanted.tolist(), reader.take(wanted, [*columns, "edits"]).to_pylist(), strict=True))
        for place in at.tolist():
            before, after = originals[place], read[int(rows[place])]
            example = Example(
                int(keys.source[place]), int(keys.variant[place]),
                [read[int(rows[before])][column] for column in columns], [after[column] for column in columns],
                self._label(said[before]), self._label(said[place]), float(flips.confidence[place]), after["edits"],
            )  # fmt: skip
            self.flipped.append((float(strength[place]), example))
        self.flipped = sorted(self.flipped, key=lambda one: -one[0])[:EXAMPLES]

    def _label(self, said: np.float32) -> str | float:
        return self.names[int(said)] if self.names else round(float(said), 4)

    def to_json(self) -> Any:
        """The report as it is written; groups of which nothing is known are left out."""
        groups = {
            group: {member: {**asdict(one), "share": one.share} for member, one in members.items() if one.of}
            for group, members in self.groups.items()
        }
        return {
            "examples": self.examples,
            "variants": {**asdict(self.variants), "share": self.variants.share},
            "by": {group: members for group, members in groups.items() if members},
            "flips_with_confidence": {str(least): number for least, number in self.confident.items()},
            "flipped": [asdict(example) for _, example in self.flipped],
            **({} if self.names else {"flips_beyond": FARTHEST}),
        }


def _ranges() -> list[str]:
    """Names of the ranges that begin at `FROM`."""
    ends = [*(end - 1 for end in FROM[1:]), None]
    return [
        f"{first} or more" if last is None else f"{first}" if last == first else f"{first}-{last}"
        for first, last in zip(FROM, ends, strict=True)
    ]


def _range_of(numbers: NDArray[Any]) -> NDArray[np.int64]:
    return np.searchsorted(FROM, numbers, side="right") - 1
