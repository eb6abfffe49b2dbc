"""Made-up support tickets of a made-up shop, for the story from a csv to a small model in production.

Written for these tests and dedicated to the public domain (CC0 1.0). A seed gives the same tickets everywhere. Three
queues, one of them rare; texts have order numbers and addresses that an augmentation must keep. One ticket in eight
also speaks of another queue's business, and one in 17 says nothing of its own, so no model is right about all.
"""

from __future__ import annotations

import csv
from dataclasses import astuple, dataclass, fields
from random import Random
from re import sub
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

SHARES = {"delivery": 0.52, "billing": 0.40, "security": 0.08}
PROTECT = (r"/ORD-\d{5}/", r"/[\w.]+@[\w.]+/")  # as `--protect` takes them
MIXED, EMPTY = 0.14, 0.06

SUBJECTS = {
    "delivery": [
        "Where is my {item}?", "Parcel not here yet", "{item} arrived broken", "Wrong {item} in the box",
        "Order {order} still on its way", "Courier never came", "Box was empty", "Change of address",
    ],
    "billing": [
        "Charged twice", "Invoice for {order}", "Refund for the {item}", "Wrong amount on my bill",
        "Question about my payment", "Card declined", "Discount is missing", "Receipt please",
    ],
    "security": [
        "Somebody used my account", "Strange login", "Password was changed", "Is this mail from you?",
        "Locked out of my account", "Order that I did not make",
    ],
}  # fmt: skip
PLAIN_SUBJECTS = ["Order {order}", "Please help", "Question", "Urgent", "Hello", "Second message about {order}"]
OWN = {  # of words in brackets one is taken
    "delivery": [
        "The {item} [should have been here|was promised for|was due] {days} days ago.",
        "The [courier|driver] [says he rang|claims he was here], but [nobody was at the door|I was at home all day].",
        "The [parcel|package] has been in {city} for {days} days and [does not move|nothing happens].",
        "When I [opened|unpacked] the box the {item} was [broken|in pieces|scratched|bent].",
        "You [sent|gave me] a {other} [and I had ordered|instead of] a {item}.",
        "[The tracking page|Your website] says [delivered|it has arrived], but [there is nothing here|I never saw it].",
        "[One part|The lid|A screw|The manual] of the {item} [was missing in the box|is not in the box].",
        "Can you [send|ship|forward] it to my [new|other|holiday] address in {city}?",
        "[The driver|Somebody] left the {item} [in the rain|in front of the house|with a shop down the street].",
        "My neighbour [got|took] my parcel and [gave it back|does not have it any more].",
        "I [have been waiting|am still waiting] for the {item}, [for {days} days|since Monday|after two weeks].",
        "The [package|box|parcel] was [open|wet|torn|empty] when it [came|got here|arrived].",
        "Could [you|someone] bring the {item} [before the end of the week|in the evening|on a Saturday]?",
        "The {item} came without its [cable|battery|bag|feet].",
    ],
    "billing": [
        "You [took|charged|booked] {amount} euros [from my card twice|two times].",
        "The [invoice|bill] says {amount} euros, [the shop said less|we had agreed on less|and that is wrong].",
        "I [sent|gave] the {item} back {days} days ago and [have no refund yet|still miss my money].",
        "My [bank|statement|card] shows [two payments|a second payment|more] for [one order|this].",
        "The [discount|voucher|coupon] of {amount} euros is not [on the bill|taken off|in the total].",
        "I need [an invoice|a bill] with [the name of my company|our tax number|my full name].",
        "Please [send|mail|give] me [the receipt|a copy of the bill] for the {item} again.",
        "Why was I [charged|asked to pay] for [shipping|a gift box|insurance]?",
        "My [card|payment] was [declined|refused] although there is [money on it|enough in the account].",
        "I paid {amount} euros [too much|more than the price] for the {item}.",
        "Can I pay [the {item}|for it] in {days} [parts|rates|steps]?",
        "The [tax|total|price] on my [invoice|receipt] is [wrong|too high|not right].",
        "The [monthly fee|price of my plan] went up and nobody [told|asked] me.",
        "The refund was {amount} euros [short|less than I paid].",
    ],
    "security": [
        "There was a [login|visit] to my account from {city} that was [not me|somebody else].",
        "My password was [changed|reset] and I [did not do it|never asked for that].",
        "[Somebody|A stranger|Someone] ordered a {item} in my name.",
        "I got [a mail|a message|a call] that asks for my [password|code|pin] and [looks like yours|may be a trick].",
        "[A stranger|A caller] [has|knows] my address and my last order.",
        "I cannot [log in|get into my account] any more since the code never comes.",
        "Please [block|close|lock] my account, it was [stolen|taken over|hacked].",
        "My mail address was [replaced by another one|changed] in my [account|profile].",
        "There are [cards|addresses|devices] in my [account|profile] that I do not know.",
        "I [clicked on|opened] a link and then had to type my [code|password].",
    ],
}  # fmt: skip
NEUTRAL = [
    "My order number is {order}.", "You can write to me at {mail}.", "The order is {order}, from {mail}.",
    "I have been a customer for {days} years.", "I called {days} times and nobody picked up.",
    "It is about order {order}.", "Your chat did not help.", "I wrote about this last week, too.",
    "My mail is {mail}.", "I ordered the {item} as a gift.", "I live in {city}.", "See {order} for what I bought.",
]  # fmt: skip
OPENINGS = ["Hello,", "Hi there,", "Dear team,", "Good morning,", "To whom it may concern,", ""]
CLOSINGS = ["Thanks!", "Please answer soon.", "Best regards", "What can I do?", "I am not happy.", "Thank you", "", ""]
ITEMS = [
    "lamp", "printer", "phone", "chair", "camera", "coat", "bike", "kettle", "radio", "watch", "table", "keyboard",
    "tent", "mirror", "guitar", "heater",
]  # fmt: skip
CITIES = ["London", "Paris", "Berlin", "Madrid", "Vienna", "Prague", "Dublin", "Oslo"]
NAMES = ["anna", "j.novak", "m.silva", "peter.k", "lee", "office", "r.meyer", "sara", "tom.b", "w.chen"]
HOSTS = ["example.com", "example.org", "mail.example.net"]


