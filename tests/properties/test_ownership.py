"""Ownership: one process at a time, on one machine and on several that share a file system."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nir import ownership
from nir.checkpoints import Checkpoints
from nir.errors import InputError
from nir.ownership import OwnedElsewhereError, identity, owned

FAST = {"what": "another process works here", "heartbeat_seconds": 0.05, "stale_seconds": 0.6}


def other(path: Path, *, beats: int = 1, **about: object) -> None:
    """Leave what an owner on another machine would write."""
    elsewhere = {"token": "theirs", "host": "n9", "machine": "another", "process": 4, "job": "77"}
    text = json.dumps({**elsewhere, "beats": beats, **about})
    ownership.write_text(path.with_name(path.name + ".owner"), text)  # whole, as an owner does


def beating(path: Path, stop: threading.Event) -> threading.Thread:
    def beat() -> None:
        beats = 0
        while not stop.wait(0.05):
            beats += 1
            other(path, beats=beats)

    thread = threading.Thread(target=beat)
    thread.start()
    return thread


def test_it_names_its_owner_and_leaves_nothing(tmp_path):
    with owned(tmp_path / "run", say=print, **FAST) as claim:
        assert not claim.waited
        about = json.loads((tmp_path / "run.owner").read_text())
        assert {key: about[key] for key in ("process", "host")} == {
            key: identity()[key] for key in ("process", "host")
        }
    assert list(tmp_path.iterdir()) == []


def test_what_owners_left_that_were_killed_while_they_wrote_is_cleared(tmp_path):
    (tmp_path / ".run-e1iuwj4l.owner").write_text("{")
    with owned(tmp_path / "run", say=print, **FAST):
        pass
    assert list(tmp_path.iterdir()) == []


def test_its_heart_beats(tmp_path):
    with owned(tmp_path / "run", say=print, **FAST):
        counts = []
        for _ in range(2):
            time.sleep(0.3)
            counts.append(json.loads((tmp_path / "run.owner").read_text())["beats"])
    assert counts[1] > counts[0] > 0


def test_a_heartbeat_under_way_does_not_put_its_mark_back(tmp_path, monkeypatch):
    beating_now, written = threading.Event(), ownership.write_text

    def slowly(path: Path, text: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            beating_now.set()
            time.sleep(0.5)
        written(path, text)

    monkeypatch.setattr(ownership, "write_text", slowly)
    with owned(tmp_path / "run", say=print, **FAST):
        assert beating_now.wait(10)
    time.sleep(1.0)  # the beat would be over by now
    assert list(tmp_path.iterdir()) == []


def test_a_second_one_waits_until_the_first_is_done(tmp_path):
    said: list[str] = []
    order: list[str] = []

    def second() -> None:
        with owned(tmp_path / "run", say=said.append, **FAST) as claim:
            assert claim.waited
            order.append("second")

    with owned(tmp_path / "run", say=print, **FAST):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(1.0)  # longer than an owner may be silent elsewhere
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert len(said) == 1
    assert "waiting for it" in said[0]
    assert f"process {identity()['process']}" in said[0]


def test_a_living_owner_on_another_machine_is_waited_for(tmp_path):
    stop = threading.Event()
    thread = beating(tmp_path / "run", stop)
    time.sleep(0.2)
    began = time.monotonic()
    threading.Timer(1.2, stop.set).start()
    said: list[str] = []
    with owned(tmp_path / "run", say=said.append, **FAST) as claim:
        assert claim.waited
        assert time.monotonic() - began > 1.2
    thread.join()
    assert "n9, SLURM job 77" in said[0]
    assert "no sign of life" in said[-1]


def test_an_owner_that_died_on_another_machine_is_taken_over_with_a_word(tmp_path):
    other(tmp_path / "run")
    said: list[str] = []
    with owned(tmp_path / "run", say=said.append, **FAST) as claim:
        claim.check()
    assert any("process 4 on n9, SLURM job 77 has given no sign of life" in text for text in said)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_owner_file_does_not_stop_anyone(tmp_path):
    (tmp_path / "run.owner").write_bytes(b"\x00{ half")
    with owned(tmp_path / "run", say=print, **FAST):
        pass


def test_what_died_on_this_machine_is_taken_over_at_once(tmp_path):
    other(tmp_path / "run", machine=identity()["machine"])
    (tmp_path / "run.lock").touch()
    began = time.monotonic()
    with owned(tmp_path / "run", **{**FAST, "stale_seconds": 60.0}, say=print):
        assert time.monotonic() - began < 5


def test_a_requeued_job_goes_on_at_once_in_the_place_of_its_earlier_life(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    other(tmp_path / "run")
    said: list[str] = []
    with owned(tmp_path / "run", say=said.append, **{**FAST, "stale_seconds": 60.0}):
        pass
    assert "earlier life on n9" in said[0]


@pytest.mark.parametrize("jump", [-1e9, 1e9])
def test_a_clock_that_jumps_decides_nothing(tmp_path, monkeypatch, jump):
    stop = threading.Event()
    thread = beating(tmp_path / "run", stop)
    time.sleep(0.2)
    true_time = time.time
    monkeypatch.setattr(time, "time", lambda: true_time() + jump)
    with (
        pytest.raises(OwnedElsewhereError),
        owned(tmp_path / "run", say=print, wait=False, **FAST),
    ):
        pass
    stop.set()
    thread.join()


def test_without_waiting_a_dead_owner_elsewhere_is_still_taken_over(tmp_path):
    other(tmp_path / "run")
    with owned(tmp_path / "run", say=print, wait=False, **FAST):
        pass


def test_who_was_taken_over_steps_back_and_saves_nothing(tmp_path):
    checkpoints = Checkpoints(tmp_path / "run", heartbeat_seconds=0.05)
    with checkpoints.owned(print):
        checkpoints.save(1, {"step": 1})
        other(tmp_path / "run")
        time.sleep(0.3)
        with pytest.raises(InputError, match="process 4 on n9, SLURM job 77 took over"):
            checkpoints.save(2, {"step": 2})
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["step-000000001.pt"]
    assert json.loads((tmp_path / "run.owner").read_text())["token"] == "theirs"


def test_where_flock_does_not_work_heartbeats_alone_decide(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        owned(tmp_path / "run", say=print, **FAST),
        pytest.raises(OwnedElsewhereError),
        owned(tmp_path / "run", say=print, wait=False, **FAST),
    ):
        pass
    other(tmp_path / "run")
    with owned(tmp_path / "run", say=print, **FAST):
        pass


HOLDER = """
import sys, time
from pathlib import Path
from nir.ownership import owned
with owned(Path(sys.argv[1]), what="", say=print):
    print("held", flush=True)
    time.sleep(60)
"""


def test_after_a_hard_kill_the_next_one_starts_at_once(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(OwnedElsewhereError), owned(tmp_path / "run", say=print, wait=False, **FAST):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    began = time.monotonic()
    with owned(tmp_path / "run", say=print, what="", wait=False):
        assert time.monotonic() - began < ownership.STALE_SECONDS / 10
    process.stdout.close()
