"""Words that stay, through whole jobs: what is counted, what is said, and the preset for people's own texts."""

from __future__ import annotations

import json

import pytest

from tests.fixtures import SPECIAL, save_tiny_masked_lm
from tests.pipelines.jobs import Inputs, done, manifest, rebuilt, rows, variants

LOCAL = ("--engine", "local", "--workers", "1")
PROTECT = ("--protect", "the", "--protect", r"/film \w+/", "--protect", "quite by", "--protect", "nowhere")


@pytest.fixture(scope="module")
def tickets(tmp_path_factory):
    """Texts with everything that a tokenizer takes apart, blanks and marks included."""
    path = tmp_path_factory.mktemp("tickets") / "data.jsonl"
    texts = [
        "the printer at 10.20.30.40 doesn't print; see TCK-4711 (https://example.org/a_(b)?x=1).",
        "\tTwo  bad films,\r\n  and one good-bad plot 🙂 at 12:30…\n",
        "[COL] name [VAL] a small bird <user> $NAME$ \u0001cafe\u0301",
        "she isn't with the U.S. team, mail help@example.org now",
    ]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


def edits(run):
    return [[edit["original"] for edit in row["edits"]] for row in rows(run)]


@pytest.mark.parametrize("workers", [1, 2])
def test_protected_words_are_counted_by_entry_whoever_works(inputs, tmp_path, workers):
    ran = done(*inputs.augment(tmp_path, *PROTECT, "--shard-rows", 10, "--workers", workers))
    told = manifest(tmp_path, "candidates")
    texts = {text for texts in variants(tmp_path).values() for text in texts[:1]}
    phrase = sum(text.count("quite by") for text in texts)
    the = sum(text.split().count("the") for text in texts)
    assert told["protected"]["the"] == the > 5
    assert told["protected"]["quite by"] == 2 * phrase
    assert told["protected"]["nowhere"] == 0
    assert list(told["protected"]) == list(PROTECT[1::2])
    assert told["counts"]["protected_words"] >= the
    assert manifest(tmp_path)["protected"] == {}
    assert f"{told['counts']['protected_words']:,} protected words" in ran.out
    assert "--protect: found no word for nowhere; " in ran.out


def test_context_running_counts_them_too(inputs, tmp_path):
    done(*inputs.augment(tmp_path / "exact", *PROTECT))
    ran = done(*inputs.augment(tmp_path / "running", *PROTECT, "--preset", "algorithm1"))
    told = manifest(tmp_path / "running")
    rows_with = sum(texts[0].split().count("the") for texts in variants(tmp_path / "exact").values())
    assert told["protected"]["the"] == rows_with  # of examples, equal texts and all
    assert told["counts"]["protected_words"] >= rows_with
    assert "--protect: found no word for nowhere; " in ran.out


def test_resample_protects_what_the_run_did_not(inputs, finished, tmp_path):
    ran = done("resample", "--candidates", finished, "--out", tmp_path / "drawn", *PROTECT, *LOCAL)
    done(*inputs.augment(tmp_path / "direct", *PROTECT))
    assert rows(tmp_path / "drawn") == rows(tmp_path / "direct")
    assert rows(tmp_path / "drawn") != rows(finished)
    told = manifest(tmp_path / "drawn")
    assert told["settings"]["protect_more"] == list(PROTECT[1::2])
    assert told["protected"]["nowhere"] == 0
    assert told["protected"]["the"] == sum(texts[0].split().count("the") for texts in variants(finished).values())
    assert "--protect: found no word beyond those that the first run kept for nowhere; " in ran.out


def test_what_the_run_protects_is_not_missed(inputs, tmp_path):
    done(*inputs.augment(tmp_path / "run", "--protect", "the"))
    ran = done("resample", "--candidates", tmp_path / "run", "--out", tmp_path / "drawn", "--protect", "the", *LOCAL)
    assert "--protect" not in ran.out
    assert rows(tmp_path / "drawn") == rows(tmp_path / "run")


def test_resample_goes_on_with_the_same_words_alone(finished, tmp_path):
    command = ("resample", "--candidates", finished, "--out", tmp_path / "out", *LOCAL)
    done(*command, "--protect", "the")
    assert "everything was done already" in done(*command, "--protect", "the").out


