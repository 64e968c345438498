# What the rules share: the experiments of this configuration, and the folder they write to.
import atexit
import contextlib
import functools
import hashlib
import inspect
import shlex
import shutil
import sys
import tempfile
import time
import types
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.settings.types import DeploymentMethod

from nir.configuration import COLLECTIONS, SCENES, load_configuration
from nir.data.registry import registry
from nir.errors import InputError
from nir.experiments import experiments_of, is_path, trained_alike, training_code
from nir.files import bring_back_from_the_future, canonical_json
from nir.fingerprints import fingerprint
from nir.metrics import METRIC_MODULES
from nir.ownership import OwnedElsewhereError, owned
from nir.reporting.drawings import module_of_figure
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
THREADS = config["threads"][SCALE]  # of one training; small ones run side by side
GPUS = int(SCALE == "paper")  # of one training
PUBLISHED = sorted(
    str(path) for path in Path(workflow.basedir, "workflow/published").glob("*.csv")
)

# A run's place (chapter, experiment, subject, variant, seed) is one wildcard: a plan copies them for
# every job, many times.
RUN_FOLDER = "results/{scale}/{run}"
EXPERIMENT_FOLDER = "results/{scale}/{chapter}/{experiment}"


wildcard_constraints:
    scale=SCALE,
    chapter="[a-z]+",
    experiment="[a-z0-9_]+",
    run="[a-z]+/[a-z0-9_]+/[A-Za-z0-9_-]+/[A-Za-z0-9_]+/seed[0-9]+",
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
