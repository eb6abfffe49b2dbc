"""Writes the demo's SQuAD: made-up people, shops, lakes and fairs, each told in a few sentences, and questions on them.

    python scripts/build_demo_squad.py pipelines/demo/squad

Every name, place and number is drawn from the lists below, which were written for this purpose (CC0-1.0). Three
questions in four have an answer; the others ask for what the text leaves out.
"""

from __future__ import annotations

import json
import random
import sys
from dataclasses import dataclass
from pathlib import Path

FIRST = (
    "Anna Boris Clara David Emma Felix Grace Henry Irene James Karen Louis Maria Nora Oscar Paula Robert Sarah Thomas "
    "Victor Walter Alice Simon Julia Martin Helen Frank Laura Peter Rose"
).split()
LAST = (
    "Baker Carter Dale Field Foster Grant Hill Hunt Keller Lane Marsh North Page Reed Stone Turner West Wood Young "
    "Brook Fox Green King Snow Wells"
).split()
TOWNS = (
    "Ashford Brookfield Clayton Dunmore Eastwood Fairview Greenville Harbor Kingston Lakewood Millbrook Newport "
    "Oakland Preston Redwood Salem Stanton Weston Winfield Burton"
).split()
JOBS = "baker teacher carpenter doctor painter farmer lawyer sailor tailor pilot gardener writer".split()
PETS = "a grey cat|a black dog|a brown horse|a white rabbit|a green parrot|two goats|a small turtle|three hens".split(
    "|"
)
TOOLS = "violin piano guitar flute drum trumpet".split()
GOODS = "wooden toys|leather shoes|fresh bread|silk scarves|garden tools|paper lamps|honey cakes|glass beads".split("|")
FISH = "trout salmon eels carp pike".split()
MONTHS = "March April May June July August September October".split()
PRIZES = "a silver cup|a new bicycle|a basket of apples|a golden bell|a blue ribbon|a painted chair".split("|")
TREES = "pine oak birch willow maple cedar".split()


@dataclass(frozen=True)
class Fact:
    """A field of a kind: how it is told, and asked for; {0} is the subject, {1} the value."""

    told: tuple[str, ...]
    asked: tuple[str, ...]


PERSON = {
    "town": Fact(("{0} was born in {1}.", "{0} grew up in {1}."), ("Where was {0} born?", "Which town is {0} from?")),
    "year": Fact(("{0} left school in {1}.", "In {1} {0} left school."), ("When did {0} leave school?",)),
    "job": Fact(("{0} works as a {1}.", "By trade {0} is a {1}."), ("What is the job of {0}?",)),
    "pet": Fact(("At home {0} keeps {1}.", "{0} lives with {1}."), ("Which animal does {0} keep?",)),
    "tool": Fact(("On Sundays {0} plays the {1}.",), ("Which instrument does {0} play?",)),
    "friend": Fact(("{0} is married to {1}.", "{1} is married to {0}."), ("Who is {0} married to?",)),
}
SHOP = {
    "owner": Fact(("{0} was opened by {1}.", "The owner of {0} is {1}."), ("Who opened {0}?", "Who owns {0}?")),
    "year": Fact(("{0} first opened in {1}.", "Since {1} {0} has been open."), ("When did {0} open?",)),
    "goods": Fact(("{0} sells {1}.", "People come to {0} for {1}."), ("What does {0} sell?",)),
    "staff": Fact(("Today {1} people work at {0}.", "{0} employs {1} people."), ("How many people work at {0}?",)),
    "town": Fact(("{0} stands in the centre of {1}.", "You find {0} in {1}."), ("In which town is {0}?",)),
}
LAKE = {
    "depth": Fact(("{0} is {1} metres deep.", "The depth of {0} is {1} metres."), ("How deep is {0}?",)),
    "fish": Fact(("There are {1} in {0}.", "{0} is known for its {1}."), ("Which fish live in {0}?",)),
    "trees": Fact(("Around {0} grow {1} trees.",), ("Which trees grow around {0}?",)),
    "town": Fact(("The road to {0} begins in {1}.", "{0} lies near {1}."), ("Which town is near {0}?",)),
    "finder": Fact(("{0} was first mapped by {1}.", "{1} drew the first map of {0}."), ("Who first mapped {0}?",)),
}
FAIR = {
    "month": Fact(("{0} is held in {1}.", "Every {1} people come to {0}."), ("In which month is {0} held?",)),
    "prize": Fact(("The winner of {0} gets {1}.",), ("What does the winner of {0} get?",)),
    "guests": Fact(("Last year {1} guests came to {0}.",), ("How many guests came to {0}?",)),
    "judge": Fact(("{1} was the judge at {0}.", "At {0} the judge is {1}."), ("Who is the judge at {0}?",)),
    "town": Fact(("{0} takes place in {1}.",), ("Where does {0} take place?",)),
}
ASIDES = (
    "It rained a lot that spring.", "Nobody knows why.", "The weather is mild there.", "Most people like it.",
    "There is not much more to say.", "That was a surprise to many.", "The local paper wrote about it.",
)  # fmt: skip


