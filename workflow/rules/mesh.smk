# Surfaces of fields that have one; experiments with `mesh: true` in config.yaml.


rule mesh:
    input:
        subjects=subjects_of,
        model=f"{RUN_FOLDER}/model.pt",
        recipe=f"{RUN_FOLDER}/recipe.json",
    output:
        f"{RUN_FOLDER}/mesh.ply",
    log:
        f"results/logs/{RUN_FOLDER.removeprefix('results/')}/mesh.log",
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
        "nir mesh $(dirname {input.model:q}) --data-root {params.root:q}"
        " --recipe {params.recipe:q}"
        " --threads {threads} --log {log:q}"
