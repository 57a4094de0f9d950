"""A search never sees a test user, never loses to the defaults, and has the same trials however often it is killed."""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from baselines.errors import BadInput, Refused
from baselines.sequences import Sequences
from experiments.data.dataset import Dataset
from experiments.data.splits import EvaluationUsers
from experiments.registry import METHODS
from experiments.training.config import TrainingConfig
from experiments.training.fit import DivergedError, fit
from experiments.tuning import search as tuning
from experiments.tuning.search import JOURNAL, Search
from experiments.tuning.summary import Summary

BRIEF = {
    "device": "cpu", "scoring.width": 4, "training.max_steps": 5, "training.evaluate_every": 1, "loss.n_negatives": 20,
    "training.patience": 9,
}  # fmt: skip
N_TRIALS = 10


def trials(folder: Path) -> list[FrozenTrial]:
    """The trials that count, read by optuna itself."""
    backend = optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL))
    study = optuna.load_study(study_name="tuning", storage=optuna.storages.JournalStorage(backend))
    return [trial for trial in study.get_trials() if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]


def story(folder: Path) -> list[tuple[Any, ...]]:
    """What must not depend on how often a search was interrupted."""
    return [
        (t.state, t.value, t.params, t.intermediate_values, t.user_attrs.get("settings"), t.user_attrs.get("failure"))
        for t in trials(folder)
    ]


def searched(dataset: Dataset, folder: Path, method: str = "mean_pooling", n: int = N_TRIALS, **given: Any) -> Summary:
    settings = BRIEF if method == "mean_pooling" else {}
    return Search(method, {**settings, **given}, dataset).run(n, folder, lambda _: None)


