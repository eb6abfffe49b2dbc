"""Options that could have no effect are refused, and a value out of its range names the one option it was given by."""

from __future__ import annotations

import pytest

from tests.pipelines.jobs import done, refused
from tests.pipelines.training.verbs import distill, finetune, general, metrics, run


@pytest.mark.parametrize("verb", ["distill", "general", "run"])
@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--rebuild-cache",), "--rebuild-cache: expected --cache other than off beside it"),
        (("--cache-dir", "cache"), "--cache-dir: expected --cache other than off beside it"),
        (
            ("--cache-budget", "1GB", "--rebuild-cache"),
            "--cache-budget and --rebuild-cache: expected --cache other than",
        ),
    ],
)
def test_a_cache_that_is_off(parts, tmp_path, verb, more, said):
    commands = {
        "distill": distill(parts, tmp_path / "out"),
        "general": general(parts, parts.data / "train.tsv", tmp_path / "out"),
        "run": run(parts, tmp_path / "out"),
    }
    assert said in refused([*commands[verb], "--cache", "off", *more])


def test_a_run_without_a_cache_needs_no_folder_for_it(parts, tmp_path):
    done(*run(parts, tmp_path / "out", "--cache", "off", "--max-steps", 1))
    assert not list((tmp_path / "out").rglob("cache.json"))


@pytest.mark.parametrize("option", ["--epochs-finetune", "--batch-size-finetune", "--lr-finetune", "all"])
def test_a_given_teacher_is_not_fine_tuned(parts, tmp_path, option):
    given = {"--epochs-finetune": "1", "--batch-size-finetune": "8", "--lr-finetune": "0.1"}
    command = ["run", "--task", "sst2", "--data", str(parts.data), "--out", str(tmp_path / "out"), "--teacher", "t"]
    typed = given if option == "all" else {option: given[option]}
    said = refused([*command, *(word for pair in typed.items() for word in pair)])
    assert f"{' and '.join(typed)}: expected no --teacher, which is not fine-tuned, beside" in said
    said = refused([*command, "--teacher-model", "m"])
    assert "--teacher-model m: expected no --teacher, which is not fine-tuned, or --student-init first-layers" in said


def test_the_demo_s_own_epochs_are_no_contradiction(parts, tmp_path):
    said = refused(["run", "--task", "sst2", "--demo", "--out", str(tmp_path / "out"), "--teacher", "/nowhere/t"])
    assert "teacher: expected a model folder" in said


def test_a_revision_of_no_teacher(parts, tmp_path):
    command = ["run", "--task", "sst2", "--data", str(parts.data), "--out", str(tmp_path / "out")]
    assert "expected --teacher or --teacher-model" in refused([*command, "--teacher-revision", "main"])


OF_LAYERS = ("--losses", "hidden,attention", "--layer-weights", "1,1,1,1", "--heads", "mean", "--layer-map", "top")


