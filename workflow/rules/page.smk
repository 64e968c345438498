# The lecture, reproduced: a page a person reads, and one goal for each chapter.

PAGE_FILES = sorted(
    str(path)
    for path in Path(workflow.basedir, "nir/reporting/page").iterdir()
    if path.suffix in {".jinja", ".css", ".toml"}
)


def plans():
    """All experiments' plans, in the order of the configuration."""
    return canonical_json([e.plan() for e in EXPERIMENTS.values()])


rule page:
    input:
        results=[path for e in EXPERIMENTS.values() for path in results_of(e)],
        templates=PAGE_FILES,
    output:
        f"results/{SCALE}/index.html",
    log:
        f"results/logs/{SCALE}/page.log",
    params:
        plans=plans(),
        scale=SCALE,
        code=fingerprint("nir.reporting.page.writer"),
    localrule: True
    shell:
        "nir page --plans {params.plans:q} --scale {params.scale} --out {output:q} --log {log:q}"


for chapter in CHAPTERS:

    rule:
        name:
            chapter
        input:
            [
                path
                for e in EXPERIMENTS.values()
                if e.chapter == chapter
                for path in results_of(e)
            ],
        localrule: True
