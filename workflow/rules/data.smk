# Data sets, from the registry: bundled, generated, downloaded, or brought by the user.
# Hashes of downloads that nobody had recorded are pinned in a file that can be committed.
# A receipt tells where the data lies and what was verified; the data root itself may be read-only.
# Where data lies and whence it came are no params here nor elsewhere: the same data gives the same
# results.


rule fetch:
    output:
        "results/data/{dataset}.json",
    log:
        "results/logs/data/{dataset}.log",
    retries: 2
    localrule: True
    params:
        code=code_of_data,
    shell:
        "nir fetch {wildcards.dataset} --data-root {DATA_ROOT:q} --receipt {output:q}"
        " --lock {PINS:q} --mirrors {MIRRORS} --log {log:q}"
