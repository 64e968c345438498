# What the rules share: the experiments of this configuration, and which files a run needs.
import atexit
import contextlib
import functools
import hashlib
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.settings.types import DeploymentMethod

from nir.configuration import COLLECTIONS, SCENES, load_configuration
from nir.data.registry import registry
from nir.errors import InputError
from nir.experiments import experiments_of, trained_alike, training_code
from nir.files import bring_back_from_the_future, canonical_json
from nir.fingerprints import fingerprint
from nir.metrics import METRIC_MODULES
from nir.ownership import OwnedElsewhereError, owned
from nir.resources import is_short, training_memory_mb, training_minutes

# Rules call `nir` from the environment that runs Snakemake, activated or not; in a container, that
# of the image.
if DeploymentMethod.APPTAINER not in workflow.deployment_settings.deployment_method:
    shell.prefix(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")


def load_experiments():
    """All experiments of the configuration; what is wrong with it is one line."""
    folder = Path(workflow.basedir)
    try:
        # What `configfile:` does, but by libyaml; every job of a cluster reads it, too.
        replaced = workflow.config_settings.replace_workflow_config
        path = None if replaced else folder / "config.yaml"
        config.update(load_configuration(path, config, folder=folder))
        return experiments_of(config)
    except InputError as error:
        logger.error(f"nir: {error}")
        sys.exit(2)


def hold_results_folder():
    """Let one Snakemake at a time write results, on all machines that share this folder.

    Killed, it leaves nothing that stops the next one: on the same machine its lock died with it,
    elsewhere it is taken over once it has shown no sign of life for two minutes.
    """
    try:
        Path("results").mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir="results"):
            pass
        HELD.enter_context(
            owned(
                Path(".snakemake/nir"),
                what="another snakemake is running in this folder; wait for it or stop it",
                say=lambda text: logger.warning(f"nir: {text}"),
                wait=False,
            )
        )
    except OwnedElsewhereError as error:
        raise WorkflowError(f"nir: {error}")
    except (OSError, InputError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WorkflowError(f"results: cannot be written ({reason}); make it writable")
    atexit.register(HELD.close)


def forget_checkpoints():
    """Remove what finished jobs of a cluster kept in case their group had to run again."""
    folder = Path(f"results/{SCALE}/.checkpoints")
    for mark in folder.glob("*/finished"):
        shutil.rmtree(mark.parent, ignore_errors=True)
    with contextlib.suppress(OSError):  # others were interrupted, and go on from theirs
        folder.rmdir()


HELD = contextlib.ExitStack()
STARTED = time.time()
EXPERIMENTS = load_experiments()
SCALE = config["scale"]
DATA_ROOT = config["data_root"]
CHAPTERS = list(dict.fromkeys(e.chapter for e in EXPERIMENTS.values()))
RUNS = {f"results/{SCALE}/{r.place}": r for e in EXPERIMENTS.values() for r in e.runs}
TRAINED_ALIKE = trained_alike(EXPERIMENTS)
RUNS_OF_PHOTOS = {run.subject_name: run for run in RUNS.values() if run.photos}
RUNS_OF_MESHES = {run.subject_name: run for run in RUNS.values() if run.meshes}
PUBLISHED = sorted(
    str(path) for path in Path(workflow.basedir, "workflow/published").glob("*.csv")
)

RUN_FOLDER = "results/{scale}/{chapter}/{experiment}/{subject}/{variant}/seed{seed}"
EXPERIMENT_FOLDER = "results/{scale}/{chapter}/{experiment}"


wildcard_constraints:
    scale=SCALE,
    chapter="[a-z]+",
    experiment="[a-z0-9_]+",
    subject="[A-Za-z0-9_-]+",
    variant="[A-Za-z0-9_]+",
    seed="[0-9]+",
    figure="[a-z0-9_]+",
    capture="[A-Za-z0-9_-]+",
    meshes="[A-Za-z0-9_-]+",
    panel="[a-z0-9_]+",


def correct_times():
    """Stamp anew what a clock that jumped has stamped in the future; Snakemake would refuse it."""
    inputs = (
        "model.pt",
        "recipe.json",
        "log.csv",
        "predictions/predictions.json",
        "mesh.ply",
    )
    places = [f"{folder}/{name}" for folder in RUNS for name in inputs]
    for experiment in EXPERIMENTS:
        folder = f"results/{SCALE}/{experiment}"
        places += [f"{folder}/metrics.csv", f"{folder}/table.csv", f"{folder}/table.md"]
    places += Path("results/data").glob("*.json")
    if count := bring_back_from_the_future(map(Path, places)):
        logger.warning(
            f"nir: {count} results were stamped in the future, as by a clock that jumped; "
            "they are kept and stamped anew"
        )


if workflow.is_main_process:
    correct_times()


def run_of(wildcards):
    """The run that a rule's wildcards name."""
    return RUNS[RUN_FOLDER.format(**dict(wildcards.items()))]


def experiment_of(wildcards):
    """The experiment that a rule's wildcards name."""
    return EXPERIMENTS[f"{wildcards.chapter}/{wildcards.experiment}"]


def subject_of(wildcards):
    """What a run is trained on: a data set's receipt, a scene of photos, or a user's file."""
    run = run_of(wildcards)
    if run.photos:
        return run.trained_on
    if run.meshes:
        return f"{run.trained_on}/collection.json"
    return f"results/data/{run.dataset}.json" if run.dataset else run.subject


# Where data lies and whence it came change no result. Snakemake runs nothing again for params that
# may follow from a job's outputs, as those do that ask for them.
def data_root(wildcards, output):
    return DATA_ROOT


def pins(wildcards, output):
    return config["pins"]


def mirrors(wildcards, output):
    return " ".join(map(shlex.quote, config["mirrors"]))


def content_of_subject(wildcards):
    """What lies in a user's own folder; of a registered set the receipt tells."""
    run = run_of(wildcards)
    if run.photos or run.meshes or run.dataset:
        return ""
    return content_of_folder(run.subject)


@functools.cache
def content_of_folder(path):
    """Digest of the names, sizes and times in a folder, whose own time no edited file changes."""
    files = sorted(p for p in Path(path).rglob("*") if p.is_file())
    facts = [
        (str(p.relative_to(path)), p.stat().st_size, p.stat().st_mtime_ns)
        for p in files
    ]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16] if facts else ""


