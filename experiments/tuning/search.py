"""The search: trials one after another, each told to a journal before the next; killed at any moment, it goes on.

Optuna's tree-structured Parzen estimator proposes (Bergstra et al., "Algorithms for Hyper-Parameter Optimization",
NIPS 2011). Of the trials that reach 4, 8, ... validations the better half goes on (asynchronous successive halving,
Li et al., MLSys 2020), so that what is chosen has been trained to the end without all trials having to be.
"""

from __future__ import annotations

import itertools
import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import yaml
from optuna.trial import FrozenTrial, Trial, TrialState

from baselines.errors import BadInput, require_number
from experiments.cli.arguments import make_run
from experiments.config import RunConfig
from experiments.data.dataset import Dataset
from experiments.evaluation.evaluator import quick
from experiments.files import write_text
from experiments.methods import fit_method
from experiments.registry import find_method
from experiments.run_folder import CONFIG, check_settings, locked
from experiments.runs import Workbench, prepare
from experiments.settings import flatten, nest
from experiments.training.fit import DivergedError, Row
from experiments.tuning.dimensions import draw, place, without
from experiments.tuning.space import space_of
from experiments.tuning.summary import Outcome, Summary

JOURNAL = "trials.log"
"""In a search's folder: optuna's journal of its trials."""

BY_HAND = "adaptive"
"""The method whose defaults were chosen by hand, on validation users of the logs that this repository reports."""

N_RANDOM = 8  # trials before the estimator takes over from random draws, those that are given included
N_WARM_UP = 4  # validations of every trial; at that number and at each doubling of it ...
ONE_IN = 2  # ... this share of the trials that came so far goes on, ...
N_RIVALS = 3  # ... once so many came

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class Search:
    """The settings of one method for one dataset, chosen on its validation users.

    The first trial is the default configuration; the second has what `adaptive` sets by default, in so far as it is
    searched and its own default is another: a default chosen by hand is a trial that no method should have to itself.
    Trials share one seed, that of the run. A trial depends on those that finished before it and on nothing else, so a
    search that is interrupted has the same trials as one that is not.

    Args:
        method: its registered name.
        given: settings by dotted key that hold in every trial; what they decide is not searched.
        dataset: what is tuned on; its test users are left behind here.
    """

    def __init__(self, method: str, given: Mapping[str, Any], dataset: Dataset) -> None:
        self.bench = Workbench.of(replace(dataset, test=dataset.validation))
        self.method = method
        self.given = dict(given)
        whole = space_of(method, dataset.n_items)
        self.space = without(whole, self.given)
        self.config, text = self._resolve({})
        defaults = flatten(yaml.safe_load(text))
        self.default_parameters = place(self.space, defaults)
        assert self.default_parameters is not None, f"the search space of {method} does not hold its defaults"
        by_hand = {key: value for key, value in find_method(BY_HAND).settings.items() if key in defaults}
        second = place(self.space, {**defaults, **by_hand, **self.given})
        self.first_parameters = [self.default_parameters]
        self.first_parameters += [second] if second not in (None, self.default_parameters) else []
        searched = {key for dimension in whole for key in dimension.keys}
        self.decided = {key: defaults[key] for key in self.given if key in searched}
        self.identity = text + yaml.safe_dump(
            {"search": {"data": dataset.fingerprint(), "space": {d.name: str(d) for d in self.space}}}, sort_keys=False
        )

    def run(self, n_trials: int, folder: Path, tell: Callable[[Summary], None]) -> Summary:
        """Go on to `n_trials` trials in all; one is enough where there is nothing to choose.

        Args:
            n_trials: those of earlier calls included.
            folder: the search's own; holds its settings and its journal.
            tell: told of every trial, and of what was there at the beginning.

        Raises:
            BadInput: settings that the method or the data cannot bear, a search of other settings in `folder`, or
                another process at work there.
        """
        require_number("--trials", n_trials, at_least=1)
        n_trials = n_trials if self.space else 1
        prepare(self.config, self.bench)
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            if (folder / CONFIG).exists():
                check_settings(folder, self.identity)
            else:
                write_text(folder / CONFIG, self.identity)
            study = _open_study(folder / JOURNAL)
            tell(self._summary(study, n_trials))
            while (n_done := len(study.get_trials(deepcopy=False, states=_FINISHED))) < n_trials:
                study.sampler = _sampler(self.config.seed, n_done)
                waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
                if n_done < len(self.first_parameters) and not waiting:
                    study.enqueue_trial(self.first_parameters[n_done])
                try:
                    self._try(study, study.ask(), is_default=not n_done)
                except BadInput:  # nothing was learnt yet
                    shutil.rmtree(folder)
                    raise
                tell(self._summary(study, n_trials))
            return self._summary(study, n_trials)

    def _resolve(self, settings: Mapping[str, Any]) -> tuple[RunConfig, str]:
        return make_run(nest({"method": self.method, **self.given, **settings}))

    def _try(self, study: optuna.Study, trial: Trial, *, is_default: bool) -> None:
        """Run one trial and tell the study how it ended."""
        started = time.perf_counter()
        settings = draw(self.space, trial)
        trial.set_user_attr("settings", self.decided | settings)
        value: float | None = None
        try:
            value, best_step = self._validated(self._resolve(settings)[0], trial)
            trial.set_user_attr("best_step", best_step)
        except optuna.TrialPruned:
            pass
        except (DivergedError, BadInput) as error:
            if is_default and isinstance(error, BadInput):
                raise
            trial.set_user_attr("failure", str(error))
        trial.set_user_attr("seconds", time.perf_counter() - started)
        # a failure is told as pruned: of failed trials the sampler learns nothing, and would draw the like again
        study.tell(trial, value, state=TrialState.PRUNED if value is None else None)

    def _validated(self, config: RunConfig, trial: Trial) -> tuple[float, int | None]:
        """Fit, and return the best validation value and its step."""
        dataset, monitor = self.bench.dataset, config.training.monitor
        method = prepare(config, self.bench)
        number, best = itertools.count(1), -math.inf

        def validate() -> float:
            return quick(method, dataset.validation, monitor, self.bench.context, config.evaluation)

        def on_row(row: Row) -> None:
            nonlocal best
            n, best = next(number), max(best, row[f"validation/{monitor}"])  # by its best a trial is chosen
            trial.report(best, n)
            if row["step"] < config.training.max_steps and trial.should_prune():
                raise optuna.TrialPruned

        fitted = fit_method(method, dataset.train, validate, config, on_row=on_row)
        return (validate(), None) if fitted is None else (fitted.best_value, fitted.best_step)

    def _summary(self, study: optuna.Study, n_trials: int) -> Summary:
        trials = study.get_trials(deepcopy=False)
        complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        pruned = [trial for trial in trials if trial.state is TrialState.PRUNED]
        n_failed = sum("failure" in trial.user_attrs for trial in pruned)
        first = min((trial.number for trial in (*complete, *pruned)), default=-1)
        best = max(complete, key=lambda trial: (trial.value, -trial.number), default=None)
        return Summary(
            method=self.method,
            dataset=self.bench.dataset.name,
            monitor=self.config.training.monitor,
            n_trials=max(n_trials, len(complete) + len(pruned)),  # a longer search was there before
            n_complete=len(complete),
            n_pruned=len(pruned) - n_failed,
            n_failed=n_failed,
            n_interrupted=sum(trial.state is TrialState.FAIL for trial in trials),
            seconds=sum(trial.user_attrs["seconds"] for trial in (*complete, *pruned)),
            default=next((_outcome(trial) for trial in complete if trial.number == first), None),
            best=_outcome(best) if best else None,
        )


