"""Experiments: from config.yaml to the runs it means, without importing torch.

An *experiment* compares *variants* of a task on *subjects* (signals) at a *scale*; a *run* is one
trained model = (experiment, subject, variant, seed). Values of a run's recipe come, later ones
winning, from the recipe's defaults, the scale's budget, the variant, `per_scale` (what one variant
needs at one scale, such as a baseline's own best learning rate), and `per_subject`. A variant may
be of another task (`others`), with that task's recipe and a budget of its own.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from nir.configuration import COLLECTIONS, SCENES
from nir.data.registry import registry
from nir.errors import InputError, unknown_name
from nir.files import canonical_json
from nir.fingerprints import fingerprint
from nir.recipes.base import Recipe
from nir.tasks import TASKS, task_entry


@dataclass(frozen=True, kw_only=True)
class Run:
    """One model to train."""

    experiment: str
    task: str
    subject: str
    subject_name: str
    group: str
    variant: str
    seed: int
    recipe: Recipe
    photos: bool = False
    meshes: bool = False

    @property
    def place(self) -> str:
        """The run's folder below results/<scale>."""
        return f"{self.experiment}/{self.subject_name}/{self.variant}/seed{self.seed}"

    @property
    def dataset(self) -> str | None:
        """The registry's name of the subject, or None for a file of the user's own."""
        return self.subject if self.subject in registry() else None

    @property
    def datasets(self) -> tuple[str, ...]:
        """All data sets of the registry that are needed: the recipe may name some, too."""
        names = (self.subject, *self.recipe.other_subjects().values())
        return tuple(dict.fromkeys(name for name in names if name in registry()))

    @property
    def trained_on(self) -> str:
        """What training reads: the subject, or the scene or collection that is made of it first."""
        if self.photos:
            return f"{SCENES}/{self.subject_name}"
        return f"{COLLECTIONS}/{self.subject_name}" if self.meshes else self.subject

    @functools.cached_property
    def recipe_json(self) -> str:
        """The recipe in its one spelling; it travels as a parameter of rules."""
        return canonical_json(self.recipe.to_dict())


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One entry of config.yaml, at one scale."""

    name: str
    task: str
    title: str
    about: str
    labels: Mapping[str, str]
    headline: tuple[str, ...]
    figures: tuple[str, ...]
    media: tuple[str, ...]
    panels: tuple[str, ...]
    mesh: bool
    viewer: bool
    claims: tuple[Mapping[str, Any], ...]
    runs: tuple[Run, ...]

    @property
    def chapter(self) -> str:
        """The part of the name before the slash."""
        return self.name.split("/")[0]

    @property
    def viewers(self) -> tuple[Run, ...]:
        """The runs that a browser shows: those of the first seed, if any."""
        return tuple(run for run in self.runs if self.viewer and run.seed == 0)

    def plan(self) -> dict[str, Any]:
        """What evaluation, tables and figures need to know, ready for JSON."""
        return {
            "name": self.name,
            "task": self.task,
            "title": self.title,
            "about": self.about,
            "headline": list(self.headline),
            "figures": list(self.figures),
            "media": list(self.media),
            "panels": list(self.panels),
            "viewers": [run.place for run in self.viewers],
            "claims": [dict(claim) for claim in self.claims],
            "runs": [
                {
                    "place": run.place,
                    "subject": run.subject_name,
                    "group": run.group,
                    "variant": run.variant,
                    "task": run.task,
                    "label": self.labels.get(run.variant, run.variant.replace("_", " ")),
                    "seed": run.seed,
                    "recipe": run.recipe.to_dict(),
                }
                for run in self.runs
            ],
        }


def training_code(task: str) -> str:
    """Fingerprint of the code that trains and predicts a task."""
    entry = task_entry(task)
    recipe_module = entry.recipe.partition(":")[0]
    return fingerprint(entry.module, recipe_module, "nir.building", "nir.training")


def trained_alike(experiments: Mapping[str, Experiment]) -> dict[str, str]:
    """Places of runs whose model another run trains, with that run's place.

    Runs of the same task, subject, seed and values of training have the same model. The first of
    them, in the configuration's order, trains it, whatever the others ask of it.
    """
    first: dict[str, str] = {}
    alike: dict[str, str] = {}
    for run in (run for experiment in experiments.values() for run in experiment.runs):
        identity = [run.task, run.trained_on, run.seed, run.recipe.of_training()]
        origin = first.setdefault(canonical_json(identity), run.place)
        if origin != run.place and run.recipe.steps:
            alike[run.place] = origin
    return alike


def experiments_of(config: Mapping[str, Any]) -> dict[str, Experiment]:
    """Expand all experiments of a configuration at its scale."""
    experiments = {name: _experiment(name, config) for name in config["experiments"]}
    _check_what_is_made_first(run for experiment in experiments.values() for run in experiment.runs)
    return {name: experiment for name, experiment in experiments.items() if experiment.runs}


def _check_what_is_made_first(runs: Iterable[Run]) -> None:
    """Refuse two subjects that would become one scene or collection: one of them would be lost."""
    first: dict[str, Run] = {}
    for run in (run for run in runs if run.trained_on != run.subject):
        other = first.setdefault(run.trained_on, run)
        if Path(run.subject) != Path(other.subject):
            raise InputError(
                f"config.yaml: experiments.{run.experiment}.subjects: {run.subject} would become "
                f"{run.trained_on}, as {other.subject} of {other.experiment} does; rename one"
            )


def _experiment(name: str, config: Mapping[str, Any]) -> Experiment:
    entry = config["experiments"][name]
    scale = config["scale"]
    where = f"config.yaml: experiments.{name}"
    _check_task(entry, where)
    _check_variants(entry, where)
    runs = tuple(_runs(name, entry, config, where))
    folders = [run.place for run in runs]
    if len(set(folders)) < len(folders):
        raise InputError(f"{where}.subjects: two subjects share a file name; rename one")
    return Experiment(
        name=name,
        task=entry["task"],
        title=entry.get("title", name),
        about=entry.get("about", ""),
        labels=entry.get("labels", {}),
        headline=tuple(entry.get("headline", ())),
        figures=tuple(entry.get("figures", ())),
        media=tuple(entry.get("media", ())),
        panels=tuple(entry.get("panels", ())),
        mesh=entry.get("mesh", False),
        viewer=entry.get("viewer", False),
        claims=tuple(c for c in entry.get("claims", ()) if scale in c.get("scales", [scale])),
        runs=runs,
    )


def _check_task(entry: Mapping[str, Any], where: str) -> None:
    """Name tasks, and the keys of every scale's budget, that do not exist."""
    others = entry.get("others", {})
    for place, part in {
        where: entry,
        **{f"{where}.others.{v}": o for v, o in others.items()},
    }.items():
        if part["task"] not in TASKS:
            raise InputError(f"{place}.task: {unknown_name('task', part['task'], TASKS)}")
        recipe_class = task_entry(part["task"]).recipe_class()
        for scale, budget in part.get("budget", {}).items():
            recipe_class.from_dict(budget, where=f"{place}.budget.{scale}")


