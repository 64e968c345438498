# The lecture, reproduced: a page a person reads, and one goal for each chapter.


rule page:
    input:
        results=all_results(),
        templates=page_files("index*.jinja", "*.css", "*.toml"),
    output:
        f"results/{SCALE}/index.html",
    log:
        f"results/logs/{SCALE}/page.log",
    localrule: True
    params:
        plans=plans(),
        scale=SCALE,
        code=fingerprint("nir.reporting.page.writer"),
    shell:
        "printf %s {params.plans:q} | nir page --plans - --scale {params.scale} --out {output:q} --log {log:q}"


for chapter in CHAPTERS:

    rule:
        name:
            chapter
        input:
            results_of_chapter(chapter),
        localrule: True
