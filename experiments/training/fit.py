"""Train a model with early stopping; killed at any moment, it resumes to the same bits on CPU."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from baselines.errors import BadInput, unknown_name
from baselines.recommender import Recommender
from baselines.regularization import REGULARIZERS
from baselines.sequences import Sequences
from experiments.training.batches import TrainingBatches
from experiments.training.checkpoint import load_checkpoint, save_checkpoint
from experiments.training.compilation import compile_extractor
from experiments.training.config import TrainingConfig
from experiments.training.optimisers import make_optimisers, set_step_size
from experiments.training.stopwatch import Stopwatch
from experiments.training.threads import torch_threads

Row = dict[str, float]


class DivergedError(RuntimeError):
    """A loss term became NaN or infinite; says at which step and which term."""


@dataclass
class FitState:
    """Everything that decides how training goes on; saved whole at every validation."""

    step: int = 0
    best_step: int = 0
    best_value: float = -math.inf
    n_stale: int = 0
    rows: list[Row] = field(default_factory=list)
    best_model: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class FitResult:
    """How training went.

    Attributes:
        best_step: the step whose parameters the model now has.
        best_value: the monitored validation metric at that step.
        n_steps: steps taken.
        rows: one per validation: step, mean loss terms since the last one (each unweighted, and their weighted sum),
            validation metric.
        seconds: wall time by phase (data, forward, backward, optimiser, validate) of this process.
        n_timed: the steps that these seconds are of: fewer than `n_steps` where a run was resumed.
    """

    best_step: int
    best_value: float
    n_steps: int
    rows: list[Row]
    seconds: dict[str, float]
    n_timed: int

    @property
    def step_seconds(self) -> float | None:
        """Mean wall time of a step, validations left out; None where this process made none."""
        spent = sum(seconds for phase, seconds in self.seconds.items() if phase != "validate")
        return spent / self.n_timed if self.n_timed else None


def fit(
    model: Recommender,
    train: Sequences,
    validate: Callable[[], float],
    config: TrainingConfig,
    *,
    seed: int,
    checkpoint: Path | None = None,
    on_row: Callable[[Row], None] | None = None,
    device: str = "cpu",
) -> FitResult:
    """Train `model` in place and leave it with its best parameters, in eval mode.

    Args:
        model: trained in place.
        train: the training users' sequences.
        validate: returns the monitored metric of the model as it is; called in eval mode.
        config: how long and how fast.
        seed: decides batches, negatives and dropout.
        checkpoint: file to save to at every validation and, if it exists, to go on from; None = never saved.
        on_row: told of every validation, those before a resume included.
        device: where the model lives.

    Raises:
        DivergedError: a loss term is NaN or infinite.
        BadInput: the checkpoint is corrupt, a loss weight names no term, or the monitored metric is undefined.
    """
    torch.manual_seed(seed)  # dropout
    negatives = torch.Generator(device).manual_seed(seed)
    batches = TrainingBatches(
        train,
        config.batch_size,
        model.scoring.max_history,
        config.min_history,
        np.random.default_rng(seed),
        positions=config.positions,
    )
    optimisers = make_optimisers(model, config)
    if config.compile:
        compile_extractor(model)
    state = FitState()
    parts: dict[str, Any] = {"model": model, **optimisers}
    if checkpoint is not None and checkpoint.exists():
        load_checkpoint(checkpoint, state, parts, negatives, batches.rng)
    tell = on_row or (lambda _: None)
    for former in state.rows:
        tell(former)

    watch = Stopwatch(torch.cuda.synchronize) if device == "cuda" else Stopwatch()
    totals: dict[str, torch.Tensor] = {}
    n_since = 0  # steps in `totals`
    started, first_step = time.perf_counter(), state.step
    model.train()
    hidden, usual_threads = not sys.stderr.isatty(), torch.get_num_threads()
    with (
        torch_threads(config.threads),
        tqdm(total=config.max_steps, initial=state.step, unit="step", disable=hidden, dynamic_ncols=True) as bar,
    ):
        while state.step < config.max_steps and state.n_stale < config.patience:
            state.step += 1
            with watch.phase("data"):
                batch = batches.next().to(device)
            with watch.phase("forward"), _or_diverged(model, state.step):
                terms = model.losses(batch, negatives)
                total = torch.stack([model.loss.weights.get(name, 1.0) * value for name, value in terms.items()]).sum()
            if state.step == first_step + 1:
                _check_weights(model.loss.weights, terms)
            if not math.isfinite(total.item()):
                raise DivergedError(_name_the_term(terms, state.step))
            with watch.phase("backward"):
                model.zero_grad(set_to_none=True)
                total.backward()  # type: ignore[no-untyped-call]
            with watch.phase("optimiser"):
                set_step_size(optimisers, config, state.step)
                for optimiser in optimisers.values():
                    optimiser.step()
            n_since += 1
            for name, term in {**terms, "weighted_sum": total}.items():
                totals[name] = totals.get(name, torch.zeros((), device=device)) + term.detach()
            bar.update()

            if state.step % config.evaluate_every == 0 or state.step == config.max_steps:
                with watch.phase("validate"), torch_threads(usual_threads), _or_diverged(model, state.step):
                    model.eval()
                    value = validate()
                    model.train()
                row: Row = {"step": state.step, **{f"loss/{k}": v.item() / n_since for k, v in totals.items()}}
                row[f"validation/{config.monitor}"] = value
                totals, n_since = {}, 0
                _remember(state, model, value, row)
                tell(row)
                if checkpoint is not None:
                    save_checkpoint(checkpoint, state, parts, negatives, batches.rng)
                users_per_second = (state.step - first_step) * config.batch_size / (time.perf_counter() - started)
                shown = {"loss": f"{row['loss/weighted_sum']:.3f}", config.monitor: f"{value:.4f}"}
                bar.set_postfix({**shown, "users/s": f"{users_per_second:.0f}"})
    model.load_state_dict(state.best_model)
    model.eval()
    n_timed = state.step - first_step
    return FitResult(state.best_step, state.best_value, state.step, state.rows, watch.seconds, n_timed)


def _remember(state: FitState, model: Recommender, value: float, row: Row) -> None:
    """Note a validation, and the parameters if it is the best so far."""
    if math.isnan(value):
        raise BadInput(
            "training.monitor is not defined: no validation user has a target it counts. Choose another, recall@50 say."
        )
    state.rows.append(row)
    state.n_stale += 1
    if value > state.best_value:
        state.best_step, state.best_value, state.n_stale = state.step, value, 0
        state.best_model = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _check_weights(weights: Mapping[str, float], terms: Mapping[str, torch.Tensor]) -> None:
    """Refuse the weight of a term that the model does not have."""
    for name in weights:
        if name not in terms:
            raise unknown_name("loss term", name, {*terms, *REGULARIZERS})


@contextmanager
def _or_diverged(model: Recommender, step: int) -> Iterator[None]:
    """Where something refuses what it is given, and the parameters are no longer finite, training has diverged."""
    try:
        yield
    except BadInput as refusal:
        if all(bool(parameter.isfinite().all()) for parameter in model.parameters()):
            raise
        raise DivergedError(f"training diverged at step {step}: {refusal} {_MEND}") from refusal


_MEND = "Lower training.learning_rate, or raise scoring.temperature; the last checkpoint is kept."


def _name_the_term(terms: dict[str, torch.Tensor], step: int) -> str:
    """Say which loss term is not finite."""
    broken = [name for name, value in terms.items() if not math.isfinite(value.item())]
    named = " and ".join(f"'{name}' = {terms[name].item()}" for name in broken) or "the weighted sum"
    return f"training diverged at step {step}: loss term {named}. {_MEND}"