def test_own_texts(inputs, tickets, tmp_path):
    ran = done(*inputs.custom(tickets, tmp_path, "--preset", "texts", "--n", 10, "--p", 0.9))
    by_source = {}
    for row in rows(tmp_path):
        by_source.setdefault(row["source_idx"], []).append(row)
    for original, *drawn in by_source.values():
        texts = [row["text"] for row in (original, *drawn)]
        assert len(set(texts)) == len(texts) > 3
        for row in drawn:
            assert rebuilt(row, original, "text") == row["text"]
    for number, kept in (
        (0, ["10.20.30.40", "doesn't", "TCK-4711", "(https://example.org/a_(b)?x=1)."]),
        (1, ["\t", "  ", ",\r\n  ", "good-bad", " 🙂 ", "12:30…\n"]),
        (2, ["[COL]", "[VAL]", "<user>", "$NAME$", " \u0001"]),
        (3, ["isn't", "U.S.", "help@example.org"]),
    ):
        for row in by_source[number]:
            assert [mark for mark in kept if mark not in row["text"]] == []
    whole = manifest(tmp_path, "candidates")["counts"]["whole_words"]
    assert f"{whole:,} words written together or with digits" in ran.out


def test_without_it_they_are_taken_apart(inputs, tickets, tmp_path):
    # Otherwise the test above would say nothing.
    done(*inputs.custom(tickets, tmp_path, "--preset", "texts", "--no-keep-whole", "--p", 0.9))
    replaced = {word for words in edits(tmp_path) for word in words}
    assert {"10", "t", "u"} <= {word.lower() for word in replaced}


def test_texts_of_another_language_are_told(inputs, tmp_path):
    data = tmp_path / "data.csv"
    data.write_text("text\nпотяг знову запізнився сьогодні\nїжа холодна film\n", encoding="utf-8")
    for preset in ("paper", "algorithm1"):
        ran = done(*inputs.custom(data, tmp_path / preset, "--preset", preset))
        assert "only 14.3% of the 7 eligible words have candidates: the texts seem to be in a language" in ran.out
    assert "have candidates" not in done(*inputs.augment(tmp_path / "known")).out


@pytest.mark.parametrize(
    ("words", "said"),
    [("gloomily stormily film movie", None), ("gloomily stormily crankily film", "only 25.0% of the 4 eligible words")],
)
def test_words_of_several_pieces_lack_vectors_not_a_language(inputs, tmp_path, words, said):
    data = tmp_path / "data.csv"
    data.write_text(f"text\n{words}\n", encoding="utf-8")
    ran = done(*inputs.custom(data, tmp_path / "run", "--glove", "none"))
    assert "seem to be in a language" not in ran.out
    assert ("have candidates" in ran.out) == bool(said)
    if said:
        assert f"{said} have candidates: words of several pieces have none without vectors" in ran.out


@pytest.mark.parametrize("told", [None, True, False])
def test_a_cased_vocabulary_that_is_lower_cased_is_told(inputs, tmp_path, told):
    words = [*SPECIAL, *"The the Berlin berlin film Film is Is . ##s".split()]
    folder = save_tiny_masked_lm(tmp_path / "mlm", vocab_size=len(words))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    if told is not None:
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": told})
        )
    cased = Inputs(inputs.data, folder, inputs.glove)
    ran = done(*cased.augment(tmp_path / "run", "--limit", 4))
    warned = "its vocabulary is cased, but its tokenizer lower-cases all it reads" in ran.err
    assert warned == (told is not False)
    assert ("for nothing says otherwise" in ran.err) == (told is None)


def test_a_model_whose_case_agrees_is_not_warned_of(inputs, tmp_path):
    assert "warning" not in done(*inputs.augment(tmp_path, "--limit", 4)).err


def test_counts_do_not_depend_on_shards(inputs, tmp_path):
    told = []
    for shards in (7, 100):
        done(*inputs.augment(tmp_path / f"{shards}", *PROTECT, "--shard-rows", shards, "--preset", "algorithm1"))
        told.append((manifest(tmp_path / f"{shards}")["protected"], manifest(tmp_path / f"{shards}")["counts"]))
    assert told[0] == told[1]
