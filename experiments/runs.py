"""One run: fit, or take up what another run has fitted; evaluate, write the run directory."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from baselines.recommender import Recommender
from baselines.sequences import Sequences
from experiments.config import RunConfig
from experiments.data.dataset import Dataset
from experiments.data.splits import EvaluationUsers
from experiments.evaluation.context import EvaluationContext, PlantedAssignment
from experiments.evaluation.evaluation import Evaluation
from experiments.evaluation.evaluator import evaluate, quick
from experiments.files import replacing, write_json, write_text
from experiments.memory import peak_memory
from experiments.methods import AnyMethod, fit_method, load_method, make_method, resolve_device, save_method
from experiments.reporting.per_user import FILE as PER_USER
from experiments.run_file import read_run_json
from experiments.run_folder import CHECKPOINT, METRICS, MODEL, RECORD, RESULTS, claimed, linked, settings_digest
from experiments.run_record import describe_code, describe_data
from experiments.serving import served
from experiments.tracking import Mirror
from experiments.training.fit import Row


@dataclass(frozen=True)
class Workbench:
    """A dataset with what its evaluation precomputes; shared by the runs of a study."""

    dataset: Dataset
    context: EvaluationContext

    @classmethod
    def of(cls, dataset: Dataset) -> Workbench:
        """Make the evaluation context of a dataset."""
        context = EvaluationContext(dataset.train, dataset.metadata)
        if dataset.truth is not None:
            planted = PlantedAssignment(dataset.truth.true_interest, dataset.log.user_offsets)
            context = replace(context, planted=planted)
        return cls(dataset, context)


def execute(
    config: RunConfig,
    settings: str,
    bench: Workbench,
    out: Path,
    *,
    command: str,
    study: str | None = None,
    arm: str | None = None,
    fitted_in: Path | None = None,
) -> dict[str, Any]:
    """Fit, evaluate on validation and test, and write `out`; an unfinished run is resumed, to the same bits on CPU.

    Args:
        config: the run.
        settings: the YAML that reloads to `config`; it becomes config.yaml.
        bench: the data of `config`.
        out: the run directory; `finished_results` has found nothing there.
        command: the command line, for the record.
        study, arm: what the run belongs to; None = a run of its own.
        fitted_in: the directory of a finished run of the same training, whatever it serves, on the same data: its
            model is taken, which gives the same bits as fitting once more. None = fit.

    Returns:
        What results.json holds.

    Raises:
        BadInput: settings that the method or the data cannot bear, or another process at work on the same run.
    """
    method = prepare(config, bench, fresh=fitted_in is None)
    with claimed(out, settings) as folder:
        mirror = Mirror(
            config.tracking,
            folder,
            name=f"{arm or config.method}-{config.seed}",
            group=study or "",
            settings=asdict(config),
        )
        results: dict[str, Any] | None = None
        try:
            results = _work(config, bench, method, folder, mirror, command, study, arm, fitted_in)
        finally:
            mirror.finish(results["test"] if results else None)
    return results


def prepare(config: RunConfig, bench: Workbench, *, fresh: bool = True) -> AnyMethod:
    """Build the method, and let it be validated on one user: what cannot be run is refused before anything is written.

    Args:
        config: the run; bench: its data.
        fresh: False = the method will not be fitted; see `make_method`.

    Raises:
        BadInput: settings that the method, the monitor, serving or re-ranking cannot bear.
    """
    torch.use_deterministic_algorithms(resolve_device(config) == "cpu")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # an eighth of a step
    method = make_method(config, bench.dataset.train, bench.dataset.metadata, fresh=fresh)
    if isinstance(method, Recommender):
        method.eval()
    ranker = served(method, config, bench.dataset)
    if isinstance(method, Recommender):
        validation = bench.dataset.validation
        one = EvaluationUsers(_first(validation.histories), _first(validation.targets), validation.users[:1])
        for tried in dict.fromkeys((method, ranker)):
            quick(tried, one, config.training.monitor, bench.context, config.evaluation)
    return method


def _first(users: Sequences) -> Sequences:
    return Sequences(users.items[: users.offsets[1]], users.offsets[:2], users.n_items)


@dataclass(frozen=True)
class _Learnt:
    """A fitted method, and what its fitting came to, be it here or in the run it is taken from."""

    method: AnyMethod
    fit: dict[str, Any] | None
    seconds: float
    phases: Mapping[str, float]
    step_seconds: float | None


def _fit(config: RunConfig, bench: Workbench, method: AnyMethod, folder: Path, mirror: Mirror) -> _Learnt:
    started, dataset = time.perf_counter(), bench.dataset
    rows: list[Row] = []

    def on_row(row: Row) -> None:
        rows.append(row)
        write_text(folder / METRICS, "".join(json.dumps(r) + "\n" for r in rows))
        mirror.log(row)

    def validate() -> float:
        return quick(method, dataset.validation, config.training.monitor, bench.context, config.evaluation)

    fitted = fit_method(method, dataset.train, validate, config, checkpoint=folder / CHECKPOINT, on_row=on_row)
    save_method(method, folder / MODEL)
    fit = {name: getattr(fitted, name) for name in ("best_step", "best_value", "n_steps")} if fitted else None
    phases, step_seconds = (fitted.seconds, fitted.step_seconds) if fitted else ({}, None)
    return _Learnt(method, fit, time.perf_counter() - started, phases, step_seconds)


def _taken_up(config: RunConfig, bench: Workbench, source: Path, folder: Path) -> _Learnt:
    """What the finished run `source` has learnt, and at what cost it did so there."""
    results, record = read_run_json(source / RESULTS), read_run_json(source / RECORD)
    linked(source, folder, (METRICS, MODEL))
    method = load_method(config, bench.dataset.train, folder / MODEL, bench.dataset.metadata)
    seconds = record["wall_seconds"]["fit"]
    return _Learnt(method, results["fit"], seconds, record["fit_seconds"], record["step_seconds"])


def _work(
    config: RunConfig,
    bench: Workbench,
    method: AnyMethod,
    folder: Path,
    mirror: Mirror,
    command: str,
    study: str | None,
    arm: str | None,
    fitted_in: Path | None,
) -> dict[str, Any]:
    """Do the run inside `folder` and return results.json."""
    begun, dataset = datetime.now(UTC), bench.dataset
    with peak_memory(resolve_device(config)) as peak:
        learnt = (
            _fit(config, bench, method, folder, mirror)
            if fitted_in is None
            else _taken_up(config, bench, fitted_in, folder)
        )
        method, fitted = learnt.method, time.perf_counter()
        ranker = served(method, config, dataset)
        validation = evaluate(ranker, dataset.validation, bench.context, config.evaluation)
        test = evaluate(ranker, dataset.test, bench.context, config.evaluation)
    results = {
        "study": study,
        "arm": arm or config.method,
        "dataset": dataset.name,
        "method": config.method,
        "seed": config.seed,
        "stochastic": method.stochastic,
        "protocol": asdict(config.data.protocol),
        "candidate_set": "all items",
        "n_users": {"validation": len(dataset.validation), "test": len(dataset.test)},
        **evaluation_results(validation, test),
        "model": dict(config.model),
        "fit": learnt.fit,
    }
    write_json(folder / RESULTS, results)
    _write_per_user(folder / PER_USER, dataset, test)
    evaluated = time.perf_counter() - fitted
    wall = {"fit": learnt.seconds, "evaluate": evaluated, "total": learnt.seconds + evaluated}
    record = {
        "command": command,
        "settings": settings_digest(folder),
        **describe_code(),
        "data": describe_data(dataset),
        "device": resolve_device(config),
        "seed": config.seed,
        "started": begun.isoformat(timespec="seconds"),
        "wall_seconds": {name: round(seconds, 3) for name, seconds in wall.items()},
        "fit_seconds": {name: round(seconds, 3) for name, seconds in learnt.phases.items()},
        "step_seconds": learnt.step_seconds,
        "fitted_in": None if fitted_in is None else fitted_in.as_posix(),
        "microseconds_per_user": {verb: round(1e6 * took / len(test.users), 1) for verb, took in test.seconds.items()},
        "peak_mb": round(peak.mb, 1),
        "n_parameters": sum(p.numel() for p in method.parameters()) if isinstance(method, Recommender) else 0,
    }
    write_json(folder / RECORD, record)
    return results


def evaluation_results(validation: Evaluation, test: Evaluation) -> dict[str, Any]:
    """Return the measured part of results.json."""
    groups: dict[str, dict[str, Any]] = {}
    for group in test.groups:
        groups.setdefault(group.by, {})[group.name] = {"n_users": group.n_users, **group.means}
    interests = asdict(test.interests) if test.interests is not None else None
    return {
        "validation": validation.means(),
        "test": test.means(),
        "test_standard_errors": test.standard_errors(),
        "test_groups": groups,
        "interests": interests,
        "definitions": test.definitions(),
    }


def _write_per_user(path: Path, dataset: Dataset, test: Evaluation) -> None:
    """Write everything by user, so that every table can be made again without a model."""
    arrays: dict[str, Any] = {f"metric/{name}": values.astype(np.float32) for name, values in test.per_user.items()}
    arrays["user_id"] = dataset.log.user_ids[test.users].astype(str)
    arrays["items"] = test.items
    if test.live_k is not None:
        arrays["live_k"] = test.live_k.astype(np.int16)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
