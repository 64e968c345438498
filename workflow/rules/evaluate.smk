# Metrics from files, never from a live model; one job an experiment, without torch where it can.


rule evaluate:
    input:
        predictions=files_of_runs("predictions/predictions.json"),
        meshes=meshes_of_runs,
    output:
        f"{EXPERIMENT_FOLDER}/metrics.csv",
    log:
        f"results/logs/{EXPERIMENT_FOLDER.removeprefix('results/')}/evaluate.log",
    group:
        GROUP_OF_REPORT
    resources:
        mem_mb=memory_of_report,
        runtime=minutes_of_report,
    params:
        root=data_root,
        plan=runs_of,
        weights_present=weights_of_metrics,
        code=fingerprint("nir.evaluation", *METRIC_MODULES),
    shell:
        "printf %s {params.plan:q} | nir evaluate --plan - --results results/{wildcards.scale}"
        " --weights {params.root:q}/weights --out {output:q} --log {log:q}"