@dataclass(frozen=True)
class Ticket:
    """A row of the csv."""

    id: str
    subject: str
    body: str
    queue: str


def tickets(rows: int = 600, seed: int = 0) -> list[Ticket]:
    """The first tickets of a seed; more rows begin with the same ones."""
    return [_ticket(number, Random(f"tickets {seed} {number}")) for number in range(rows)]


def write_csv(path: Path, rows: Iterable[Ticket]) -> Path:
    """Writes tickets with a header, as a spreadsheet would."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(Ticket)])
        writer.writerows(map(astuple, rows))
    return path


def _ticket(number: int, random: Random) -> Ticket:
    queue = _queue(random.random())
    words = {
        "item": _one(ITEMS, random), "other": _one(ITEMS, random), "city": _one(CITIES, random),
        "order": f"ORD-{int(10_000 + random.random() * 90_000)}", "days": str(int(2 + random.random() * 12)),
        "amount": str(int(5 + random.random() * 200)), "mail": f"{_one(NAMES, random)}@{_one(HOSTS, random)}",
    }  # fmt: skip
    is_plain, is_empty, is_mixed = random.random() < 0.4, random.random() < EMPTY, random.random() < MIXED
    subject = _one(PLAIN_SUBJECTS if is_plain or is_empty else SUBJECTS[queue], random)
    said = [] if is_empty else [_one(OWN[queue], random) for _ in range(1 + (random.random() < 0.35))]
    if is_mixed and not is_empty:
        others = [name for name in SHARES if name != queue]
        said.insert(int(random.random() * (len(said) + 1)), _one(OWN[_one(others, random)], random))
    said += [_one(NEUTRAL, random) for _ in range(1 + (random.random() < 0.5))]
    said = [sub(r"\[(.*?)\]", lambda found: _one(found[1].split("|"), random), one) for one in dict.fromkeys(said)]
    body = " ".join([_one(OPENINGS, random), *said, _one(CLOSINGS, random)]).strip()
    return Ticket(f"T{number + 1:04d}", _capital(subject.format(**words)), body.format(**words), queue)


def _queue(share: float) -> str:
    for queue, own in SHARES.items():
        if share < own:
            return queue
        share -= own
    return queue


def _one(choices: Sequence[str], random: Random) -> str:
    """By `random()` alone, whose sequence Python promises to keep."""
    return choices[int(random.random() * len(choices))]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
