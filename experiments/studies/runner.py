"""Arms x seeds on one dataset: the only loop over runs. Finished runs are kept, an unfinished one is resumed.

Runs that differ in nothing but how they are served share one training: the first of them to be run does it, be it of
this study or of another one beside it, on the same data.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from baselines.errors import BadInput, Refused, unknown_name
from experiments.cli.arguments import accepted, make_runs
from experiments.config import RunConfig
from experiments.data.dataset import Dataset
from experiments.evaluation.config import EvaluationConfig
from experiments.evaluation.context import EvaluationContext, Segments
from experiments.evaluation.metrics import NOVEL, PER_LIST
from experiments.files import write_json
from experiments.methods import resolve_device
from experiments.registry import find_method
from experiments.run_file import read_run_json
from experiments.run_folder import CONFIG, MODEL, PARTIAL, RECORD, REFUSED, finished_results
from experiments.run_record import code_version
from experiments.runs import Workbench, execute, prepare
from experiments.settings import flatten, nest
from experiments.studies.definition import StudyDefinition
from experiments.training.fit import DivergedError

_OF_SERVING = ("serving", "reranking")
"""The settings that training and its validation never see."""


@dataclass(frozen=True)
class Cell:
    """One run of a study, resolved."""

    arm: str
    config: RunConfig
    settings: str


def plan(
    study: StudyDefinition,
    seeds: int,
    overrides: Iterable[Mapping[str, Any]],
    tuned: Callable[[str], Mapping[str, Any]] | None = None,
    only: Collection[str] = (),
    of_references: Callable[[str], Mapping[str, Any]] | None = None,
) -> list[Cell]:
    """Resolve every run: the arm's settings over `overrides`, the study's common ones, the tuned ones, the defaults.

    A setting is given to the arms whose method knows it (a training knob means nothing to a heuristic). Methods without
    randomness run once.

    Args:
        study: the question.
        seeds: how many seeds, from 0.
        overrides: settings from the command line, nested or with dotted keys; the later ones win.
        tuned: a method's tuned settings, nested, by its name; None = every arm starts from the defaults.
        only: the arms that are run; empty = all.
        of_references: as `tuned`, for the study's references, which have tuned settings wherever there are some.

    Raises:
        BadInput: no seed, an arm that there is not, a key that no arm knows, or one that the study itself decides.
    """
    if seeds < 1:
        raise BadInput(f"--seeds must be at least 1, got {seeds}.")
    for arm in only:
        if arm not in study.arms:
            raise unknown_name("arm", arm, study.arms)
    known = {arm: accepted(settings) for arm, settings in study.arms.items()}
    every = set().union(*known.values())
    arms = {arm: flatten(settings, every) for arm, settings in study.arms.items()}
    wanted = {key: value for settings in overrides for key, value in flatten(settings, every).items()}
    for key in wanted:
        deciding = [f"{arm} {settings[key]}" for arm, settings in arms.items() if key in settings]
        if key == "seed":
            raise BadInput(f"a study runs the seeds 0, 1, ...: say how many with --seeds, not 'seed' {wanted[key]}.")
        if deciding:
            raise BadInput(f"'{key}' is what the arms of {study.name} differ in ({', '.join(deciding)}); leave it out.")
        if key not in every:
            raise unknown_name("key", key, every)
    common = flatten(study.common, every)
    chosen = {arm: settings for arm, settings in arms.items() if not only or arm in only}
    runs = {}
    for arm, settings in chosen.items():
        method, is_reference = str(settings["method"]), arm in study.references
        start = _start(method, study.starts_from(arm), (tuned or of_references) if is_reference else tuned, every)
        shared = wanted if is_reference else common | wanted
        given = {key: value for key, value in shared.items() if key in known[arm]}
        stochastic = find_method(method).kind == "extractor"
        runs[arm] = make_runs(nest({**start, **given, **settings}), range(seeds if stochastic else 1))
    return [Cell(arm, *own[seed]) for seed in range(seeds) for arm, own in runs.items() if seed < len(own)]


def _start(
    method: str,
    starts_from: tuple[str, str | None],
    tuned: Callable[[str], Mapping[str, Any]] | None,
    keys: Collection[str],
) -> dict[str, Any]:
    """The settings of an arm before the study decides any, by dotted key; see `StudyDefinition.starts_from`.

    Where they are another method's, it keeps what its own presupposes beyond that one's.
    """
    of_settings, of_model = starts_from
    found = {name: flatten(tuned(name), keys) if tuned else {} for name in starts_from if name}
    if of_settings == of_model:
        return found[method]
    presupposed, own = find_method(of_settings).settings, find_method(method).settings
    of_its_own = {key: value for key, value in own.items() if key not in presupposed}
    shared = {**presupposed, **found[of_settings], **of_its_own}
    return {
        **{key: value for key, value in shared.items() if key != "method" and not key.startswith("model.")},
        **{key: value for key, value in found.get(of_model or "", {}).items() if key.startswith("model.")},
    }


def run_study(
    study: StudyDefinition, cells: list[Cell], bench: Workbench, folder: Path, *, command: str, resume: bool
) -> None:
    """Do every run that is not done yet.

    Args:
        study: the question.
        cells: its runs.
        bench: the dataset they are all on.
        folder: the study's folder; runs go to `folder`/<dataset>/<arm>/<seed>/.
        command: the command line, for the record.
        resume: keep finished runs of the same settings and go on with an unfinished one.

    Raises:
        BadInput: runs are there and `resume` is not asked for, or their settings differ; or settings that an arm cannot
            bear. Nothing has been run or written then.
    """
    base = folder / bench.dataset.name
    places = [base / cell.arm / str(cell.config.seed) for cell in cells]
    waiting = [
        (cell, out)
        for cell, out in zip(cells, places, strict=True)
        if finished_results(out, cell.settings, resume=resume) is None
    ]
    for cell in {cell.arm: cell for cell, _ in waiting}.values():
        prepare(cell.config, bench, fresh=False)
    write_json(folder / "study.json", _told(study, cells[0].config.evaluation, bench.context))
    fitted = _fitted(folder.parent, bench.dataset, resolve_device(cells[0].config)) if waiting else {}
    for place in {out.parent for _, out in waiting}:
        (place / REFUSED).unlink(missing_ok=True)
    for number, (cell, out) in enumerate(waiting, start=1):
        if sys.stderr.isatty():
            print(f"[{number}/{len(waiting)}] {cell.arm}, seed {cell.config.seed}", file=sys.stderr)
        try:
            told = {"command": command, "study": study.name, "arm": cell.arm}
            trains = find_method(cell.config.method).kind == "extractor"
            training = _training(cell.settings)
            fitted_in = fitted.get(training) if trains else None
            execute(cell.config, cell.settings, bench, out, **told, fitted_in=fitted_in)
            fitted.setdefault(training, out)
        except (Refused, DivergedError) as refusal:
            print(f"note: {cell.arm}, seed {cell.config.seed}, is left out: {refusal}", file=sys.stderr)
            write_json(out.parent / REFUSED, {"reason": f"seed {cell.config.seed}: {refusal}"})


def _fitted(studies: Path, dataset: Dataset, device: str) -> dict[str, Path]:
    """Return the finished runs with a model of these data, of this study and of those beside it, by `_training`.

    They were made on the same device; that the code was the same nobody sees to but those who change it, who are told.
    """
    fingerprint, found, other = dataset.fingerprint(), dict[str, Path](), set[str]()
    for model in sorted(studies.glob(f"*/{dataset.name}/*/*/{MODEL}")):
        out = model.parent
        if out.name.endswith(PARTIAL):
            continue
        record = read_run_json(out / RECORD)
        data = record.get("data")
        if isinstance(data, Mapping) and data.get("fingerprint") == fingerprint and record.get("device") == device:
            found.setdefault(_training((out / CONFIG).read_text(encoding="utf-8")), out)
            other |= {str(record.get("code_version"))} - {code_version()}
    if other:
        print(
            f"note: models in {studies} are taken up where settings are equal, also those of code "
            f"{', '.join(sorted(other))}; choose another --out where a method has changed since.",
            file=sys.stderr,
        )
    return found


def _training(settings: str) -> str:
    """What of a run's settings decides its training; runs in which this is equal share one."""
    told = yaml.load(settings, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return json.dumps({key: value for key, value in told.items() if key not in _OF_SERVING}, sort_keys=True)


def _told(study: StudyDefinition, evaluation: EvaluationConfig, context: EvaluationContext) -> dict[str, Any]:
    """Say the study, with those of its columns that are measured."""
    told = study.told
    subsets = Segments.of(context.popularity, evaluation.head_share, evaluation.mid_share).members
    left_out = [column for column in study.columns if not _measured(column, evaluation, {"", NOVEL, *subsets})]
    if left_out:
        print(f"note: not in the table, since evaluation leaves it out: {', '.join(left_out)}", file=sys.stderr)
    unknown = [column for column in study.columns if context.categories is None and _of_categories(column)]
    if unknown:
        print(f"note: not in the table, since the items have no categories: {', '.join(unknown)}", file=sys.stderr)
    told["columns"] = [column for column in study.columns if column not in {*left_out, *unknown}]
    return json.loads(json.dumps(told))  # type: ignore[no-any-return]


def _of_categories(column: str) -> bool:
    metric = PER_LIST.get(column.partition("@")[0])
    return metric is not None and metric.of_categories


def _measured(column: str, evaluation: EvaluationConfig, subsets: Collection[str]) -> bool:
    family, at, rest = column.partition("@")
    n, _, subset = rest.partition(":")
    return evaluation.wants(family) and (not at or (int(n) in evaluation.cutoffs and subset in subsets))