def _outcome(trial: FrozenTrial) -> Outcome:
    assert trial.value is not None
    return Outcome(trial.value, trial.user_attrs["best_step"], trial.user_attrs["settings"])


class _Halving(optuna.pruners.BasePruner):
    """Give a trial up at a rung where it is not among the best share of those that finished and came as far.

    Optuna's own rule also counts trials that were killed, so a search that was interrupted would go another way.
    """

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """See optuna; the trial has just reported a validation."""
        n = trial.last_step
        assert n is not None, "asked after a report"
        if n not in {N_WARM_UP * ONE_IN**rung for rung in range(32)}:
            return False
        finished = study.get_trials(deepcopy=False, states=_FINISHED)
        rivals = [other.intermediate_values[n] for other in finished if n in other.intermediate_values]
        n_better = sum(value > trial.intermediate_values[n] for value in rivals)
        return len(rivals) >= N_RIVALS and n_better >= (len(rivals) + 1) // ONE_IN


def _sampler(seed: int, n_done: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of the next trial, whose draws follow from the seed and the number of trials before it."""
    state = int(np.random.SeedSequence([seed, n_done]).generate_state(1)[0])
    return optuna.samplers.TPESampler(
        n_startup_trials=N_RANDOM,
        multivariate=False,  # branches differ in their dimensions
        constant_liar=False,
        seed=state,
    )


def _open_study(journal: Path) -> optuna.Study:
    """Load the study, or begin it; what a killed process left behind is put right."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)  # nobody else is here: the folder is ours
    if journal.exists():
        content = journal.read_bytes()
        with open(journal, "rb+") as file:
            file.truncate(content.rfind(b"\n") + 1)  # half a line would spoil the next one
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name="tuning",
        direction="maximize",
        pruner=_Halving(),
        load_if_exists=True,
    )
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    return study