@pytest.mark.parametrize("verb", [distill, run])
@pytest.mark.parametrize(
    ("stage", "more", "named"),
    [
        ("intermediate", OF_LAYERS[:2], "--losses"),
        ("intermediate", OF_LAYERS[2:4], "--layer-weights"),
        ("intermediate", OF_LAYERS[4:6], "--heads mean"),
        ("intermediate", OF_LAYERS[6:], "--layer-map top"),
        ("intermediate", OF_LAYERS, "--losses and --heads mean"),
        ("prediction", ("--temperature", "2"), "--temperature"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_a_stage_that_is_left_out_has_no_options(parts, tmp_path, verb, stage, more, named):
    command = verb(parts, tmp_path / "out", f"--epochs-{stage}", 0, *more)
    assert f"{named}: expected --epochs-{stage} above 0 beside" in refused(command)
    assert not (tmp_path / "out").exists()


def test_options_that_the_other_stage_heeds_are_taken(parts, tmp_path):
    without = ("--epochs-intermediate", 0, "--max-steps", 1)
    half = ("--student", "half", "--student-init", "teacher-layers", "--layer-map", "top")
    done(*distill(parts, tmp_path / "a", *without, *half))
    assert metrics(tmp_path / "a")["layer_map"] == [3, 4]
    done(*distill(parts, tmp_path / "b", *without, "--layer-weights", "1,1,1,3", "--temperature", 2))


def test_a_default_that_was_typed_is_no_exception(parts, corpus, tmp_path):
    said = "--cosine-weight: expected --method distilbert beside it, else it has no effect"
    assert said in refused(general(parts, corpus, tmp_path / "out", "--cosine-weight", 1))
    said = "--alpha: expected --method bert-pkd beside it, else it has no effect"
    assert said in refused(distill(parts, tmp_path / "out", "--alpha", 0.7))


def test_labels_of_a_custom_task_need_its_files(parts, tmp_path):
    own = ["--task", "custom", "--text", "sentence"]
    command = [*distill(parts, tmp_path / "out", "--max-steps", "1"), *own]
    at = command.index("--data")
    del command[at : at + 2]
    for more in (("--label", "label"), ("--label", "label", "--label-names", "a,b,c", "--label-type", "class")):
        said = "--label label: expected --data with the task's own files beside it, found none"
        assert said in refused([*command, *more])
        assert said in refused(["evaluate", *own, "--model", str(parts.teacher), *more])
    assert not (tmp_path / "out").exists()
    done(*command)


def test_a_temperature_of_no_loss(parts, corpus, tmp_path):
    command = general(parts, corpus, tmp_path / "out", "--temperature", 2, "--max-steps", 1)
    assert "--temperature: expected --mlm-soft beside it" in refused(command)
    assert "--temperature: expected --mlm-soft beside it" in refused([*command, "--mlm-weight", "1"])
    done(*command, "--mlm-soft", 1)


def test_more_parts_than_examples(parts, tmp_path):
    said = "--accumulation: expected at most 8, the examples of a step, found 9"
    out = tmp_path / "out"
    assert said in refused(finetune(parts, out, "--accumulation", 9))
    assert said in refused(distill(parts, out, "--batch-size-prediction", 8, "--accumulation", 9))
    assert said in refused(general(parts, parts.data / "train.tsv", out, "--batch-size", 8, "--accumulation", 9))
    one_stage = ("--batch-size-prediction", 64, "--epochs-intermediate", 0, "--accumulation", 33)
    done(*distill(parts, out, *one_stage, "--max-steps", 1))


@pytest.mark.parametrize(
    ("verb", "more", "said"),
    [
        (finetune, ("--lr", "nan"), "--lr: expected a number between 0 and 1, found nan"),
        (finetune, ("--epochs", "0"), "--epochs: expected a number of at least 1, found 0"),
        (finetune, ("--batch-size", "0"), "--batch-size: expected a number of at least 1, found 0"),
        (finetune, ("--accumulation", "0"), "--accumulation: expected a number of at least 1, found 0"),
        (finetune, ("--checkpoint-every", "0"), "--checkpoint-every: expected a number of at least 1, found 0"),
        (distill, ("--lr-intermediate", "2"), "--lr-intermediate: expected a number between 0 and 1, found 2"),
        (distill, ("--lr-prediction", "0"), "--lr-prediction: expected a number between 0 and 1, found 0"),
        (distill, ("--epochs-prediction", "-1"), "--epochs-prediction: expected a number of at least 0, found -1"),
        (
            distill,
            ("--batch-size-intermediate", "0"),
            "--batch-size-intermediate: expected a number of at least 1, found 0",
        ),
        (run, ("--lr-finetune", "-1"), "--lr-finetune: expected a number between 0 and 1, found -1"),
        (run, ("--epochs-finetune", "0"), "--epochs-finetune: expected a number of at least 1, found 0"),
        (
            run,
            ("--train-precision", "fp8"),
            "--train-precision: expected one of auto, fp32, tf32, bf16, fp16, found 'fp8'",
        ),
        (
            run,
            ("--augment-precision", "fp8"),
            "--augment-precision: expected one of auto, fp32, tf32, bf16, fp16, found 'fp8'",
        ),
        (run, ("--train-precision", "fp16"), "--train-precision fp16: expected a GPU, found --device cpu"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_option_is_named(parts, tmp_path, verb, more, said):
    assert refused(verb(parts, tmp_path / "out", *more)).startswith(f"tinyaug: error: {said}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
def test_a_subset_larger_than_the_whole_is_told(parts, tmp_path, dry_run):
    said = "training rows, fewer than the 1,000 to learn from: all of them are used"
    for verb, rows in ((finetune, 60), (distill, 240)):
        out = tmp_path / verb.__name__
        ran = done(*verb(parts, out, "--train-rows", 1000, "--max-steps", 1, *dry_run))
        assert f"there are {rows} {said}" in ran.out + ran.err
        assert said not in done(*verb(parts, tmp_path / f"{out}2", "--train-rows", 20, "--max-steps", 1, *dry_run)).err
    if not dry_run:
        assert metrics(tmp_path / "distill")["stages"]["prediction"]["rows"] == 240


def test_a_layer_map_that_does_not_rise_is_told(parts, tmp_path):
    def planned(layers: str) -> str:
        return done(*distill(parts, tmp_path / "d", "--layer-map", layers, "--dry-run")).out

    said = "warning: --layer-map {}: teacher layers usually rise"
    assert said.format("4,2") in done(*distill(parts, tmp_path / "s", "--layer-map", "4,2", "--max-steps", 1)).err
    assert said.format("4,2") in planned("4,2")
    assert said.format("2,2") in planned("2,2")
    assert "usually rise" not in planned("1,4")


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
def test_a_profile_s_rows_are_nobody_s_mistake(parts, tmp_path, dry_run):
    """The quick profile's 16,000 are more than there are, but nobody asked for them."""
    for verb in (finetune, distill):
        ran = done(*verb(parts, tmp_path / verb.__name__, "--profile", "quick", "--max-steps", 1, *dry_run))
        assert "fewer than the" not in ran.out + ran.err


@pytest.mark.parametrize("verb", [distill, run])
@pytest.mark.parametrize("stage", ["intermediate", "prediction"])
def test_how_a_stage_that_is_left_out_shall_train(parts, tmp_path, verb, stage):
    given = {f"--batch-size-{stage}": "8", f"--lr-{stage}": "0.1"}
    for typed in (*([option] for option in given), list(given)):
        more = [word for option in typed for word in (option, given[option])]
        said = refused(verb(parts, tmp_path / "out", f"--epochs-{stage}", 0, *more))
        assert f"{' and '.join(typed)}: expected --epochs-{stage} above 0 beside" in said
    assert not (tmp_path / "out").exists()


def test_the_demo_s_own_rates_are_no_contradiction(parts, tmp_path):
    command = ["run", "--task", "sst2", "--demo", "--out", str(tmp_path / "out"), "--teacher", "/nowhere/t"]
    assert "teacher: expected a model folder" in refused([*command, "--epochs-intermediate", "0"])


@pytest.mark.parametrize(
    ("more", "stage"),
    [
        (("--layer-weights", "0,0,0,0"), "intermediate"),
        (("--layer-weights", "0,0,0,1"), "intermediate"),
        (("--layer-weights", "1,0,0,1", "--losses", "hidden,attention"), "intermediate"),
        (("--layer-weights", "0,1,1,1", "--losses", "embedding"), "intermediate"),
        (("--layer-weights", "1,1,1,0"), "prediction"),
    ],
)
def test_a_loss_of_nothing(parts, tmp_path, more, stage):
    said = refused(distill(parts, tmp_path / "out", *more))
    assert f"--layer-weights {more[1]}: expected a weight above 0 of a loss that the {stage} stage has" in said
    assert f"--epochs-{stage} 0" in said
    assert not (tmp_path / "out").exists()


def test_a_loss_of_something(parts, tmp_path):
    weights = ("--max-steps", 1, "--layer-weights")
    done(*distill(parts, tmp_path / "a", *weights, "0,1,0,0", "--epochs-prediction", 0))
    done(*distill(parts, tmp_path / "b", *weights, "0,0,0,2", "--epochs-intermediate", 0))
    done(*distill(parts, tmp_path / "c", *weights, "1,0,0,1", "--losses", "embedding"))


def test_a_general_loss_of_nothing(parts, corpus, masked, tmp_path):
    command = general(parts, corpus, tmp_path / "g", "--layer-weights", "0,0,0,1")
    said = refused(command)
    assert "that the general stage has" in said
    assert "--mlm-weight" in said
    assert not (tmp_path / "g").exists()
    done(*command, "--mlm-weight", "1", "--max-steps", "1")


def test_heads_without_attention(parts, corpus, tmp_path):
    said = "--heads mean: expected attention among --losses beside it, else it has no effect; change that or leave --"
    for verb in (distill, run, lambda parts, *more: general(parts, corpus, *more)):
        assert said in refused(verb(parts, tmp_path / "out", "--losses", "hidden", "--heads", "mean"))
    assert not (tmp_path / "out").exists()
    done(*general(parts, corpus, tmp_path / "out", "--losses", "attention", "--heads", "mean", "--max-steps", 1))


def test_the_weight_of_a_prediction_that_there_is_not(parts, corpus, tmp_path):
    command = general(parts, corpus, tmp_path / "out", "--max-steps", 1, "--layer-weights")
    assert "--layer-weights: expected 0 or 1 as the last" in refused([*command, "1,1,1,3"])
    assert "--layer-weights: expected 4" in refused([*command, "1,1,3"])
    assert not (tmp_path / "out").exists()
    done(*command, "3,1,1,0")


def test_the_column_of_plain_text(parts, corpus, tmp_path):
    command = general(parts, corpus, tmp_path / "out", "--max-steps", 1)
    assert "--text body: expected JSON lines, Parquet or a data set on the hub" in refused([*command, "--text", "body"])
    assert not (tmp_path / "out").exists()
    done(*command, "--text", "text")
