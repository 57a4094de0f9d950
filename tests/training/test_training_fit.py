"""Training: what is remembered, what is logged, when it stops, and that killing it changes nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from baselines.batch import Batch
from baselines.config import LossConfig, ScoringConfig
from baselines.errors import BadInput
from baselines.extractors.comirec import ComiRecSA
from baselines.interests import InterestExtractor, Interests
from baselines.recommender import Recommender
from baselines.samplers import UniformProposal
from experiments.data.dataset import Dataset
from experiments.training.config import Schedule, TrainingConfig
from experiments.training.fit import DivergedError, FitResult, Row, fit
from experiments.training.optimisers import make_optimisers, set_step_size
from experiments.training.stopwatch import Stopwatch

CONFIG = TrainingConfig(max_steps=12, evaluate_every=3, batch_size=16, learning_rate=0.01, patience=99)


class Dropped(InterestExtractor):
    """Interests with dropout, so that torch's own random state matters, and a penalty."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.drop = ComiRecSA(8, 10, n_interests=2), nn.Dropout(0.3)
        self.spare = nn.Parameter(torch.ones(4))

    def forward(self, history: Tensor, history_mask: Tensor) -> Interests:
        found = self.inner(self.drop(history), history_mask)
        penalties = {"spare": self.spare.square().sum()} if self.training else {}
        return replace(found, penalties=penalties)


def make(dataset: Dataset, seed: int = 0, weights: dict[str, float] | None = None) -> Recommender:
    torch.manual_seed(seed)
    loss = LossConfig(n_negatives=20, weights=weights or {})
    scoring = ScoringConfig(width=8, max_history=10)
    return Recommender(dataset.n_items, Dropped(), scoring, loss, UniformProposal(dataset.n_items))


def bits(model: Recommender) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}


def scripted(values: list[float]) -> Callable[[], float]:
    """A validation that returns these values in turn."""
    left = iter(values)
    return lambda: next(left)


def drift(model: Recommender) -> Callable[[], float]:
    """A validation that is a function of the parameters."""
    return lambda: float(model.table.weight.detach().abs().mean())


def run(model: Recommender, dataset: Dataset, config: TrainingConfig = CONFIG, **knobs: object) -> FitResult:
    return fit(model, dataset.train, drift(model), config, seed=5, **knobs)  # type: ignore[arg-type]


class Killed(Exception):
    pass


@pytest.mark.parametrize("killed_at", [1, 2, 4])
def test_killed_at_a_validation_and_resumed_it_ends_with_the_same_bits(
    dataset: Dataset, tmp_path: Path, killed_at: int
) -> None:
    whole = make(dataset)
    expected = run(whole, dataset)

    file, victim = tmp_path / "state.pt", make(dataset)
    calls = 0

    def validate() -> float:
        nonlocal calls
        calls += 1
        if calls == killed_at:
            raise Killed
        return drift(victim)()

    with pytest.raises(Killed):
        fit(victim, dataset.train, validate, CONFIG, seed=5, checkpoint=file)
    assert file.exists() == (killed_at > 1)

    torch.manual_seed(777)  # another process, another life
    resumed, told = make(dataset, seed=1 if killed_at > 1 else 0), list[Row]()
    found = run(resumed, dataset, checkpoint=file, on_row=told.append)
    assert bits(resumed) == bits(whole)
    assert found.rows == told == expected.rows
    assert (found.best_step, found.best_value, found.n_steps) == (expected.best_step, expected.best_value, 12)


