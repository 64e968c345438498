"""Devices: trainings side by side on the GPUs of one machine, tried with a stated list of them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from nir.devices import VISIBLE, gpu_slot, gpus_of_machine
from nir.errors import InputError


def test_each_takes_a_free_one_and_sees_it_alone(tmp_path, monkeypatch):
    monkeypatch.setenv(VISIBLE, "3, 5")
    with gpu_slot("auto", print, tmp_path) as first:
        assert first == os.environ[VISIBLE] == "3"
        monkeypatch.setenv(VISIBLE, "3,5")  # another process sees both
        with gpu_slot("cuda", print, tmp_path) as second:
            assert second == os.environ[VISIBLE] == "5"


def test_what_was_visible_before_is_visible_again(tmp_path, monkeypatch):
    monkeypatch.setenv(VISIBLE, "0,1")
    with gpu_slot("auto", print, tmp_path):
        pass
    assert os.environ[VISIBLE] == "0,1"


@pytest.mark.parametrize("visible", ["", "-1"])
def test_without_a_gpu_nothing_is_held(tmp_path, monkeypatch, visible):
    monkeypatch.setenv(VISIBLE, visible)
    assert gpus_of_machine() == []
    with gpu_slot("auto", print, tmp_path) as gpu:
        assert gpu == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_a_device_that_was_named_needs_no_slot(tmp_path, monkeypatch, device):
    monkeypatch.setenv(VISIBLE, "0,1")
    with gpu_slot(device, print, tmp_path) as gpu:
        assert gpu == ""
        assert os.environ[VISIBLE] == "0,1"


TAKER = """
import sys, time
from pathlib import Path
from nir.devices import gpu_slot
with gpu_slot("auto", lambda text: print("waits", flush=True), Path(sys.argv[1])) as gpu:
    print(gpu, flush=True)
    time.sleep(60)
"""


def take(folder, **variables) -> subprocess.Popen:
    environment = os.environ | {VISIBLE: "0,1"} | variables
    command = [sys.executable, "-c", TAKER, str(folder)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def end(processes) -> None:
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_third_process_waits_and_gets_the_gpu_of_one_that_was_killed(tmp_path):
    processes = [take(tmp_path)]
    assert processes[0].stdout.readline() == "0\n"
    processes.append(take(tmp_path))
    assert processes[1].stdout.readline() == "1\n"
    processes.append(take(tmp_path))
    assert processes[2].stdout.readline() == "waits\n"
    processes[1].kill()
    assert processes[2].stdout.readline() == "1\n"
    end(processes)


def test_sharing_is_asked_for(tmp_path):
    processes, seen = [], []
    for _ in range(4):
        processes.append(take(tmp_path, NIR_TRAININGS_PER_GPU="2"))
        seen.append(processes[-1].stdout.readline().strip())
    end(processes)
    assert seen == ["0", "1", "0", "1"]


def test_nonsense_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv(VISIBLE, "0")
    monkeypatch.setenv("NIR_TRAININGS_PER_GPU", "many")
    with (
        pytest.raises(InputError, match="NIR_TRAININGS_PER_GPU=many"),
        gpu_slot("auto", print, tmp_path),
    ):
        pass


def test_threads_that_ask_at_once_never_get_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv(VISIBLE, "0,1,2")
    from nir import devices

    held, most, lock = [], [], threading.Lock()

    def work() -> None:
        import contextlib

        with contextlib.ExitStack() as stack:
            gpu = devices._take(["0", "1", "2"], tmp_path, lambda _: None, stack)
            with lock:
                assert gpu not in held
                held.append(gpu)
                most.append(len(held))
            time.sleep(0.05)
            with lock:
                held.remove(gpu)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 6
    assert max(most) == 3