def folder_of_model(wildcards):
    """The folder of the run that trains this run's model, if that is another one."""
    place = TRAINED_ALIKE.get(run_of(wildcards).place)
    return place and f"results/{SCALE}/{place}"


def model_of(wildcards):
    """The model that another run trains alike; it is trained once."""
    folder = folder_of_model(wildcards)
    return [f"{folder}/model.pt"] if folder else []


def adopting(wildcards):
    """The option of `nir train` that takes it."""
    folder = folder_of_model(wildcards)
    return f" --model-of {folder}" if folder else ""


def files_of_runs(name):
    """A function from an experiment's wildcards to that file of each of its runs."""

    def paths(wildcards):
        experiment = experiment_of(wildcards)
        return [f"results/{SCALE}/{run.place}/{name}" for run in experiment.runs]

    return paths


def meshes_of_runs(wildcards):
    """The surfaces that an experiment's metrics need: those of all its runs, or none."""
    if not experiment_of(wildcards).mesh:
        return []
    return files_of_runs("mesh.ply")(wildcards)


def threads_of_training(wildcards):
    """One thread for small trainings, so that they run side by side."""
    return config["threads"][SCALE]


def gpus_of_training(wildcards):
    """Trainings at paper size ask for a GPU."""
    return int(SCALE == "paper")


def minutes_of_training(wildcards, attempt):
    run = run_of(wildcards)
    return training_minutes(run.task, run.recipe, SCALE, attempt)


def memory_of_training(wildcards, attempt):
    return training_memory_mb(SCALE, attempt)


def group_of_run(wildcards):
    """Short runs travel together to a cluster; a long one is a job of its own.

    So is one that failed before: a job ends at the first failure of those that travel in it.
    """
    run = run_of(wildcards)
    if workflow.is_main_process and failed_before(run):
        return None
    if SCALE != "paper":
        return together("small")
    return together("short") if is_short(run.task, run.recipe, SCALE) else None


def group_of_report(wildcards):
    """A table's metrics and figures are made in one job of a cluster."""
    return together("reports")


def minutes_of_report(wildcards, attempt):
    return {"smoke": 5, "quick": 10, "paper": 60}[SCALE] * attempt


def memory_of_report(wildcards, attempt):
    return {"smoke": 1000, "quick": 2000, "paper": 8000}[SCALE] * attempt


