"""Settings are called by their options: all that run.json holds has one, and each is an option of its verb."""

from __future__ import annotations

import re
from dataclasses import asdict

import typer

from pipelines.augmenting.settings import JobSettings
from pipelines.cli.app import app
from pipelines.options.names import VERBS, option_of
from pipelines.run_folder.identity import differences
from tests.pipelines.jobs import done
from tests.pipelines.training.verbs import ahead, distill, finetune, general, pretrain, run_json


def options_of(verb: str) -> set[str]:
    command = typer.main.get_command(app).commands[verb]
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def leaves(content, prefix=""):
    for name, value in content.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


WITH_LIMIT = ("distill-general", "pretrain")  # in place of --train-rows


def named(kind: str, place: str) -> bool:
    """Whether a place is called by an option of its verb, and of `run`, if it has another name there."""
    said = option_of(kind, place)
    there = re.fullmatch(r"(--[a-z-]+)( times processes)?( \(\w+\))?( \(in `run`: (--[a-z-]+)\))?", said)
    return bool(there) and there[1] in options_of(kind) and {there[5], None} <= {*options_of("run"), None}


def test_all_of_an_augmentation_have_one():
    for field in leaves({"settings": asdict(JobSettings())}):
        assert named("augment", field), field


def test_all_of_training_have_one(parts, corpus, tmp_path):
    out, few = tmp_path / "out", ("--max-steps", 1)
    for command in (
        finetune(parts, out / "finetune", *few),
        distill(parts, out / "distill", *few),
        general(parts, corpus, out / "distill-general", *few),
        pretrain(parts, corpus, out / "pretrain", *few),
        ahead(parts, out / "cache-teacher", "--train-rows", 8),
    ):
        done(*command)
    for kind in sorted({*VERBS} - {"augment"}):
        found = run_json(out / kind)
        assert found["kind"] == kind
        for field in leaves({"settings": found["settings"]}):
            if field != "settings.reading.train_rows" or kind not in WITH_LIMIT:
                assert named(kind, field), field


def test_how_they_are_called():
    there, now = {"settings": {"draw": {"n": 3}}}, {"settings": {"draw": {"n": 4}}}
    assert differences(there, now, "augment") == ["--n: 3 there, 4 now"]
    assert differences(there, now) == ["settings.draw.n: 3 there, 4 now"]
    assert option_of("finetune", "settings.recipe.epochs") == "--epochs (in `run`: --epochs-finetune)"
    assert option_of("distill", "settings.student.config.hidden_size") == "--student (hidden_size)"
    assert option_of("cache-teacher", "settings.batch_rows") == "--batch-size-intermediate"
    assert option_of("distill", "inputs.train") == "inputs.train"
    assert option_of("distill", "parts") == "--accumulation times processes"
    assert option_of("augment", "task.label.kind") == "--label-type"
    assert option_of("augment", "settings.draw.duplicates") == "--unique"
    assert option_of("distill", "models.encoder") == "--encoder (in `run`: --teacher-model)"
    assert option_of("distill", "models.teacher") == "--teacher"
    assert option_of("augment", "settings.compute.precision") == "--precision (in `run`: --augment-precision)"


def test_what_follows_from_another_difference_is_not_told():
    tasks = [{"task": {"name": name, "label": {"column": name}}} for name in ("sst2", "cola")]
    assert differences(*tasks, "augment") == ['--task: "sst2" there, "cola" now']
    students = [{"settings": {"student": {"config": {"layers": n}, "layer_map": [4] * n}}} for n in (2, 3)]
    assert differences(*students, "distill") == ["--student (layers): 2 there, 3 now"]


def test_tinybert_is_called_by_its_name_though_run_json_leaves_it_out():
    there, now = {"settings": {"losses": {}}}, {"settings": {"method": "distilbert"}}
    for kind in ("distill", "cache-teacher", "distill-general"):
        assert differences(there, now, kind) == ['--method: "tinybert" there, "distilbert" now']
        assert differences(now, there, kind) == ['--method: "distilbert" there, "tinybert" now']
