"""What is kept of a teacher's outputs: by the budget, and by how often the stages see the rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from distill.cache_format import CacheContent, CacheMode, CachePlan, plan_cache
from distill.wording import shown_bytes
from pipelines.errors import UserError
from pipelines.teacher_cache.room import OFF, CacheRoom, cache_room, room_of_layers
from pipelines.teacher_cache.speed import NOT_MEASURED, cache_speed

if TYPE_CHECKING:
    from pathlib import Path

    from distill.shards import ShardStream
    from distill.teacher import Teacher
    from pipelines.methods.method import MethodStage
    from pipelines.options.teacher_cache import CacheChoice


@dataclass(frozen=True)
class CacheDecision:
    """What is kept, as run.json records it.

    Args:
        contents: stage -> content of the cache that it reads: full, hidden, scores, logits or off; empty for a method
            without a teacher.
        words: the decision with its numbers.
        bytes: that the caches will take on top of what lies there.
    """

    contents: dict[str, str]
    words: str = ""
    bytes: int = 0

    def __add__(self, other: CacheDecision) -> CacheDecision:
        """Both, for stages that read different rows."""
        words = "; ".join(dict.fromkeys(filter(None, (self.words, other.words))))
        return CacheDecision({**self.contents, **other.contents}, words, self.bytes + other.bytes)

    @property
    def kept(self) -> set[str]:
        """Contents of the caches that are used."""
        return {*self.contents.values()} - {OFF}

    def as_json(self) -> Any:
        """As run.json has it: a field for each stage, or `content` for the only one."""
        one = len(self.contents) == 1
        contents = {"content" if one else stage: content for stage, content in self.contents.items()}
        return {**contents, "words": self.words, "bytes": self.bytes}

    @classmethod
    def read(cls, told: Any, stages: tuple[MethodStage, ...]) -> CacheDecision:
        """The decision of an earlier start.

        Args:
            told: what `as_json` gave; None for a method without a teacher.
            stages: of the method.
        """
        if told is None:
            return cls({})
        keeping = [stage.name for stage in stages if stage.kept is not None]
        contents = {name: found for name in keeping if (found := told.get(name, told.get("content")))}
        return cls(contents, told["words"], told["bytes"])


@dataclass(frozen=True)
class CacheQuestion:
    """What a decision rests on.

    Args:
        choice: what the user asked for.
        stages: of the method that read these rows, those that are left out included.
        teacher: the teacher.
        stream: the rows, or a sample of what is still to be made.
        root: folder of the caches.
        rows: how many there are, or will be.
        taken: bytes of the budget that caches of other rows will take.
    """

    choice: CacheChoice
    stages: tuple[MethodStage, ...]
    teacher: Teacher
    stream: ShardStream
    root: Path
    rows: int
    taken: int = 0

    @property
    def trained(self) -> tuple[MethodStage, ...]:
        """The stages that are not left out."""
        return tuple(stage for stage in self.stages if stage.recipe.epochs)

    def all(self, content: str, words: str, size: int = 0) -> CacheDecision:
        """The same content for all stages."""
        return CacheDecision(dict.fromkeys([stage.name for stage in self.stages], content), words, size)

    def room(self, content: CacheContent) -> CacheRoom:
        """What a cache finds in the folder."""
        from distill.targets import cache_key

        found = cache_room(self.choice, self.root, cache_key(self.teacher, self.stream, content), self.stream)
        return replace(found, taken=found.taken + self.taken)


def decide_cache(asked: CacheQuestion) -> CacheDecision:
    """Decides what is kept; what never fills or is never read is not.

    `auto` keeps what the stages want of the teacher's layers where it fits the budget, is read twice and, on a GPU,
    read faster than made again, else the logits where a stage reads these alone, else nothing.

    Raises:
        UserError: `full` or `logits` was asked for and does not fit.
    """
    from distill.targets import sample_lengths

    mode, trained = CacheMode(asked.choice.mode), asked.trained
    if mode is CacheMode.OFF:
        return asked.all(OFF, "teacher cache: off")
    if mode is CacheMode.AUTO and trained[0].uncached:
        return asked.all(OFF, f"teacher cache: off ({trained[0].uncached})")
    of_layers = [stage for stage in trained if stage.of_layers]
    if not of_layers:
        mode = CacheMode.LOGITS
    kept = [stage.kept for stage in of_layers if stage.kept is not None]
    wanted = CacheContent.of(*(any(getattr(one, state) for one in kept) for state in ("hidden", "scores", "cls")))
    key, room = room_of_layers(asked.choice, asked.root, asked.teacher, asked.stream, wanted)
    room = replace(room, taken=room.taken + asked.taken)
    lengths = sample_lengths(asked.stream)
    speed = cache_speed(asked.teacher, asked.stream, key) if mode is CacheMode.AUTO else NOT_MEASURED
    if room.filled and speed.reads_faster and mode is not CacheMode.LOGITS:  # the budget has been spent
        plan = replace(plan_cache(CacheMode.LOGITS, lengths, asked.rows, key, room.budget), content=key.kept)
        return asked.all(key.content, f"{plan}, made ahead{speed}")
    logits_alone = len(of_layers) < len(trained)
    less = "auto or logits" if logits_alone else "auto or off"
    full = mode is CacheMode.FULL
    plan = plan_cache(CacheMode.AUTO if full else mode, lengths, asked.rows, key, room.budget, room.taken)
    if full and plan.content != key.content:
        elsewhere = "choose another --cache-dir, " if room.taken else ""
        raise UserError(
            f"--cache full: {plan.beyond_budget()}; raise --cache-budget, {elsewhere}or choose --cache {less}"
        )
    fits = plan.content != CacheContent.LOGITS
    once = fits and _is_never_read(asked, room, of_layers)
    if fits and not once and speed.reads_faster:
        fixed = "".join(f"; {stage.fixed}" for stage in of_layers if stage.fixed)
        return _unless_few(asked, plan, f"{speed}{fixed}", max(0, plan.full_bytes - room.there))
    names = " and ".join(stage.name for stage in of_layers)
    why = f": the {names} stage sees no row twice, and what is never read is not kept" if once else f"{speed}"
    words = why if fits else ""
    if not logits_alone and mode is not CacheMode.LOGITS:
        return asked.all(OFF, f"{replace(plan, content=CacheMode.OFF)}{words}")
    return _logits(asked, plan, words)


def _is_never_read(asked: CacheQuestion, room: CacheRoom, of_layers: list[MethodStage]) -> bool:
    """Whether nobody would read what a cache has of the layers; a folder that was named is for other runs, too."""
    auto = asked.choice.mode == "auto" and not asked.choice.has("folder")
    return auto and not room.there and all(stage.recipe.sees_once(asked.rows) for stage in of_layers)


def _logits(asked: CacheQuestion, plan: CachePlan, words: str) -> CacheDecision:
    """Keeps logits alone.

    Args:
        asked: what the decision rests on.
        plan: the library's, of all that is wanted.
        words: why the rest is not kept, where it would fit.

    Raises:
        UserError: they were asked for and do not fit the budget that was named.
    """
    room, needed = asked.room(CacheContent.LOGITS), plan.logits_bytes
    if room.filled:
        plan, words = replace(plan, content=CacheContent.LOGITS, taken=room.taken), ", made ahead"
        return asked.all(CacheContent.LOGITS, f"{plan}{words}")
    named = asked.choice.mode == "logits" and asked.choice.budget is not None
    if named and needed + room.taken > room.budget:
        others = f", and other records there {shown_bytes(room.taken)}" if room.taken else ""
        raise UserError(
            f"--cache-budget: expected at least {shown_bytes(needed)} for --cache logits{others}, found "
            f"{shown_bytes(room.budget)}; raise it, or choose auto or off"
        )
    plan = replace(plan, content=CacheContent.LOGITS, taken=room.taken if words else plan.taken)
    return _unless_few(asked, plan, words, max(0, needed - room.there))


def _unless_few(asked: CacheQuestion, plan: CachePlan, words: str, size: int) -> CacheDecision:
    """The plan, but under `auto` nothing for stages that end before they have seen all rows once."""
    first = asked.trained[0]
    if asked.choice.mode != "auto" or first.recipe.sees_all(asked.rows):
        return asked.all(str(plan.content), f"{plan}{words}", size)
    never = "ends before it has seen all rows once, and what never fills is never read"
    alone = [stage for stage in asked.trained if not stage.of_layers and stage.recipe.sees_all(asked.rows)]
    if not alone:
        stage = f"the {first.name} stage" if len(asked.trained) == 1 else "each stage"
        return asked.all(OFF, f"teacher cache: off, for {stage} {never}")
    contents = {stage.name: str(CacheContent.LOGITS) if stage in alone else OFF for stage in asked.stages}
    kept = f"logits for the {alone[0].name} stage ({shown_bytes(plan.logits_bytes)})"
    words = f"teacher cache: {kept}, none for the {first.name} stage: it {never}"
    return CacheDecision(contents, words, plan.logits_bytes)
