# Runs that travel together in a job of SLURM, and how they share it.
import os
import sys

if workflow.remote_exec:
    workflow.register_resource("gpu", int(os.environ.get("SLURM_GPUS_ON_NODE", 1)))


# One machine takes jobs one by one: groups would only make its plans slower.
SUBMITTED = workflow.remote_exec or workflow.resource_settings.nodes is not None


def together(group):
    """The name of a group, whose members share a job.

    Within the job SLURM's executor starts srun and a Snakemake for each connected part of the
    group, one after another. Kept as one part there as well, all members share one of each, and
    go side by side as far as the job's CPUs and GPUs reach.
    """
    if workflow.remote_exec:
        workflow.group_settings.group_components = {group: sys.maxsize}
    return group