def _check_variants(entry: Mapping[str, Any], where: str) -> None:
    """Name the first variant that is spoken of and does not exist."""
    named = [(key, variant) for key in ("labels", "others") for variant in entry.get(key, {})]
    for scale, variants in entry.get("select", {}).items():
        named += [(f"select.{scale}", variant) for variant in variants]
    for pattern, by_variant in entry.get("per_subject", {}).items():
        named += [(f"per_subject.{pattern}", variant) for variant in by_variant]
    for scale, by_variant in entry.get("per_scale", {}).items():
        named += [(f"per_scale.{scale}", variant) for variant in by_variant]
    for claim in entry.get("claims", ()):
        variants = (claim.get("better", ""), *claim.get("than", ()))
        named += [("claims", variant) for variant in variants if variant]
    for place, variant in named:
        if variant not in entry["variants"]:
            known = unknown_name("variant", variant, entry["variants"])
            raise InputError(f"{where}.{place}: {known}")


def _runs(name: str, entry: Mapping[str, Any], config: Mapping[str, Any], where: str):
    scale = config["scale"]
    variants = entry["variants"]
    chosen = entry.get("select", {}).get(scale, list(variants))
    for subject in _at_scale(entry["subjects"], scale, f"{where}.subjects"):
        subject_name, group = _subject_name(subject), _group(subject, entry)
        for variant in chosen:
            recipe = _recipe(entry, scale, variant, subject, where)
            for key, other in recipe.other_subjects().items():
                _check_subject(other, f"{where}: {key} of {variant}")
            # Seeds tell how trainings scatter; what trains nothing runs once.
            for seed in range(config["seeds"][scale] if recipe.steps else 1):
                yield Run(
                    experiment=name,
                    task=_part_of(entry, variant)["task"],
                    subject=subject,
                    subject_name=subject_name,
                    group=group,
                    variant=variant,
                    seed=seed,
                    recipe=recipe,
                    photos=entry.get("photos", False),
                    meshes=entry.get("meshes", False) and _is_unprepared(subject),
                )


