# Folders that a browser draws without a network; experiments with `viewer: true` in config.yaml.


rule bake:
    input:
        subjects=subjects_of,
        model=f"{RUN_FOLDER}/model.pt",
        recipe=f"{RUN_FOLDER}/recipe.json",
    output:
        directory(f"{RUN_FOLDER}/viewer"),
    log:
        f"results/logs/{RUN_FOLDER.removeprefix('results/')}/bake.log",
    group:
        GROUP_OF_RUN
    threads: THREADS
    resources:
        gpu=GPUS,
        mem_mb=memory_of_training,
        runtime=minutes_of_training,
    params:
        root=data_root,
        code=fingerprint(
            "nir.viewers.planes.of_run", "nir.baking", "nir.commands.viewing"
        ),
        page=content_of_viewer(),
    shell:
        "nir bake $(dirname {input.model:q}) --data-root {params.root:q}"
        " --threads {threads} --log {log:q}"
