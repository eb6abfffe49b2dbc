"""What to call a setting of run.json in a message: by the option that sets it."""

from __future__ import annotations

from pipelines.options import verbs, whole_run
from pipelines.options.augmenting import AugmentOptions
from pipelines.options.option import Options, groups_of, options_of

VERBS: dict[str, tuple[type[Options], ...]] = {  # kind of run.json -> options of its verb, and of its stage in `run`
    "augment": (AugmentOptions, whole_run.AugmentInRun),
    "finetune": (verbs.FinetuneOptions, whole_run.FinetuneInRun),
    "distill": (verbs.DistillOptions, whole_run.DistillInRun),
    "cache-teacher": (verbs.CacheTeacherOptions,),
    "distill-general": (verbs.GeneralOptions, whole_run.CorpusStageInRun),
    "pretrain": (verbs.PretrainOptions, whole_run.CorpusStageInRun),
}
MODELS = {  # kind and role in run.json -> option of a model, where it is not called by its role
    "distill encoder": "--encoder (in `run`: --teacher-model)",
    "distill student": "--student-init",
    "distill-general student": "--student-init",
    "distill-general teacher": "--teacher (in `run`: --teacher-model)",
    "finetune encoder": "--model (in `run`: --teacher-model)",
    "pretrain tokenizer": "--tokenizer (in `run`: --teacher-model)",
}
ELSEWHERE = {  # what run.json calls otherwise than the field of the option
    "parts": "accumulation",
    "settings.by_class": "n",
    "settings.kept": "pkd.beta.kept",
    "settings.protect_more": "protect",
    "task.dev_split": "dev_split",
    "task.name": "task",
    "task.text_columns": "text",
    "task.label.column": "label",
    "task.label.kind": "label_type",
    "task.label.names": "label_names",
}


def option_of(kind: str, place: str) -> str:
    """What to call a setting in a message.

    Its place ends with the name of the option's field, behind that of its group where several groups have such a field.

    Args:
        kind: of the run: augment, finetune, distill, distill-general, cache-teacher.
        place: of the setting in run.json, such as settings.draw.n.

    Returns:
        The option, with that of `tinyaug run` where it has another name there; the place itself where there is none.
    """
    if place.startswith("models."):
        role = place.removeprefix("models.")
        return MODELS.get(f"{kind} {role}", f"--{role}")
    names = [name for verb in VERBS.get(kind, ()) if (name := _name(verb, place))]
    if not names:
        return place
    return names[0] + (f" (in `run`: {names[1]})" if names[1:] and names[1] != names[0] else "")


def _name(verb: type[Options], place: str) -> str:
    """The option at a place, and in brackets which part of its value the place is; empty for none."""
    if place not in ELSEWHERE and not place.startswith("settings."):
        return ""
    parts = ELSEWHERE.get(place, place.removeprefix("settings.")).split(".")
    first, second = parts[0], parts[:2][-1]
    own, groups = options_of(verb), {name: options_of(group) for name, group in groups_of(verb).items()}
    places = [
        (groups.get(first, {}), second),
        (own, second),
        (own, first),
        *((group, second) for group in groups.values() if len(parts) < 3),  # else it is within a value
    ]
    for options, name in places:
        if name in options:
            inner = "" if name == parts[-1] else f" ({parts[-1]})"
            return options[name].name + (" times processes" if place == "parts" else "") + inner
    return ""