def _is_unprepared(subject: str) -> bool:
    """Whether shapes are still bare meshes: generated sets and prepared folders are not."""
    if subject in registry():
        return registry()[subject].source != "generated"
    return not (Path(subject) / "collection.json").is_file()


def _at_scale(subjects: Any, scale: str, where: str) -> list[str]:
    """Subjects are a list for all scales, or one list a scale."""
    chosen = subjects if isinstance(subjects, list) else subjects.get(scale, [])
    for subject in chosen:
        _check_subject(subject, where)
    return chosen


def _check_subject(subject: str, where: str) -> None:
    """Raise an `InputError` unless the registry knows it, or it is a path that exists."""
    if not is_path(subject) and subject not in registry():
        raise InputError(f"{where}: {unknown_name('subject', subject, registry())}")
    if is_path(subject) and not Path(subject).exists():
        raise InputError(f"{where}: {subject}: no such file; give a path that exists")


def _part_of(entry: Mapping[str, Any], variant: str) -> Mapping[str, Any]:
    """Where a variant's task and budget stand: in the entry, or with its others."""
    return entry.get("others", {}).get(variant, entry)


def _recipe(entry: Mapping[str, Any], scale: str, variant: str, subject: str, where: str) -> Recipe:
    """Merge the sources of a recipe; each is checked alone, so that errors name the right key."""
    part = _part_of(entry, variant)
    recipe_class = task_entry(part["task"]).recipe_class()
    values = {**part.get("budget", {}).get(scale, {}), **entry["variants"][variant]}
    recipe = recipe_class.from_dict(values, where=f"{where}.variants.{variant}")
    if changes := entry.get("per_scale", {}).get(scale, {}).get(variant, {}):
        values.update(changes)
        recipe = recipe_class.from_dict(values, where=f"{where}.per_scale.{scale}.{variant}")
    for pattern, by_variant in entry.get("per_subject", {}).items():
        if variant in by_variant and fnmatch.fnmatch(_subject_name(subject), pattern):
            values.update(by_variant[variant])
            recipe = recipe_class.from_dict(values, where=f"{where}.per_subject.{variant}")
    return recipe


def _group(subject: str, entry: Mapping[str, Any]) -> str:
    for group, patterns in entry.get("groups", {}).items():
        if any(fnmatch.fnmatch(_subject_name(subject), pattern) for pattern in patterns):
            return group
    return ""


def is_path(subject: str) -> bool:
    """Whether a subject is a file or folder of the user's own: it has a separator or a suffix.

    >>> is_path("photos/cat.jpg"), is_path("astronaut")
    (True, False)
    """
    return "/" in subject or bool(PurePosixPath(subject).suffix)


def _subject_name(subject: str) -> str:
    """A name for folders and tables: the registry's, or a path's last part without suffix."""
    if not is_path(subject):
        return subject
    return re.sub(r"[^A-Za-z0-9_-]+", "-", PurePosixPath(subject).stem) or "subject"
