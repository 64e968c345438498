"""The training loop: what it logs, when it stops, and that an interruption leaves no trace."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from nir.checkpoints import Checkpoints
from nir.errors import InputError
from nir.optimisers import Adam
from nir.progress import Progress
from nir.random import generator_for
from nir.recipes.base import Recipe
from nir.tasks.contract import Task
from nir.training import State, Trainer, TrainingInterruptedError

CPU = torch.device("cpu")


@dataclass
class Points:
    x: Tensor
    y: Tensor


class Regression(Task):
    """Fits a sine from points drawn anew at every step; may be told to go wrong or to stop."""

    def __init__(
        self,
        *,
        bad_step: int | None = None,
        stop_step: int | None = None,
        stopped_by: signal.Signals = signal.SIGTERM,
    ) -> None:
        generator = generator_for(0, "start")
        self.field = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
        with torch.no_grad():
            for parameter in self.field.parameters():
                parameter.uniform_(-1, 1, generator=generator)
        self.bad_step, self.stop_step, self.stopped_by = bad_step, stop_step, stopped_by
        self.seen: list[int] = []

    def batch(self, step: int, generator: Generator) -> Points:
        self.seen.append(step)
        if step == self.stop_step:
            os.kill(os.getpid(), self.stopped_by)
        x = torch.rand(32, 1, generator=generator)
        y = torch.sin(3 * x)
        return Points(x, y * math.nan if step == self.bad_step else y)

    def losses(self, batch: Points) -> dict[str, Tensor]:
        error = torch.mean((self.field(batch.x) - batch.y) ** 2)
        size = 1e-4 * sum(p.square().sum() for p in self.field.parameters())
        return {"value": error, "size": size}

    def predict(self, out: Path) -> None:
        raise NotImplementedError

    def monitor(self) -> dict[str, float]:
        return {"first_weight": self.field[0].weight[0, 0].item()}


def recipe(**values: Any) -> Recipe:
    return Recipe(**{"steps": 60, "learning_rate": 0.01, "log_every": 25, **values})


def train(
    folder: Path, task: Task, *, checkpoint_seconds: float = 60.0, seed: int = 0, **values: Any
) -> State:
    chosen = recipe(**values)
    trainer = Trainer(
        recipe=chosen,
        seed=seed,
        device=CPU,
        checkpoints=Checkpoints(folder),
        progress=Progress(label="test/run", steps=chosen.steps, folder=folder),
        checkpoint_seconds=checkpoint_seconds,
    )
    return trainer.train(task)


def weights(task: Task) -> list[Tensor]:
    return [p.detach().clone() for p in task.field.parameters()]


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture
def undisturbed(tmp_path) -> tuple[list[Tensor], list[dict]]:
    task = Regression()
    state = train(tmp_path / "undisturbed", task)
    return weights(task), state.rows


def test_the_loss_decreases(undisturbed):
    _, rows = undisturbed
    assert rows[-1]["loss"] < 0.3 * rows[0]["loss"]


def test_a_row_is_what_holds_after_that_many_updates(tmp_path, undisturbed):
    _, rows = undisturbed
    assert [row["step"] for row in rows] == [0, 25, 50, 60]
    assert list(rows[0]) == ["step", "loss", "loss_value", "loss_size", "first_weight"]
    fresh = Regression()
    first = fresh.losses(fresh.batch(0, generator_for(0, "step", 0)))
    assert rows[0]["loss_value"] == first["value"].item()
    assert rows[0]["first_weight"] == fresh.monitor()["first_weight"]
    shorter = Regression()
    train(tmp_path, shorter, steps=25)
    assert rows[1]["first_weight"] == shorter.monitor()["first_weight"]


def test_the_logged_loss_is_the_sum_of_its_terms(undisturbed):
    for row in undisturbed[1]:
        assert row["loss"] == pytest.approx(row["loss_value"] + row["loss_size"], rel=1e-12)


def test_gradient_descent_moves_weights_by_the_learning_rate_times_the_gradient(tmp_path):
    task = Regression()
    before = weights(task)
    batch = task.batch(0, generator_for(0, "step", 0))
    loss = sum(task.losses(batch).values())
    gradients = torch.autograd.grad(loss, list(task.field.parameters()))
    train(tmp_path, task, steps=1, optimiser="sgd", learning_rate=0.1)
    expected = [b - 0.1 * g for b, g in zip(before, gradients, strict=True)]
    for moved, value in zip(weights(task), expected, strict=True):
        torch.testing.assert_close(moved, value)


def test_no_steps_leave_the_start_and_one_row(tmp_path):
    task = Regression()
    before = weights(task)
    assert [row["step"] for row in train(tmp_path, task, steps=0).rows] == [0]
    assert same(before, weights(task))


def test_each_batch_depends_on_seed_and_step_alone(tmp_path):
    batches = [Regression().batch(3, generator_for(0, "step", 3)).x for _ in range(2)]
    assert torch.equal(*batches)
    tasks = [Regression(), Regression(), Regression()]
    for name, (task, seed) in enumerate(zip(tasks, (0, 0, 1), strict=True)):
        train(tmp_path / str(name), task, seed=seed)
    assert same(weights(tasks[0]), weights(tasks[1]))
    assert not same(weights(tasks[0]), weights(tasks[2]))


def test_training_leaves_the_global_generator_alone(tmp_path):
    before = torch.random.get_rng_state()
    task = Regression()
    state = torch.random.get_rng_state()
    train(tmp_path, task)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.random.set_rng_state(before)


def test_one_update_is_adams_with_the_decayed_learning_rate(tmp_path):
    task, by_hand = Regression(), Regression()
    train(tmp_path, task, steps=7, learning_rate_decay=0.1)
    optimiser = torch.optim.Adam(by_hand.field.parameters())
    for step in range(7):
        optimiser.param_groups[0]["lr"] = 0.01 * 0.1 ** (step / 7)
        optimiser.zero_grad()
        batch = by_hand.batch(step, generator_for(0, "step", step))
        sum(by_hand.losses(batch).values()).backward()
        optimiser.step()
    for ours, expected in zip(weights(task), weights(by_hand), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-7)


class GroupedRegression(Regression):
    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        first, last = self.field[0], self.field[2]
        return [
            {"params": list(first.parameters()), "lr": 0.0},
            {"params": list(last.parameters()), "lr": learning_rate},
        ]


def test_groups_keep_their_own_learning_rates(tmp_path):
    task = GroupedRegression()
    before = weights(task)
    train(tmp_path, task, learning_rate_decay=0.5)
    after = weights(task)
    assert same(before[:2], after[:2])
    assert not torch.equal(before[2], after[2])


def test_the_gradients_norm_is_clipped(tmp_path):
    def update_size(clip: float) -> float:
        task = Regression()
        sizes = []
        original = Adam.step

        def step(self, *args, **options):
            gradients = [p.grad for g in self.param_groups for p in g["params"]]
            sizes.append(torch.cat([g.flatten() for g in gradients]).norm().item())
            return original(self, *args, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Adam, "step", step)
            train(tmp_path / str(clip), task, steps=3, gradient_clip=clip)
        return max(sizes)

    assert update_size(0.0) > 0.5
    assert update_size(1e-3) == pytest.approx(1e-3, rel=1e-3)


LBFGS = {"optimiser": "lbfgs", "learning_rate": 1.0, "steps": 6, "lbfgs_iterations": 5}


def test_lbfgs_ends_lower_than_as_many_gradients_by_adam(tmp_path):
    searched, descended = Regression(), Regression()
    rows = train(tmp_path / "lbfgs", searched, **{**LBFGS, "lbfgs_iterations": 20}).rows
    other = train(tmp_path / "adam", descended, steps=150).rows  # 25 gradients for 20 iterations
    assert rows[-1]["loss"] < 0.5 * other[-1]["loss"]


def largest_gradient(task: Regression) -> float:
    """The largest slope of the first step's loss."""
    task.field.zero_grad()
    sum(task.losses(task.batch(0, generator_for(0, "step", 0))).values()).backward()
    return max(p.grad.abs().max().item() for p in task.field.parameters())


