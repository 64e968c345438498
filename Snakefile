# The whole graph at a glance: fetch -> (poses) -> train -> predict -> (mesh) -> evaluate
# -> tabulate and plot -> page. `snakemake --cores all` runs the scale named in config.yaml.
import gc

from snakemake.utils import min_version

min_version("9.19")

# A plan is made of what stays: looking for garbage in it again and again takes a sixth of its time.
gc.freeze()
gc.set_threshold(200_000, 50, 50)


report: "workflow/report/workflow.rst"


resource_scopes:
    gpu="local",


include: "workflow/rules/cluster.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/wildcards.smk"


# Inert unless containers are asked for (README, "On a cluster").
container: config.get("container", "docker://python:3.11-slim")


include: "workflow/rules/logs.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/poses.smk"
include: "workflow/rules/shapes.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/mesh.smk"
include: "workflow/rules/bake.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/page.smk"


onstart:
    hold_results_folder()


onerror:
    show_errors()


onsuccess:
    forget_checkpoints()


rule all:
    default_target: True
    input:
        f"results/{SCALE}/index.html",
        f"results/{SCALE}/summary.csv",
        all_results(),
    localrule: True
