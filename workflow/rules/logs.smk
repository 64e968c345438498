# What the logs of jobs say of failures: a cluster's jobs speak there alone.


def failed_before(run):
    """Whether the log of a run's training ends with an error."""
    return bool(last_words(Path(f"results/logs/{SCALE}/{run.place}/train.log")))


def last_words(log):
    """The error with which a job's log ends, or the empty text; a warning's save is no error."""
    try:
        text = log.read_text(errors="replace").rstrip()
    except OSError:
        return ""
    bug = text.rfind("Traceback (most recent call last):")
    last = text.rpartition("\n")[2]
    if last.startswith("nir: ") and not last.startswith("nir: stopped by "):
        return last
    return text[bug:] if bug >= 0 else ""


def show_errors():
    """Show how logs of this start end that end badly: a cluster's jobs speak there alone."""
    if workflow.local_exec:
        return
    for log in sorted(Path(f"results/logs/{SCALE}").rglob("*.log")):
        recent = log.stat().st_mtime > STARTED - 60
        if recent and (words := last_words(log)):
            logger.error(f"{log}:\n{words}")
    logger.error("What SLURM itself says of jobs that failed: results/logs/slurm")