def test_lbfgs_solves_a_linear_problem_in_one_step(tmp_path):
    task = Regression()
    task.field = nn.Linear(1, 1)
    task.monitor = dict
    before = largest_gradient(task)
    values = {**LBFGS, "steps": 1, "lbfgs_iterations": 50}
    rows = train(tmp_path, task, **values).rows
    assert rows[0]["loss"] > 0
    assert largest_gradient(task) < 1e-3 * before


@pytest.mark.parametrize("stop_step", [1, 4])
def test_lbfgs_interrupted_and_continued_is_as_if_nothing_had_been(tmp_path, stop_step):
    straight = Regression()
    train(tmp_path / "straight", straight, **LBFGS)
    with pytest.raises(TrainingInterruptedError):
        train(tmp_path / "cut", Regression(stop_step=stop_step), **LBFGS)
    continued = Regression()
    train(tmp_path / "cut", continued, **LBFGS)
    assert same(weights(straight), weights(continued))


def test_lbfgs_refuses_clipped_gradients():
    values = {**LBFGS, "gradient_clip": 1.0}
    with pytest.raises(InputError, match="gradient_clip"):
        Recipe.from_dict(values)


@pytest.mark.parametrize("bad_step", [0, 33, 60])
def test_a_loss_that_is_not_finite_names_term_and_step_and_keeps_the_batch(tmp_path, bad_step):
    with pytest.raises(InputError) as raised:
        train(tmp_path, Regression(bad_step=bad_step))
    text = str(raised.value)
    assert "\n" not in text
    assert "'value' is nan" in text
    assert f"at step {bad_step}" in text
    assert "test/run" in text
    kept = next(tmp_path.glob("not-finite-*.pt"))
    assert str(kept) in text
    saved = torch.load(kept, weights_only=True)
    assert saved["term"] == "value"
    assert torch.isnan(saved["batch"]["y"]).all()
    assert torch.isfinite(saved["batch"]["x"]).all()


