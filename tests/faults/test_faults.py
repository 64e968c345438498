"""Whatever happens to a run from outside, given the command again it ends in the same bits."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from projects import Project

pytestmark = pytest.mark.slow

KILLS = 20


def bits(project: Project) -> dict[str, bytes]:
    """The content of all results, but for what holds a time or a duration."""
    folder = project.folder / "results"
    found = {
        name: (folder / name).read_bytes()
        for name in project.files()
        if not name.endswith((".pdf", "training.json"))
    }
    page = found.get("smoke/index.html", b"")
    return found | {"smoke/index.html": re.sub(rb"\d+ s( together| of training)", rb"\1", page)}


def assert_as_undisturbed(project: Project, undisturbed: Project) -> None:
    ours, expected = bits(project), bits(undisturbed)
    assert sorted(ours) == sorted(expected)
    assert [name for name in expected if ours[name] != expected[name]] == []


def start(project: Project, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        project.command(*arguments),
        cwd=project.folder,
        env=project.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def read_until(process: subprocess.Popen, text: str) -> str:
    """What is said up to and with the first line that has `text` in it."""
    said = ""
    for line in process.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(f"never said {text!r}:\n{said}")


def finished(project: Project) -> bool:
    return (project.folder / "results/smoke/index.html").exists()


def test_killed_at_twenty_random_moments_it_ends_in_the_same_bits(project, undisturbed):
    """Mostly the whole session is killed; at times Snakemake alone, and its jobs outlive it."""
    moments = random.Random(20)
    kills = 0
    while kills < KILLS:
        process = start(project)
        try:
            said, _ = process.communicate(timeout=moments.uniform(1.0, 9.0))
            assert process.returncode == 0, said
        except subprocess.TimeoutExpired:
            kills += 1
            if moments.random() < 0.75:
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()
            process.stdout.close()
        if finished(project):
            wait_for_orphans(process.pid)
            run = project.snakemake()
            assert run.returncode == 0, run.stdout
            assert_as_undisturbed(project, undisturbed)
            shutil.rmtree(project.folder / "results/smoke")
    run = project.snakemake()
    assert run.returncode == 0, run.stdout
    assert_as_undisturbed(project, undisturbed)
    assert project.planned() == {}


def wait_for_orphans(session: int) -> None:
    """Jobs that outlived their Snakemake must not write into results that are about to go."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        if not any(is_alive(path, session) for path in Path("/proc").glob("[0-9]*")):
            return
        time.sleep(0.2)


def is_alive(path: Path, session: int) -> bool:
    try:
        fields = (path / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] != "Z" and int(fields[3]) == session


def lines_of_nir(said: str) -> list[str]:
    return [line.strip() for line in said.splitlines() if "nir: " in line]


def test_a_disk_that_fills_stops_with_a_word_and_room_is_all_it_needs(
    project, mounted, undisturbed
):
    mounted("size=160k")
    run = project.snakemake()
    assert run.returncode != 0
    assert "Traceback" not in run.stdout, run.stdout
    assert any("No space left" in line and "room" in line for line in lines_of_nir(run.stdout)), (
        run.stdout
    )
    assert not finished(project)
    mounted("remount,size=64m")
    run = project.snakemake()
    assert run.returncode == 0, run.stdout
    assert_as_undisturbed(project, undisturbed)


def test_a_results_folder_that_is_read_only_is_one_line(project, read_only):
    with read_only():
        run = project.snakemake()
    assert run.returncode != 0
    assert "Traceback" not in run.stdout
    assert "results: cannot be written (Read-only file system); make it writable" in run.stdout


def test_a_results_folder_that_turns_read_only_half_way_loses_nothing(
    project, read_only, undisturbed
):
    process = start(project, "--cores", "1")  # so that one job has ended and the next has begun
    said = read_until(process, "(Rule: train)") + read_until(process, "Execute")
    (model,) = project.folder.glob("results/smoke/*/*/*/*/*/model.pt")
    stamp = model.stat().st_mtime_ns
    with read_only():
        rest, _ = process.communicate(timeout=240)
    said += rest
    assert process.returncode != 0
    assert f'File "{project.folder}/nir/' not in said, said  # Snakemake's own may be there
    assert "Read-only file system" in said, said  # by whoever writes first, nir or Snakemake
    run = project.snakemake()
    assert run.returncode == 0, run.stdout
    assert_as_undisturbed(project, undisturbed)
    assert model.stat().st_mtime_ns == stamp, "trained again without need"


@pytest.mark.parametrize("jump_seconds", [-86_400, 86_400])
def test_a_clock_that_jumped_between_two_starts_changes_no_bit(project, undisturbed, jump_seconds):
    for part in ("results", ".snakemake"):
        shutil.copytree(undisturbed.folder / part, project.folder / part)
    jumped = time.time() + jump_seconds
    for path in project.folder.glob("results/**/*"):
        if path.suffix in (".json", ".pt"):
            os.utime(path, (jumped, jumped))
    (project.folder / "results/smoke/siren/image/metrics.csv").unlink()
    run = project.snakemake()
    assert run.returncode == 0, run.stdout
    assert_as_undisturbed(project, undisturbed)
    assert "train" not in project.planned()


def test_of_two_snakemakes_started_at_once_one_works_and_one_says_so(project, undisturbed):
    processes = [start(project), start(project)]
    said = [process.communicate(timeout=240)[0] for process in processes]
    codes = [process.returncode for process in processes]
    assert sorted(codes) == [0, 1], said
    refused = said[codes.index(1)]
    assert "another snakemake is running in this folder; wait for it or stop it" in refused
    assert "Traceback" not in refused
    assert_as_undisturbed(project, undisturbed)
