# Predictions and references on disk: all that evaluation and figures may read of a model.


rule predict:
    input:
        subjects=subjects_of,
        model=f"{RUN_FOLDER}/model.pt",
        recipe=f"{RUN_FOLDER}/recipe.json",
    output:
        f"{RUN_FOLDER}/predictions/predictions.json",
    log:
        f"results/logs/{RUN_FOLDER.removeprefix('results/')}/predict.log",
    group:
        GROUP_OF_RUN
    threads: THREADS
    resources:
        gpu=GPUS,
        mem_mb=memory_of_training,
        runtime=minutes_of_training,
    params:
        root=data_root,
        recipe=recipe_of,
        code=code_of_training,
    shell:
        "nir predict $(dirname {input.model:q}) --ahead --data-root {params.root:q}"
        " --recipe {params.recipe:q}"
        " --threads {threads} --log {log:q}"
