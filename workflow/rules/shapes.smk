# Collections from folders of meshes (experiments with `meshes: true`). Shapes that are done stay
# when the job is killed: only the index, which is written last, is an output.


rule prepare_shapes:
    input:
        meshes=meshes_of,
    output:
        f"{COLLECTIONS}/{{meshes}}/collection.json",
    log:
        "results/logs/shapes/{meshes}.log",
    priority: 1
    threads: threads_of_meshes
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 720 * attempt,
    params:
        root=data_root,
        meshes=meshes_name_of,
        content=content_of_meshes,
        size="paper" if SCALE == "paper" else "small",
        code=fingerprint("nir.data.shape_preparation"),
    shell:
        "nir shapes prepare {params.meshes:q} --out $(dirname {output:q}) --size {params.size}"
        " --data-root {params.root:q} --jobs {threads} --log {log:q}"
