# One model a job. Checkpoints lie beside the outputs, in a folder named by the hash of recipe and
# code: a retry goes on where it stopped, a changed recipe starts anew.
# What several experiments ask of models trained alike is asked of one model.
# Values that are asked of the model afterwards train nothing anew; `nir predict` brings them, too.
# `--ahead`: the predictions come next, and need not start torch again.
# `exec`: signals before a time limit reach the training itself, not a shell in between.


rule train:
    input:
        subjects=subjects_of,
        model=model_of,
    output:
        model=f"{RUN_FOLDER}/model.pt",
        log=f"{RUN_FOLDER}/log.csv",
        recipe=f"{RUN_FOLDER}/recipe.json",
        record=f"{RUN_FOLDER}/training.json",
    log:
        f"results/logs/{RUN_FOLDER.removeprefix('results/')}/train.log",
    group:
        GROUP_OF_RUN
    threads: THREADS
    resources:
        gpu=GPUS,
        mem_mb=memory_of_training,
        runtime=minutes_of_training,
    params:
        root=data_root,
        recipe=values_of_training,
        asked=all_values,
        code=code_of_training,
        trained=trained,
        content=content_of_subject,
    shell:
        "exec nir train {params.trained} --recipe {params.asked:q}"
        " --data-root {params.root:q} --threads {threads}"
        " --out $(dirname {output.model:q}) --checkpoints results/{wildcards.scale}/.checkpoints"
        " ${{SLURM_JOB_ID:+--keep-checkpoints}} --ahead --log {log:q}"
