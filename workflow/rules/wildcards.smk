# What rules ask of their wildcards: inputs, parameters, resources and groups.


def folder_of_run(wildcards):
    """The folder of the run that a rule's wildcards name."""
    return f"results/{wildcards.scale}/{wildcards.run}"


def run_of(wildcards):
    """The run that a rule's wildcards name."""
    return RUNS[folder_of_run(wildcards)]


def experiment_of(wildcards):
    """The experiment that a rule's wildcards name."""
    return EXPERIMENTS[f"{wildcards.chapter}/{wildcards.experiment}"]


def subjects_of(wildcards):
    """What a run reads: its subject, and what the recipe names beside, such as another photo."""
    run = run_of(wildcards)
    names = run.recipe.other_subjects().values()
    others = [name if is_path(name) else f"results/data/{name}.json" for name in names]
    return [subject_of(run), *others]


def subject_of(run):
    """What a run is trained on: a data set's receipt, a scene of photos, or a user's file."""
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


def trained(wildcards):
    """What `nir train` is told of a run, and which other run trains its model, if any."""
    run, folder = run_of(wildcards), folder_of_model(wildcards)
    words = [run.task, run.trained_on, "--seed", str(run.seed)]
    return shlex.join([*words, "--model-of", folder] if folder else words)


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


def threads_of_preparation(run):
    """All cores for a user's own folder; those of a training for a set of the registry.

    A job that asks for all cores starts only once all are free at the same time: what the
    project's own small sets are prepared for would come last.
    """
    return THREADS if run.dataset else 8


def threads_of_photos(wildcards):
    return threads_of_preparation(RUNS_OF_PHOTOS[wildcards.capture])


def threads_of_meshes(wildcards):
    return threads_of_preparation(RUNS_OF_MESHES[wildcards.meshes])


def minutes_of_training(wildcards, attempt):
    run = run_of(wildcards)
    return training_minutes(run.task, run.recipe, SCALE, attempt)


def memory_of_training(wildcards, attempt):
    return training_memory_mb(SCALE, attempt)


def group_of_run(wildcards):
    """Short runs travel together to a cluster; a long one is a job of its own.

    So is one that failed before: a job ends at the first failure of those that travel in it.
    """
    return group_of_folder(folder_of_run(wildcards))


@functools.cache
def group_of_folder(folder):
    """The same for all jobs of a run, however often Snakemake asks: logs change while it works."""
    run = RUNS[folder]
    if workflow.is_main_process and failed_before(run):
        return None
    if SCALE != "paper":
        return together("small")
    return together("short") if is_short(run.task, run.recipe, SCALE) else None


def group_of_report(wildcards):
    """A table's metrics and figures are made in one job of a cluster."""
    return together("reports")


GROUP_OF_RUN = group_of_run if SUBMITTED else None
GROUP_OF_REPORT = group_of_report if SUBMITTED else None


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
    return run_of(wildcards).recipe_json


def values_of_training(wildcards):
    """Those of them that decide the model."""
    return canonical_json(run_of(wildcards).recipe.of_training())


def all_values(wildcards, output):
    """The whole recipe, of which the rest trains nothing anew; see `data_root`."""
    return recipe_of(wildcards)


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


def code_of_figure(wildcards):
    """Fingerprint of the code that draws a figure: of its drawing, not of all."""
    return code_of_drawing(module_of_figure(wildcards.figure))


@functools.cache
def code_of_drawing(module):
    """The same for every figure of a module."""
    return fingerprint("nir.reporting.figures", module)


def plan_of(wildcards):
    """What evaluation, tables and figures need to know of an experiment."""
    return plan_of_experiment(f"{wildcards.chapter}/{wildcards.experiment}")


@functools.cache
def plan_of_experiment(name):
    """The same for every figure of an experiment."""
    return canonical_json(EXPERIMENTS[name].plan())


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


# Snakemake asks each of these for its signature once a job, ten thousand times in a plan at quick;
# Python works it out anew each time, unless it is kept.
for function in list(globals().values()):
    if isinstance(function, types.FunctionType):
        function.__signature__ = inspect.signature(function)