@pytest.fixture(scope="module")
def done(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    folder = tmp_path_factory.mktemp("done") / "search"
    return folder, searched(dataset, folder)


def test_the_first_trial_is_the_default_and_the_best_is_never_worse(done: tuple[Path, Summary]) -> None:
    folder, summary = done
    first, *others = trials(folder)
    assert summary.default is not None
    assert summary.best is not None
    assert summary.default.settings["scoring.temperature"] == 0.07
    assert summary.default.settings["training.learning_rate"] == TrainingConfig().learning_rate
    assert summary.default.value == first.value
    assert summary.best.value == max(t.value for t in (first, *others) if t.state is TrialState.COMPLETE and t.value)
    assert summary.best.value >= summary.default.value


def test_the_second_trial_is_what_was_chosen_by_hand_for_adaptive(done: tuple[Path, Summary]) -> None:
    second = trials(done[0])[1].user_attrs["settings"]
    chosen = {key: value for key, value in METHODS["adaptive"].settings.items() if key not in BRIEF}
    assert chosen["scoring.repeats"] == "learned"
    assert chosen.items() <= second.items()


def test_who_has_these_settings_by_default_tries_them_once(dataset: Dataset) -> None:
    search = Search("adaptive", {}, dataset)
    assert search.first_parameters == [search.default_parameters]
    assert len(Search("item_knn", {}, dataset).first_parameters) == 1


def test_hopeless_trials_are_given_up_and_count_all_the_same(done: tuple[Path, Summary]) -> None:
    folder, summary = done
    pruned = [trial for trial in trials(folder) if trial.state is TrialState.PRUNED]
    assert summary.n_pruned == len(pruned) > 0
    assert summary.n_complete + summary.n_pruned == summary.n_done == N_TRIALS
    for trial in pruned:
        n = max(trial.intermediate_values)
        assert n in (tuning.N_WARM_UP, tuning.ONE_IN * tuning.N_WARM_UP)
        before = [other for other in trials(folder) if other.number < trial.number and n in other.intermediate_values]
        assert trial.intermediate_values[n] < max(other.intermediate_values[n] for other in before)


def test_a_trial_reports_every_validation_and_its_value_is_their_best(done: tuple[Path, Summary]) -> None:
    for trial in trials(done[0]):
        if trial.state is TrialState.COMPLETE:
            assert list(trial.intermediate_values) == [*range(1, 6)]
            assert trial.value == max(trial.intermediate_values.values())
            assert trial.intermediate_values[trial.user_attrs["best_step"]] == trial.value


def test_test_users_made_of_garbage_or_missing_change_nothing(
    dataset: Dataset, done: tuple[Path, Summary], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    items = rng.integers(1, dataset.n_items + 1, 40).astype(np.int32)
    halves = Sequences(items, np.arange(0, 41, 4), dataset.n_items)
    garbage = EvaluationUsers(halves, halves, np.zeros(10, np.int64))
    for name, test in {"garbage": garbage, "missing": None}.items():
        spoilt = replace(dataset, test=test)  # type: ignore[arg-type]
        assert searched(spoilt, tmp_path / name).best == done[1].best
        assert story(tmp_path / name) == story(done[0])


def test_no_test_user_is_within_reach_of_a_search(dataset: Dataset) -> None:
    assert Search("ease", {}, dataset).bench.dataset.test is dataset.validation


class Killed(BaseException):
    """Stands for kill -9: nobody catches it, nothing is tidied up."""


@pytest.mark.parametrize("moment", ["before the default ends", "within", "after the result", "half a line"])
def test_a_search_that_is_killed_goes_on_to_the_same_trials(
    dataset: Dataset, done: tuple[Path, Summary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    dies_at = {"before the default ends": 3, "within": 22, "half a line": 33}.get(moment, 10**6)
    calls: Iterator[int] = iter(range(10**6))
    quick, summarised = tuning.quick, Search._summary

    def validated(*arguments: Any) -> float:
        if next(calls) == dies_at:
            raise Killed
        return quick(*arguments)

    def summary(self: Search, study: optuna.Study, n_trials: int) -> Summary:
        if moment == "after the result" and len(study.trials) == 5:
            raise Killed
        return summarised(self, study, n_trials)

    with monkeypatch.context() as patched:
        patched.setattr(tuning, "quick", validated)
        patched.setattr(Search, "_summary", summary)
        with pytest.raises(Killed):
            searched(dataset, tmp_path)
    if moment == "half a line":
        with open(tmp_path / JOURNAL, "ab") as file:
            file.write(b'{"op_code":5,"worker_id":"x","tri')
    (tmp_path / f"{JOURNAL}.lock").symlink_to("of a dead process")
    resumed = searched(dataset, tmp_path)
    assert story(tmp_path) == story(done[0])
    assert resumed.n_interrupted == (moment != "after the result")
    assert replace(resumed, seconds=0, n_interrupted=0) == replace(done[1], seconds=0)


def test_a_search_is_prolonged_by_asking_for_more_trials(
    dataset: Dataset, done: tuple[Path, Summary], tmp_path: Path
) -> None:
    for n in (1, 6, N_TRIALS):
        summary = searched(dataset, tmp_path, n=n)
        assert (summary.n_done, summary.n_trials) == (n, n)
        assert story(tmp_path) == story(done[0])[:n]
    kept = searched(dataset, tmp_path, n=3)
    assert kept.n_done == kept.n_trials == N_TRIALS


def test_another_seed_tries_other_settings(dataset: Dataset, done: tuple[Path, Summary], tmp_path: Path) -> None:
    searched(dataset, tmp_path, n=3, seed=1)
    ours, theirs = ([t.params for t in trials(folder)] for folder in (tmp_path, done[0]))
    assert ours[:2] == theirs[:2], "these are given"
    assert ours[2] != theirs[2]


def test_what_is_given_holds_in_every_trial(dataset: Dataset, tmp_path: Path) -> None:
    given = {"scoring.similarity": "dot", "scoring.temperature": 1.0}
    summary = searched(dataset, tmp_path, n=4, **given)
    assert summary.best is not None
    assert given.items() <= summary.best.settings.items()  # the result reloads to what was measured
    assert all("similarity" not in trial.params for trial in trials(tmp_path))


def test_a_heuristic_is_tuned_over_its_own_knobs_in_the_same_way(dataset: Dataset, tmp_path: Path) -> None:
    summary = searched(dataset, tmp_path, "item_knn", n=5)
    assert summary.best is not None
    assert summary.default is not None
    assert summary.best.value >= summary.default.value
    assert summary.best.best_step is None
    assert len({str(trial.params) for trial in trials(tmp_path)}) == 5


def test_one_trial_is_enough_where_there_is_nothing_to_choose(dataset: Dataset, tmp_path: Path) -> None:
    summary = searched(dataset, tmp_path, "most_popular", n=5)
    assert (summary.n_done, summary.n_trials) == (1, 1)
    assert summary.best == summary.default


def failing(at: int, error: Exception) -> Callable[..., Any]:
    """Return fit, made to fail in trial number `at`."""
    calls = iter(range(10**6))

    def either(*arguments: Any, **options: Any) -> Any:
        if next(calls) == at:
            raise error
        return fit(*arguments, **options)

    return either


@pytest.mark.parametrize("error", [DivergedError("it diverged"), BadInput("raise l2")])
def test_a_trial_that_fails_counts_and_the_search_goes_on(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr("experiments.methods.fit", failing(1, error))
    summary = searched(dataset, tmp_path, n=4)
    assert (summary.n_complete, summary.n_pruned, summary.n_failed) == (3, 0, 1)
    assert trials(tmp_path)[1].user_attrs["failure"] == str(error)
    assert "1 failed" in summary.lines()[0]


def test_a_default_that_diverges_is_told_and_the_search_goes_on(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.methods.fit", failing(0, DivergedError("it diverged")))
    summary = searched(dataset, tmp_path, n=3)
    assert summary.default is None
    assert summary.best is not None
    assert "default settings: failed" in summary.lines()[1]


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        ("mean_pooling", {"training.monitor": "recall@50:nvel"}, "did you mean 'novel'"),
        ("mean_pooling", {"training.min_history": 10_000}, "no training user has more than"),
        ("mean_pooling", {"training.max_stesp": 3}, "did you mean 'training.max_steps'"),
        ("mean_pooling", {"training": 3}, "training must be a group of keys"),
        ("ease", {"model.max_items": 3}, "limited to max_items=3"),
    ],
)
def test_what_cannot_be_run_leaves_nothing_behind(
    dataset: Dataset, tmp_path: Path, method: str, given: dict[str, Any], said: str
) -> None:
    with pytest.raises((BadInput, Refused), match=said):
        searched(dataset, tmp_path / "search", method, **given)
    assert not any(tmp_path.iterdir())


def test_a_folder_of_another_search_is_refused(dataset: Dataset, done: tuple[Path, Summary]) -> None:
    with pytest.raises(BadInput, match=r"other settings \(scoring.width 4, now 5\)"):
        searched(dataset, done[0], **{"scoring.width": 5})
    fewer = replace(dataset, log=dataset.log.select(np.arange(len(dataset.log)) > 0))
    with pytest.raises(BadInput, match=r"other settings \(search\.data "):
        searched(fewer, done[0])


def test_two_processes_never_work_on_one_search(dataset: Dataset, tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(BadInput, match="another process is at work"):
            searched(dataset, tmp_path)
    finally:
        os.close(handle)


def test_the_number_of_trials_is_a_number_of_trials(dataset: Dataset, tmp_path: Path) -> None:
    for n in (0, -1):
        with pytest.raises(BadInput, match="--trials must be"):
            searched(dataset, tmp_path, n=n)


def test_everybody_is_told_after_every_trial(dataset: Dataset, tmp_path: Path) -> None:
    told: list[Summary] = []
    Search("ease", {}, dataset).run(3, tmp_path, told.append)
    assert [summary.n_done for summary in told] == [0, 1, 2, 3]
    assert told[0].best is None
    assert all(summary.best and math.isfinite(summary.best.value) for summary in told[1:])