def test_a_training_that_was_not_finite_does_not_go_on_from_it(tmp_path):
    with pytest.raises(InputError):
        train(tmp_path, Regression(bad_step=33), checkpoint_seconds=-1.0)
    for path in tmp_path.glob("step-*.pt"):
        payload = Checkpoints(tmp_path).load_last(CPU, print)
        assert all(torch.isfinite(t).all() for t in payload["field"].values()), path


@pytest.mark.parametrize("stop_step", [0, 1, 24, 25, 26, 50, 58, 59])
def test_interrupted_anywhere_and_continued_is_as_if_nothing_had_been(
    tmp_path, undisturbed, stop_step
):
    with pytest.raises(TrainingInterruptedError) as raised:
        train(tmp_path, Regression(stop_step=stop_step))
    assert raised.value.exit_code == 143
    assert f"after step {stop_step + 1}" in str(raised.value)
    task = Regression()
    state = train(tmp_path, task)
    assert task.seen[0] == stop_step + 1
    assert same(weights(task), undisturbed[0])
    assert state.rows == undisturbed[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2])
def test_each_warning_of_a_scheduler_saves_and_ends_with_its_own_exit_code(tmp_path, number):
    with pytest.raises(TrainingInterruptedError) as raised:
        train(tmp_path, Regression(stop_step=20, stopped_by=number))
    assert raised.value.exit_code == 128 + number
    assert [path.name for path in tmp_path.glob("step-*.pt")] == ["step-000000021.pt"]


def test_interrupted_many_times_is_as_if_nothing_had_been(tmp_path, undisturbed):
    for stop_step in (3, 17, 18, 44):
        with pytest.raises(TrainingInterruptedError):
            train(tmp_path, Regression(stop_step=stop_step))
    task = Regression()
    state = train(tmp_path, task)
    assert same(weights(task), undisturbed[0])
    assert state.rows == undisturbed[1]


def test_a_finished_training_started_again_changes_nothing(tmp_path):
    task, again = Regression(), Regression()
    rows = train(tmp_path, task).rows
    assert train(tmp_path, again).rows == rows
    assert same(weights(task), weights(again))
    assert again.seen == []


