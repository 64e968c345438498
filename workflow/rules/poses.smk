# Camera poses for folders of photos (experiments with `photos: true`); the scene that comes out is
# a subject like any other, shared by all experiments and scales. The same photos, the same bytes.


rule poses:
    input:
        photos=photos_of,
    output:
        directory(f"{SCENES}/{{capture}}"),
    log:
        "results/logs/scenes/{capture}.log",
    priority: 1
    threads: threads_of_photos
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        root=data_root,
        photos=photos_name_of,
        content=content_of_photos,
        code=fingerprint("nir.data.colmap"),
    shell:
        "nir poses {params.photos:q} --out {output:q} --data-root {params.root:q}"
        " --threads {threads} --log {log:q}"
