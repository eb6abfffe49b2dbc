"""Settings are called by their options: all that run.json holds has one, and each is an option of its verb."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import typer
from pipelines.augmenting.setting_options import IN_RUN, OPTIONS, option_of

from pipelines.augmenting.settings import JobSettings, differences
from pipelines.cli.app import app
from tests.pipelines.jobs import done
from tests.pipelines.training.conftest import corpus, masked, parts
from tests.pipelines.training.test_cache import ahead
from tests.pipelines.training.verbs import distill, finetune, general, run_json

__all__ = ["corpus", "masked", "parts"]


def options_of(verb: str) -> set[str]:
    command = typer.main.get_command(app).commands[verb]
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def leaves(content, prefix=""):
    for name, value in content.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


@pytest.mark.parametrize("kind", sorted(OPTIONS))
def test_each_is_an_option_of_its_verb(kind):
    assert set(OPTIONS[kind].values()) <= options_of(kind)


def test_each_is_an_option_of_a_run():
    for kind in ("augment", "finetune", "distill"):
        assert {IN_RUN.get((kind, option), option) for option in OPTIONS[kind].values()} <= options_of("run")


def test_all_of_an_augmentation_have_one():
    for field in leaves({"settings": asdict(JobSettings())}):
        assert option_of("augment", field).startswith("--"), field


def test_all_of_training_have_one(parts, corpus, tmp_path):
    out, few = tmp_path / "out", ("--max-steps", 1)
    for command in (
        finetune(parts, out / "finetune", *few),
        distill(parts, out / "distill", *few),
        general(parts, corpus, out / "distill-general", *few),
        ahead(parts, out / "cache-teacher", "--train-rows", 8),
    ):
        done(*command)
    for kind in sorted({*OPTIONS} - {"augment"}):
        found = run_json(out / kind)
        assert found["kind"] == kind
        for field in leaves({"settings": found["settings"]}):
            if (kind, field) != ("distill-general", "settings.reading.train_rows"):  # it has --limit
                assert option_of(kind, field).startswith("--"), field


def test_how_they_are_called():
    there, now = {"settings": {"draw": {"n": 3}}}, {"settings": {"draw": {"n": 4}}}
    assert differences(there, now, "augment") == ["--n: 3 there, 4 now"]
    assert differences(there, now) == ["settings.draw.n: 3 there, 4 now"]
    assert option_of("finetune", "settings.recipe.epochs") == "--epochs (in `run`: --epochs-finetune)"
    assert option_of("distill", "settings.student.config.hidden_size") == "--student (hidden_size)"
    assert option_of("cache-teacher", "settings.batch_rows") == "--batch-size-intermediate"
    assert option_of("distill", "inputs.train") == "inputs.train"


def test_another_task_is_one_difference():
    tasks = [{"task": {"name": name, "label": {"column": name}}} for name in ("sst2", "cola")]
    assert differences(*tasks, "augment") == ['--task: "sst2" there, "cola" now']