def test_signals_are_handed_back_after_training(tmp_path):
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    train(tmp_path, Regression())
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes(b"" if how == "empty" else content[: len(content) // 2 or None])
    if how == "flipped":
        path.write_bytes(content)


@pytest.mark.parametrize("how", ["flipped", "truncated", "empty"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(
    tmp_path, undisturbed, capsys, how
):
    with pytest.raises(TrainingInterruptedError):
        train(tmp_path, Regression(stop_step=40), checkpoint_seconds=-1.0)
    newest = max(tmp_path.glob("step-*.pt"))
    damage(newest, how)
    task = Regression()
    state = train(tmp_path, task)
    assert task.seen[0] == 40
    assert same(weights(task), undisturbed[0])
    assert state.rows == undisturbed[1]
    said = capsys.readouterr().err
    assert str(newest) in said
    assert "damaged checkpoint" in said


def test_when_all_checkpoints_are_damaged_training_starts_over(tmp_path, undisturbed, capsys):
    with pytest.raises(TrainingInterruptedError):
        train(tmp_path, Regression(stop_step=40), checkpoint_seconds=-1.0)
    for path in tmp_path.glob("step-*.pt"):
        damage(path, "truncated")
    task = Regression()
    train(tmp_path, task)
    assert task.seen[0] == 0
    assert same(weights(task), undisturbed[0])
    assert capsys.readouterr().err.count("damaged checkpoint") == 2


def test_only_the_last_two_checkpoints_are_kept(tmp_path):
    train(tmp_path, Regression(), checkpoint_seconds=-1.0)
    assert sorted(p.name for p in tmp_path.glob("step-*.pt")) == [
        "step-000000059.pt",
        "step-000000060.pt",
    ]


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path):
    saved = {"step": 3, "rows": [{"step": 0, "loss": 0.1 + 0.2}], "field": {"w": torch.rand(3)}}
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(3, saved)
    loaded = checkpoints.load_last(CPU, print)
    assert loaded["rows"] == saved["rows"]
    assert torch.equal(loaded["field"]["w"], saved["field"]["w"])
    checkpoints.remove()
    assert not tmp_path.exists()
    assert checkpoints.load_last(CPU, print) is None


# ---- a real process, really killed ----

SETTINGS = ["resolution=32", "width=24", "derivatives=false", "log_every=10", "learning_rate=1e-3"]


def command(out: Path, *settings: str, seconds: float = 60.0) -> list[str]:
    options = ["--out", str(out), "--device", "cpu", "--threads", "1", "--data-root", str(out)]
    options += ["--checkpoint-seconds", str(seconds), "--set", *SETTINGS, *settings]
    return [sys.executable, "-m", "nir", "train", "siren_image", "camera", *options]


def wait_for_training(process: subprocess.Popen, out: Path) -> bool:
    """Wait until the process trains; False if it ended before that was seen."""
    while process.poll() is None:
        if any(out.glob(".checkpoints/*/progress.json")):
            return True
        time.sleep(0.005)
    return False


def results(out: Path) -> tuple[dict[str, Tensor], bytes]:
    model = torch.load(out / "model.pt", weights_only=True)
    return model, (out / "log.csv").read_bytes()


def assert_equal_results(first: Path, second: Path) -> None:
    (model, log), (other_model, other_log) = results(first), results(second)
    assert model.keys() == other_model.keys()
    assert all(torch.equal(model[key], other_model[key]) for key in model)
    assert log == other_log


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Path:
    """The folder of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("straight")
    subprocess.run(command(out, "steps=900"), check=True, capture_output=True)
    return out


@pytest.mark.slow
def test_sigterm_saves_and_exits_with_143_and_the_rest_is_as_undisturbed(tmp_path, straight):
    stopped = tmp_path / "stopped"
    process = subprocess.Popen(command(stopped, "steps=900"), stderr=subprocess.PIPE, text=True)
    assert wait_for_training(process, stopped)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "stopped by SIGTERM after step" in said
    assert "Traceback" not in said
    assert not (stopped / "model.pt").exists()
    again = subprocess.run(
        command(stopped, "steps=900"), check=True, capture_output=True, text=True
    )
    assert "goes on from step" in again.stderr
    assert_equal_results(straight, stopped)
    assert not any(stopped.glob(".checkpoints/*"))


@pytest.mark.slow
def test_with_kept_checkpoints_the_same_training_again_ends_at_once(tmp_path):
    keeping = [*command(tmp_path, "steps=30"), "--keep-checkpoints"]
    subprocess.run(keeping, check=True, capture_output=True)
    first = results(tmp_path)
    (tmp_path / "model.pt").unlink()
    again = subprocess.run(keeping, check=True, capture_output=True, text=True)
    assert "goes on from step 30 of 30" in again.stderr
    assert all(torch.equal(results(tmp_path)[0][key], value) for key, value in first[0].items())
    names = {path.name for path in tmp_path.glob(".checkpoints/*/*")}
    assert names == {"finished", "step-000000030.pt"}


@pytest.mark.slow
def test_killed_at_random_moments_and_started_again_ends_in_the_same_bytes(tmp_path, straight):
    killed = tmp_path / "killed"
    moments = random.Random(4)
    kills = 0
    for _ in range(3):
        process = subprocess.Popen(
            command(killed, "steps=900", seconds=0.02), stderr=subprocess.DEVNULL
        )
        for stale in killed.glob(".checkpoints/*/progress.json"):
            stale.unlink(missing_ok=True)
        if wait_for_training(process, killed):
            time.sleep(moments.uniform(0.0, 0.4))
        kills += process.poll() is None
        process.kill()
        process.wait()
    assert kills >= 2
    finished = subprocess.run(
        command(killed, "steps=900"), check=True, capture_output=True, text=True
    )
    assert "goes on from step" in finished.stderr
    assert_equal_results(straight, killed)


@pytest.mark.slow
def test_a_loss_that_explodes_in_a_real_run_is_one_line_and_exit_code_2(tmp_path):
    finished = subprocess.run(
        command(tmp_path / "run", "steps=50", "learning_rate=1e38"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 2
    assert "loss term 'value'" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (tmp_path / "run" / "model.pt").exists()
