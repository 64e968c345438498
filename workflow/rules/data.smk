# Data sets, from the registry: bundled, generated, downloaded, or brought by the user.
# Hashes of downloads that nobody had recorded are pinned in a file that can be committed.
# They come first, and what is made of them next: long trainings wait for some.
# A receipt tells where the data lies and what was verified; the data root itself may be read-only.


rule fetch:
    output:
        "results/data/{dataset}.json",
    log:
        "results/logs/data/{dataset}.log",
    priority: 2
    retries: 2
    localrule: True
    params:
        root=data_root,
        pins=pins,
        mirrors=mirrors,
        code=code_of_data,
    shell:
        "nir fetch {wildcards.dataset} --data-root {params.root:q} --receipt {output:q}"
        " --lock {params.pins:q} --mirrors {params.mirrors} --log {log:q}"