def results_of(experiment):
    """Everything a person wants of one experiment."""
    folder = f"results/{SCALE}/{experiment.name}"
    figures = [f"{folder}/figure-{name}.png" for name in experiment.figures]
    panels = [f"{folder}/panel-{name}.html" for name in experiment.panels]
    viewers = [f"results/{SCALE}/{run.place}/viewer" for run in experiment.viewers]
    return [f"{folder}/table.csv", f"{folder}/table.md", *figures, *panels, *viewers]


def recipe_of(wildcards):
    """A run's recipe in its one spelling."""
    return run_of(wildcards).recipe_json()


def values_of_training(wildcards):
    """Those of them that decide the model."""
    return canonical_json(run_of(wildcards).recipe.of_training())


def all_values(wildcards, output):
    """The whole recipe, of which the rest trains nothing anew; see `data_root`."""
    return recipe_of(wildcards)


def task_of(wildcards):
    return run_of(wildcards).task


def subject_name_of(wildcards):
    return run_of(wildcards).trained_on


def photos_of(wildcards):
    """The folder of photos, or the receipt of the data set, that a scene is made from."""
    run = RUNS_OF_PHOTOS[wildcards.capture]
    return f"results/data/{run.dataset}.json" if run.dataset else run.subject


def meshes_of(wildcards):
    """The folder of meshes, or the receipt of the data set, that a collection is made from."""
    run = RUNS_OF_MESHES[wildcards.meshes]
    return f"results/data/{run.dataset}.json" if run.dataset else run.subject


def meshes_name_of(wildcards):
    return RUNS_OF_MESHES[wildcards.meshes].subject


def content_of_meshes(wildcards):
    run = RUNS_OF_MESHES[wildcards.meshes]
    return "" if run.dataset else content_of_folder(run.subject)


def content_of_photos(wildcards):
    run = RUNS_OF_PHOTOS[wildcards.capture]
    return "" if run.dataset else content_of_folder(run.subject)


def photos_name_of(wildcards):
    return RUNS_OF_PHOTOS[wildcards.capture].subject


def code_of_data(wildcards):
    """Fingerprint of the code that makes a data set, where the project makes it."""
    generated = registry()[wildcards.dataset].source == "generated"
    return fingerprint("nir.data.generated" if generated else "nir.data.registry")


def code_of_training(wildcards):
    """Fingerprint of all code that a run's training and prediction use."""
    return code_of_task(run_of(wildcards).task)


@functools.cache
def code_of_task(task):
    """The same for every run of a task."""
    return training_code(task)


def plan_of(wildcards):
    """What evaluation, tables and figures need to know of an experiment."""
    return canonical_json(experiment_of(wildcards).plan())


def runs_of(wildcards):
    """What evaluation needs to know of an experiment: its runs, not how they are shown."""
    plan = experiment_of(wildcards).plan()
    keys = ("place", "group", "subject", "variant", "seed")
    runs = [{key: run[key] for key in keys} for run in plan["runs"]]
    return canonical_json({"name": plan["name"], "runs": runs})


def weights_of_metrics(wildcards):
    """Names of the published weights that metrics use and that are there; new ones run it again."""
    weights = (e for e in registry().values() if e.kind == "weights")
    return " ".join(e.name for e in weights if Path(DATA_ROOT, e.path).exists())


def title_of(wildcards):
    return experiment_of(wildcards).title


def plans():
    """All experiments' plans, in the order of the configuration."""
    return canonical_json([e.plan() for e in EXPERIMENTS.values()])


def page_files(*patterns):
    """What pages and panels are made from beside results."""
    folder = Path(workflow.basedir, "nir/reporting/page")
    return sorted(str(p) for pattern in patterns for p in folder.glob(pattern))


def content_of_viewer():
    """Digest of the page that baking copies."""
    folder = Path(workflow.basedir, "nir/viewers/planes/page")
    content = b"".join(p.read_bytes() for p in sorted(folder.iterdir()))
    return hashlib.sha256(content).hexdigest()[:16]


def results_of_chapter(chapter):
    """Everything a person wants of one chapter."""
    return [
        p for e in EXPERIMENTS.values() if e.chapter == chapter for p in results_of(e)
    ]


def all_results():
    """Everything a person wants."""
    return [path for chapter in CHAPTERS for path in results_of_chapter(chapter)]
