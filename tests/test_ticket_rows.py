"""The made-up tickets: the same everywhere, with identifiers, and learnable but not without mistakes."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.pipeline import make_pipeline

from tests.tickets import PROTECT, SHARES, tickets, write_csv


def test_a_seed_gives_the_same_file_everywhere(tmp_path):
    rows = tickets()
    path = write_csv(tmp_path / "tickets.csv", rows)
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:16] == "33f10ccf80e60564"
    with path.open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [*found[0]] == ["id", "subject", "body", "queue"]
    assert [row["body"] for row in found] == [row.body for row in rows]
    assert tickets(50) == rows[:50]
    assert tickets(50, seed=1) != rows[:50]


def test_three_queues_one_of_them_rare_and_identifiers_in_many_texts():
    rows = tickets()
    assert len({row.body for row in rows}) == len({row.id for row in rows}) == 600
    counts = Counter(row.queue for row in rows)
    assert {queue: round(count / 600, 2) for queue, count in counts.items()} == SHARES
    for pattern, least in zip(PROTECT, (300, 150), strict=True):
        assert sum(bool(re.search(pattern[1:-1], f"{row.subject} {row.body}")) for row in rows) >= least
    assert not any(mark in f"{row.subject}{row.body}" for row in rows for mark in "{}[]|")


def test_a_plain_model_learns_them_but_not_all():
    texts = [f"{row.subject} {row.body}" for row in tickets()]
    queues = [row.queue for row in tickets()]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10, max_iter=1000)).fit(texts[:480], queues[:480])
    larger = Counter(queues[480:]).most_common(1)[0][1] / 120
    assert larger + 0.3 < model.score(texts[480:], queues[480:]) < 0.97
    assert recall_score(queues[480:], model.predict(texts[480:]), labels=["security"], average=None)[0] < 0.95
