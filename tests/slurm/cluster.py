"""A real SLURM on one machine: its daemons, several virtual nodes, GPUs without a device.

    python tests/slurm/cluster.py install          Debian's packages (as root)
    python tests/slurm/cluster.py up FOLDER        prints what to export, then returns
    python tests/slurm/cluster.py down FOLDER

Everything (configuration, keys, sockets, state, logs) lies in FOLDER. Jobs find their cluster by
/etc/slurm/slurm.conf: it becomes a link into FOLDER, which `down` takes away; a configuration that
was there before is never touched. `down` ends exactly the daemons that `up` started.

A *node* is one slurmd with a name of its own; it pretends the CPUs and memory it is told. A *GPU*
is counted and handed out like a real one: its device file is another /dev/null, whose number
becomes CUDA_VISIBLE_DEVICES.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
SYSTEM_CONFIGURATION = Path("/etc/slurm/slurm.conf")
CLUSTER_NAME = "nirtest"
POLICY = Path("/usr/sbin/policy-rc.d")

CONFIGURATION = """\
ClusterName={cluster_name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=200
GresTypes=gpu
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdTimeout=10
SlurmctldTimeout=10
KillWait=10
InactiveLimit=0
ReturnToService=2
MinJobAge=300
MaxJobCount=20000
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=DEFAULT CPUs={cpus} RealMemory={memory_mb} State=UNKNOWN Gres=gpu:{gpus}
PartitionName=main Nodes=ALL Default=YES MaxTime=UNLIMITED State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=60 State=UP PriorityTier=10 PreemptMode=OFF
"""


class ClusterError(Exception):
    """The cluster cannot be used; the message says why."""


def why_impossible() -> str:
    """Why no cluster can be started here; empty if one can."""
    if os.geteuid() != 0:
        return "only root can start SLURM's daemons"
    missing = [program for program in PROGRAMS if _program(program) is None]
    if missing:
        return f"{', '.join(missing)} not installed; python tests/slurm/cluster.py install"
    if SYSTEM_CONFIGURATION.exists():
        return f"{SYSTEM_CONFIGURATION} exists: this machine has a SLURM of its own"
    return ""


def install() -> None:
    """Install Debian's packages without letting them start daemons."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ClusterError("packages are installed by root on Debian or Ubuntu")
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        quiet = {"env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, "check": True}
        subprocess.run(["apt-get", "update", "-qq"], **quiet)
        options = ["-y", "-qq", "--no-install-recommends"]
        subprocess.run(["apt-get", "install", *options, *PACKAGES], **quiet)
    finally:
        if ours:
            POLICY.unlink()


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster whose whole state lies in `folder`."""

    folder: Path
    nodes: int = 2
    cpus: int = 4
    memory_mb: int = 16000
    gpus: int = 1

    @property
    def node_names(self) -> list[str]:
        return [f"n{number}" for number in range(1, self.nodes + 1)]

    def environment(self) -> dict[str, str]:
        """What SLURM's commands need to find this cluster and no other."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def ask(self, *command: str, check: bool = True) -> str:
        """Run one of SLURM's commands and return what it says."""
        run = subprocess.run(
            command,
            env=os.environ | self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        if check and run.returncode:
            raise ClusterError(f"{' '.join(command)}: {run.stdout.strip()}")
        return run.stdout

    def up(self) -> None:
        """Start the daemons and wait until every node is idle."""
        if reason := why_impossible():
            raise ClusterError(reason)
        self._configure()
        SYSTEM_CONFIGURATION.parent.mkdir(parents=True, exist_ok=True)
        SYSTEM_CONFIGURATION.unlink(missing_ok=True)  # a link whose folder is gone
        SYSTEM_CONFIGURATION.symlink_to(self.folder / "slurm.conf")
        self._start_munge()
        self._run("slurmctld")
        self._wait("slurmctld", lambda: "is UP" in self.ask("scontrol", "ping", check=False))
        for name in self.node_names:
            self.start_node(name)
        self._wait("the nodes", self._all_idle)

    def start_node(self, name: str) -> None:
        """Start a node's daemon, again after `kill_node`, too."""
        (self.folder / f"spool-{name}").mkdir(exist_ok=True)
        self._run("slurmd", "-N", name)

    def kill_node(self, name: str) -> None:
        """Take a node away at once: its daemon and everything its jobs had started there."""
        self._end(self.folder / f"slurmd-{name}.pid", signal.SIGKILL)
        for process in _processes():
            if process.environment().get("SLURMD_NODENAME") == name and self._is_ours(process):
                process.kill()
        for process in _processes():
            if process.name == "slurmstepd" and str(self.folder / f"slurmd-{name}.log") in (
                process.open_files()
            ):
                process.kill()

    def down(self) -> None:
        """Cancel all jobs and end every daemon that was started for this folder."""
        with contextlib.suppress(ClusterError, OSError, subprocess.TimeoutExpired):
            self.ask("scancel", "--state=PENDING,RUNNING,SUSPENDED", check=False)
            self._wait("the end of jobs", lambda: not self.ask("squeue", "-h"), seconds=20)
        for path in [*self.folder.glob("slurmd-*.pid"), self.folder / "slurmctld.pid"]:
            self._end(path, signal.SIGTERM)
        for process in _processes():
            if process.name.startswith("slurm") and self._is_ours(process):
                process.kill()
        self._end(self.folder / "munge" / "pid", signal.SIGTERM)
        link = SYSTEM_CONFIGURATION
        if link.is_symlink() and link.readlink() == self.folder / "slurm.conf":
            link.unlink()

    def _configure(self) -> None:
        for name in ("state", "munge", "gpus"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        ports = _free_ports(1 + self.nodes)
        host = socket.gethostname().partition(".")[0]
        values = vars(self) | {
            "cluster_name": CLUSTER_NAME,
            "host": host,
            "controller_port": ports[0],
        }
        text = CONFIGURATION.format(**values)
        for name, port in zip(self.node_names, ports[1:], strict=True):
            text += f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port}\n"
        (self.folder / "slurm.conf").write_text(text)
        gpus = f"AutoDetect=off\nName=gpu {self._gpu_files()}\n" if self.gpus else ""
        (self.folder / "gres.conf").write_text(gpus)

    def _gpu_files(self) -> str:
        """Device files that behave like /dev/null; where none can be made, GPUs are counted."""
        paths = [self.folder / "gpus" / f"gpu{number}" for number in range(self.gpus)]
        try:
            for path in paths:
                if not path.exists():
                    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
                path.open("rb").close()
        except OSError:
            return f"Count={self.gpus}"
        return (
            f"File={self.folder}/gpus/gpu[0-{self.gpus - 1}]"
            if self.gpus > 1
            else (f"File={paths[0]}")
        )

    def _start_munge(self) -> None:
        folder = self.folder / "munge"
        folder.chmod(0o755)
        key = folder / "key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_bytes(os.urandom(1024))
        places = {"key-file": "key", "socket": "socket", "pid-file": "pid"}
        places |= {"log-file": "log", "seed-file": "seed"}
        options = [f"--{option}={folder / name}" for option, name in places.items()]
        self._run("munged", "--force", *options)
        self._wait("munged", (folder / "socket").exists)

    def _run(self, program: str, *arguments: str) -> None:
        """Start a daemon; it goes to the background by itself."""
        log = (self.folder / "daemons.log").open("ab")
        run = subprocess.run(
            [_program(program) or program, *arguments],
            env=os.environ | self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
            timeout=60,
        )
        log.close()
        if run.returncode:
            raise ClusterError(f"{program} did not start:\n{self.logs()}")

    def logs(self) -> str:
        """The last lines of what the daemons wrote."""
        paths = [*self.folder.glob("*.log"), self.folder / "munge" / "log"]
        tails = [(p.name, p.read_text(errors="replace")[-1500:]) for p in paths if p.exists()]
        return "\n".join(f"-- {name}\n{text}" for name, text in tails)

    def _all_idle(self) -> bool:
        states = self.ask("sinfo", "-h", "-N", "-p", "main", "-o", "%N %t", check=False).split()
        return states[1::2] == ["idle"] * self.nodes

    def _wait(self, what: str, ready: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                raise ClusterError(f"{what}: not there after {seconds:.0f} s\n{self.logs()}")
            time.sleep(0.2)

    def _is_ours(self, process: Process) -> bool:
        about = process.environment()
        ours = about.get("SLURM_CONF") == str(self.folder / "slurm.conf")
        return ours or about.get("SLURM_CLUSTER_NAME") == CLUSTER_NAME

    def _end(self, pid_file: Path, number: signal.Signals) -> None:
        try:
            process = Process(int(pid_file.read_text()))
        except (OSError, ValueError):
            return
        for attempt in (number, signal.SIGKILL):
            process.send(attempt)
            deadline = time.monotonic() + 10
            while process.is_running() and time.monotonic() < deadline:
                time.sleep(0.05)
        pid_file.unlink(missing_ok=True)


@dataclass(frozen=True)
class Process:
    """A process of this machine, asked through /proc."""

    pid: int

    @property
    def name(self) -> str:
        return self._read("comm").decode(errors="replace").strip()

    def environment(self) -> dict[str, str]:
        parts = self._read("environ").decode(errors="replace").split("\0")
        return dict(part.split("=", 1) for part in parts if "=" in part)

    def open_files(self) -> list[str]:
        with contextlib.suppress(OSError):
            return [str(p.readlink()) for p in Path(f"/proc/{self.pid}/fd").iterdir()]
        return []

    def is_running(self) -> bool:
        """Whether it exists and is not merely waiting to be reaped."""
        state = self._read("stat").rpartition(b")")[2].split()[:1]
        return bool(state) and state != [b"Z"]

    def send(self, number: signal.Signals) -> None:
        if self.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)

    def _read(self, name: str) -> bytes:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.pid}/{name}").read_bytes()
        return b""


def _processes() -> Iterator[Process]:
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and int(path.name) != os.getpid():
            yield Process(int(path.name))


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["install", "up", "down"])
    parser.add_argument("folder", type=Path, nargs="?")
    for option, default in (("nodes", 2), ("cpus", 4), ("gpus", 1), ("memory-mb", 16000)):
        parser.add_argument(f"--{option}", type=int, default=default)
    options = vars(parser.parse_args())
    action, folder = options.pop("action"), options.pop("folder")
    try:
        if action == "install":
            install()
            return
        if folder is None:
            raise ClusterError(f"{action}: name the folder of the cluster")
        cluster = Cluster(folder=folder.absolute(), **options)
        getattr(cluster, action)()
    except ClusterError as error:
        sys.exit(f"cluster: {error}")
    if action == "up":
        print(f"export SLURM_CONF={cluster.environment()['SLURM_CONF']}")


if __name__ == "__main__":
    main()