def values(kind: str, dice: random.Random) -> dict[str, str]:
    """A value for every field of a kind."""
    name = f"{dice.choice(FIRST)} {dice.choice(LAST)}"
    town, year = dice.choice(TOWNS), str(dice.randint(1880, 2019))
    return {
        "person": {"town": town, "year": year, "job": dice.choice(JOBS), "pet": dice.choice(PETS),
                   "tool": dice.choice(TOOLS), "friend": name},
        "shop": {"owner": name, "year": year, "goods": dice.choice(GOODS), "staff": str(dice.randint(3, 90)),
                 "town": town},
        "lake": {"depth": str(dice.randint(5, 300)), "fish": dice.choice(FISH), "trees": dice.choice(TREES),
                 "town": town, "finder": name},
        "fair": {"month": dice.choice(MONTHS), "prize": dice.choice(PRIZES), "guests": str(dice.randint(40, 900)),
                 "judge": name, "town": town},
    }[kind]  # fmt: skip


def subject(kind: str, dice: random.Random) -> str:
    """What a text is about."""
    town, last = dice.choice(TOWNS), dice.choice(LAST)
    return {
        "person": f"{dice.choice(FIRST)} {last}",
        "shop": f"the {last} shop",
        "lake": f"Lake {last}",
        "fair": f"the {town} fair",
    }[kind]


KINDS = {"person": PERSON, "shop": SHOP, "lake": LAKE, "fair": FAIR}


def paragraph(number: int, part: str, dice: random.Random) -> dict[str, object]:
    """One text and its questions."""
    kind = list(KINDS)[number % len(KINDS)]
    facts, about, known = KINDS[kind], subject(kind, dice), values(kind, dice)
    order = dice.sample(list(facts), len(facts))
    told, left_out = order[:-2] if len(order) > 5 else order[:-1], order[len(order) - (2 if len(order) > 5 else 1) :]
    sentences = [dice.choice(facts[field].told).replace("{1}", f"\0{field}\0").replace("{0}", about) for field in told]
    sentences.insert(dice.randint(0, len(sentences)), dice.choice(ASIDES))
    text, starts = " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences), {}
    for field in sorted(told, key=lambda field: text.index(f"\0{field}\0")):
        mark = f"\0{field}\0"
        starts[field] = text.index(mark)
        text = text.replace(mark, known[field])
    asked = [*dice.sample(told, min(3, len(told))), dice.choice(left_out)]
    questions = [
        {
            "id": f"{part[0]}{number}-{place}",
            "question": dice.choice(facts[field].asked).replace("{0}", about),
            **({} if field in starts else {"is_impossible": True}),
            "answers": [{"text": known[field], "answer_start": starts[field]}] if field in starts else [],
        }
        for place, field in enumerate(asked)
    ]
    return {"context": text, "qas": questions}


def main(folder: Path) -> None:
    """Writes both parts."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, count, seed in (("train", 240, 1), ("dev", 48, 2)):
        dice = random.Random(seed)
        made = (json.dumps(paragraph(number, part, dice), separators=(",", ":")) for number in range(count))
        lines = ",\n".join(made)
        text = f'{{"version":"v2.0","data":[{{"title":"made-up","paragraphs":[\n{lines}\n]}}]}}\n'
        (folder / f"{part}-v2.0.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
