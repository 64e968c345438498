# From metrics to what a person reads: a table and figures for each experiment, one summary.


rule tabulate:
    input:
        metrics=f"{EXPERIMENT_FOLDER}/metrics.csv",
        published=PUBLISHED,
    output:
        csv=report(
            f"{EXPERIMENT_FOLDER}/table.csv",
            caption="../report/table.rst",
            category="{chapter}",
            subcategory="{experiment}",
            labels={"kind": "table", "name": "table"},
        ),
        markdown=f"{EXPERIMENT_FOLDER}/table.md",
    log:
        f"results/logs/{EXPERIMENT_FOLDER.removeprefix('results/')}/tabulate.log",
    localrule: True
    params:
        plan=plan_of,
        title=title_of,
        code=fingerprint("nir.reporting.tables"),
    shell:
        "printf %s {params.plan:q} | nir tabulate --plan - --metrics {input.metrics:q}"
        " --published {input.published:q} --csv {output.csv:q} --markdown {output.markdown:q}"
        " --log {log:q}"


rule plot:
    input:
        metrics=f"{EXPERIMENT_FOLDER}/metrics.csv",
        logs=files_of_runs("log.csv"),
    output:
        png=report(
            f"{EXPERIMENT_FOLDER}/figure-{{figure}}.png",
            caption="../report/figure.rst",
            category="{chapter}",
            subcategory="{experiment}",
            labels={"kind": "figure", "name": "{figure}"},
        ),
        pdf=f"{EXPERIMENT_FOLDER}/figure-{{figure}}.pdf",
    log:
        f"results/logs/{EXPERIMENT_FOLDER.removeprefix('results/')}/figure-{{figure}}.log",
    group:
        GROUP_OF_REPORT
    resources:
        mem_mb=memory_of_report,
        runtime=minutes_of_report,
    params:
        plan=plan_of,
        title=title_of,
        code=code_of_figure,
    shell:
        "printf %s {params.plan:q} | nir plot {wildcards.figure} --plan - --metrics {input.metrics:q}"
        " --results results/{wildcards.scale} --png {output.png:q} --pdf {output.pdf:q}"
        " --log {log:q}"


rule panel:
    input:
        metrics=f"{EXPERIMENT_FOLDER}/metrics.csv",
        templates=page_files("panel_*.jinja"),
    output:
        f"{EXPERIMENT_FOLDER}/panel-{{panel}}.html",
    log:
        f"results/logs/{EXPERIMENT_FOLDER.removeprefix('results/')}/panel-{{panel}}.log",
    localrule: True
    params:
        plan=plan_of,
        code=fingerprint("nir.reporting.panels"),
    shell:
        "printf %s {params.plan:q} | nir panel {wildcards.panel} --plan -"
        " --metrics {input.metrics:q}"
        " --results results/{wildcards.scale} --out {output:q} --log {log:q}"


rule summarise:
    input:
        tables=[f"results/{SCALE}/{name}/table.csv" for name in EXPERIMENTS],
        metrics=[f"results/{SCALE}/{name}/metrics.csv" for name in EXPERIMENTS],
    output:
        f"results/{SCALE}/summary.csv",
    log:
        f"results/logs/{SCALE}/summarise.log",
    localrule: True
    params:
        code=fingerprint("nir.reporting.tables"),
    shell:
        "nir summarise --tables {input.tables:q} --metrics {input.metrics:q}"
        " --out {output:q} --log {log:q}"