def test_stopped_between_validations_it_goes_on_from_the_last_checkpoint(dataset: Dataset, tmp_path: Path) -> None:
    whole, file = make(dataset), tmp_path / "state.pt"
    expected = run(whole, dataset)
    victim = make(dataset)
    usual = victim.losses

    def losses(batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        calls.append(1)
        if len(calls) == 9:  # two steps after the checkpoint of step 6
            raise Killed
        return usual(batch, generator)

    calls: list[int] = []
    victim.losses = losses  # type: ignore[method-assign]
    with pytest.raises(Killed):
        run(victim, dataset, checkpoint=file)
    resumed = make(dataset, seed=9)
    assert run(resumed, dataset, checkpoint=file).rows == expected.rows
    assert bits(resumed) == bits(whole)


def test_a_finished_run_resumed_takes_no_step(dataset: Dataset, tmp_path: Path) -> None:
    whole, again = make(dataset), make(dataset, seed=4)
    expected = run(whole, dataset, checkpoint=tmp_path / "state.pt")
    found = run(again, dataset, checkpoint=tmp_path / "state.pt")
    assert bits(again) == bits(whole)
    assert found.rows == expected.rows
    assert "forward" not in found.seconds


def test_more_steps_can_be_asked_for_later_and_means_stay_means(dataset: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "state.pt"
    constant = replace(CONFIG, schedule="constant")  # the other goes by how many steps there will be
    run(make(dataset), dataset, replace(constant, max_steps=4), checkpoint=file)
    rows = run(make(dataset), dataset, replace(constant, max_steps=6), checkpoint=file).rows
    every = run(make(dataset), dataset, replace(constant, max_steps=6, evaluate_every=1)).rows
    assert [row["step"] for row in rows] == [3, 4, 6]
    for row, steps in zip(rows, ([0, 1, 2], [3], [4, 5]), strict=True):
        mean = sum(every[i]["loss/softmax"] for i in steps) / len(steps)
        assert row["loss/softmax"] == pytest.approx(mean, rel=1e-5)


def test_early_stopping_restores_the_best_step_and_leaves_eval_mode(dataset: Dataset) -> None:
    model, seen, modes = make(dataset), [], []
    values = scripted([0.1, 0.5, 0.2, 0.5, 0.3])

    def validate() -> float:
        seen.append(bits(model))
        modes.append(model.training)
        return values()

    config = replace(CONFIG, max_steps=1000, patience=2)
    found = fit(model, dataset.train, validate, config, seed=0)
    assert (found.best_step, found.best_value, found.n_steps) == (6, 0.5, 12)
    assert bits(model) == seen[1]
    assert bits(model) != seen[3]
    assert [row["validation/recall@50"] for row in found.rows] == [0.1, 0.5, 0.2, 0.5]
    assert modes == [False] * 4
    assert not model.training


def test_the_last_step_is_validated_even_between_validations(dataset: Dataset) -> None:
    rows = run(make(dataset), dataset, replace(CONFIG, max_steps=4)).rows
    assert [row["step"] for row in rows] == [3, 4]


@pytest.mark.parametrize("broken", ["softmax", "spare"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_term_that_is_not_finite_stops_the_run_with_its_name_and_step(
    dataset: Dataset, broken: str, value: float
) -> None:
    model = make(dataset)
    usual, calls = model.losses, []

    def losses(batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        calls.append(1)
        terms = usual(batch, generator)
        return {**terms, broken: terms[broken] * value} if len(calls) == 5 else terms

    model.losses = losses  # type: ignore[method-assign]
    with pytest.raises(DivergedError, match=f"at step 5: loss term '{broken}' = {value}"):
        run(model, dataset)
    for tensor in model.state_dict().values():
        assert torch.isfinite(tensor).all(), "nothing broken was learnt from"


def test_what_is_refused_of_parameters_that_broke_is_called_divergence(dataset: Dataset) -> None:
    """Clusters of a NaN are refused before a loss is made of them; so are what else reads the table."""
    refusal = BadInput("vector 3 is not finite")
    for value, expected in ((math.nan, DivergedError), (1.0, BadInput)):
        model = make(dataset)

        def losses(batch: Batch, generator: torch.Generator, model: Recommender = model, value: float = value) -> None:
            with torch.no_grad():
                model.table.weight[1] = value
            raise refusal

        model.losses = losses  # type: ignore[assignment,method-assign]
        with pytest.raises(expected, match="vector 3 is not finite") as raised:
            run(model, dataset)
        assert type(raised.value) is expected


def test_parameters_that_break_are_noticed_at_the_next_step(dataset: Dataset) -> None:
    model = make(dataset)

    def validate() -> float:
        with torch.no_grad():
            model.table.weight[1:] = math.nan
        return 0.5

    with pytest.raises(DivergedError, match="at step 4: loss term 'softmax' = nan"):
        fit(model, dataset.train, validate, CONFIG, seed=0)


def test_weights_are_applied_once_and_all_terms_are_logged(dataset: Dataset) -> None:
    rows = run(make(dataset, weights={"spare": 0.25}), dataset, replace(CONFIG, evaluate_every=1, max_steps=1)).rows
    plain = run(make(dataset), dataset, replace(CONFIG, evaluate_every=1, max_steps=1)).rows
    assert rows[0]["loss/spare"] == plain[0]["loss/spare"] == 4.0
    assert rows[0]["loss/softmax"] == plain[0]["loss/softmax"]
    assert rows[0]["loss/weighted_sum"] == pytest.approx(rows[0]["loss/softmax"] + 0.25 * 4.0)
    assert plain[0]["loss/weighted_sum"] == pytest.approx(plain[0]["loss/softmax"] + 4.0)


def test_a_weight_of_0_switches_a_term_off(dataset: Dataset) -> None:
    on, off = make(dataset), make(dataset, weights={"spare": 0.0})
    run(on, dataset)
    run(off, dataset)
    assert isinstance(on.extractor, Dropped)
    assert isinstance(off.extractor, Dropped)
    assert torch.equal(off.extractor.spare, torch.ones(4))
    assert (on.extractor.spare < 1).all()


def test_the_weight_of_a_term_that_is_not_there_is_refused(dataset: Dataset) -> None:
    with pytest.raises(BadInput, match="unknown loss term 'spar': did you mean 'spare'"):
        run(make(dataset, weights={"spar": 2.0}), dataset)


def test_an_undefined_monitor_is_refused(dataset: Dataset) -> None:
    with pytest.raises(BadInput, match=r"training\.monitor is not defined"):
        fit(make(dataset), dataset.train, lambda: math.nan, CONFIG, seed=0)


@pytest.fixture
def saved(dataset: Dataset, tmp_path: Path) -> Path:
    run(make(dataset), dataset, checkpoint=tmp_path / "state.pt")
    return tmp_path / "state.pt"


@pytest.mark.parametrize("damage", ["empty", "truncated", "rubbish", "flipped"])
def test_a_corrupted_checkpoint_is_one_clear_error_and_is_left_alone(
    dataset: Dataset, saved: Path, damage: str
) -> None:
    whole = saved.read_bytes()
    middle = len(whole) // 2
    content = {
        "empty": b"",
        "truncated": whole[:middle],
        "rubbish": b"not a checkpoint at all",
        "flipped": whole[:middle] + bytes(255 - byte for byte in whole[middle : middle + 400]) + whole[middle + 400 :],
    }[damage]
    saved.write_bytes(content)
    with pytest.raises(BadInput, match=r"state.pt: the checkpoint cannot be read .* Remove that file"):
        run(make(dataset), dataset, checkpoint=saved)
    assert saved.read_bytes() == content


def test_the_checkpoint_of_another_model_is_refused(dataset: Dataset, saved: Path) -> None:
    torch.manual_seed(0)
    other = Recommender(
        dataset.n_items, ComiRecSA(8, 10), ScoringConfig(width=8, max_history=10), LossConfig(kind="full_softmax")
    )
    with pytest.raises(BadInput, match="the checkpoint cannot be read"):
        run(other, dataset, checkpoint=saved)


def test_a_crash_while_saving_leaves_the_former_checkpoint_whole(
    dataset: Dataset, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def half(path: Path, content: bytes) -> None:
        with open(path, "wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space left"):
        run(make(dataset), dataset, replace(CONFIG, max_steps=15), checkpoint=saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["state.pt"]


def test_a_phase_lasts_until_the_device_is_done() -> None:
    watch = Stopwatch(lambda: time.sleep(0.02))
    with watch.phase("one"):
        pass
    assert watch.seconds["one"] >= 0.02


def test_the_stopwatch_sums_phases_even_of_a_block_that_fails() -> None:
    watch = Stopwatch()
    for _ in range(2):
        with watch.phase("one"):
            pass
    with pytest.raises(Killed), watch.phase("two"):
        raise Killed
    assert watch.seconds.keys() == {"one", "two"}
    assert all(seconds >= 0 for seconds in watch.seconds.values())


@pytest.mark.parametrize(("schedule", "expected"), [("linear", [1.0, 0.75, 0.5, 0.25]), ("constant", [1.0] * 4)])
def test_the_step_size_follows_its_schedule_for_all_parameters(
    dataset: Dataset, schedule: Schedule, expected: list[float]
) -> None:
    config = TrainingConfig(max_steps=4, learning_rate=0.08, schedule=schedule)
    optimisers = make_optimisers(make(dataset), config)
    assert optimisers.keys() == {"adam", "lazy_adam"}
    for step, share in enumerate(expected, start=1):
        set_step_size(optimisers, config, step)
        for optimiser in optimisers.values():
            assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([0.08 * share])
