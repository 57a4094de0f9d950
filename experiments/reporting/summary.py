"""A study's runs in the order of its tables, with the comparisons that its marks rest on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from baselines.errors import BadInput
from experiments.reporting import columns
from experiments.reporting.comparison import Comparison, against, best_against_second
from experiments.reporting.repeats import Repeats
from experiments.reporting.runs import Run
from experiments.reporting.study import Study
from experiments.reporting.verdicts import Verdict, verdicts


@dataclass(frozen=True)
class Summary:
    """All that the tables and plots of a study are made of.

    Attributes:
        runs: finished, comparable runs.
        study: the question they answer.

    Raises:
        BadInput: a baseline that is not an arm, or a column that no run holds.
    """

    runs: Sequence[Run]
    study: Study

    @cached_property
    def repeats(self) -> Sequence[Repeats]:
        """By dataset, then in the study's order of arms; arms that the study does not know follow by name."""
        place = {arm: i for i, arm in enumerate(self.study.arms)}
        seeds: dict[tuple[str, int, str], list[Run]] = {}
        for run in sorted(self.runs, key=lambda run: run.seed):
            seeds.setdefault((run.dataset, place.get(run.arm, len(place)), run.arm), []).append(run)
        return [Repeats(seeds[key]) for key in sorted(seeds)]

    @cached_property
    def datasets(self) -> Mapping[str, Sequence[Repeats]]:
        """The arms of each dataset."""
        names = dict.fromkeys(repeats.dataset for repeats in self.repeats)
        return {name: [repeats for repeats in self.repeats if repeats.dataset == name] for name in names}

    @cached_property
    def metrics(self) -> Sequence[str]:
        """The columns of the main table."""
        return columns.choose(self.study.columns, _held(self.runs))

    @cached_property
    def tested(self) -> Sequence[str]:
        """What differences are tested on: what the study judges by; where it names nothing, all with a better end."""
        judged = [metric for metric in self.metrics if metric in self.study.judged_by]
        return [metric for metric in judged or self.metrics if columns.better(metric)]

    @property
    def judged_upwards(self) -> Sequence[str]:
        """The metrics that are judged by and better the higher they are."""
        return [name for name in self.study.judged_by if name in self.metrics and columns.better(name) > 0]

    def arms_of(self, dataset: str, names: Sequence[str]) -> Sequence[Repeats]:
        """Return those of the named arms that have been run on a dataset, in the order of the names."""
        known = {arm.arm: arm for arm in self.datasets[dataset]}
        return [known[name] for name in names if name in known]

    @property
    def axes(self) -> Sequence[str]:
        """What the study's curves vary, in words: its `x`, and what single curves vary instead."""
        return list(dict.fromkeys(filter(None, (self.study.x, *self.study.x_of.values()))))

    @property
    def overview(self) -> Sequence[str]:
        """The metrics shown of all datasets side by side, where there are several: those that are judged by."""
        return [metric for metric in self.study.judged_by if metric in self.metrics and len(self.datasets) > 1]

    @cached_property
    def pairs(self) -> Sequence[tuple[str, str]]:
        """What is drawn: (vertical, horizontal), a column against what curves vary or against another column."""
        if self.study.plots:
            shown = {*self.metrics, *self.axes}
            plots = [(columns.shown_as(y), columns.shown_as(x)) for y, x in self.study.plots]
            return [(y, x) for y, x in plots if {y, x} <= shown]
        accuracy = next((name for name in self.metrics if columns.better(name) > 0), None)
        tail = next((name for name in self.metrics if re.match(r"(recall|ndcg|hit_rate).*:tail", name)), None)
        coverage = next((name for name in self.metrics if name.startswith("coverage@")), None)
        if accuracy is None:
            return []
        against_x = [(name, self.study.x) for name in dict.fromkeys((accuracy, tail)) if name and self.study.x]
        return [*against_x, *((accuracy, rival) for rival in (coverage, tail) if rival not in (None, accuracy))]

    def curves_of(self, arm: str) -> Sequence[str]:
        """Return the curves that an arm lies on."""
        return [name for name, curve in self.study.curves.items() if arm in curve]

    @cached_property
    def baseline(self) -> str | None:
        """The arm that the others are tested against, where it has been run."""
        name = self.study.baseline
        arms = {repeats.arm for repeats in self.repeats} | set(self.study.arms)
        if name is not None and name not in arms:
            raise BadInput(f"the study's baseline '{name}' is none of its arms: {', '.join(sorted(arms))}")
        return name

    @cached_property
    def against_baseline(self) -> Sequence[Comparison]:
        """Every arm against the baseline of its dataset, on every tested column that has a value per user."""
        found: list[Comparison] = []
        for arms in self.datasets.values():
            for baseline in (repeats for repeats in arms if repeats.arm == self.baseline):
                others = [repeats for repeats in arms if repeats is not baseline]
                found += against(others, baseline, self.tested)
        return found

    @cached_property
    def best_against_second(self) -> Sequence[Comparison]:
        """On every dataset and tested column that has a value per user, the best arm against the second best."""
        return [found for arms in self.datasets.values() for found in best_against_second(arms, self.tested)]

    @cached_property
    def verdicts(self) -> Mapping[str, Sequence[Verdict]]:
        """By dataset: who is above and who below each of the study's rivals, on the metrics that it judges by."""
        return {dataset: self._verdicts(dataset, arms) for dataset, arms in self.datasets.items()}

    def only(self, dataset: str) -> Summary:
        """Return the summary of one dataset; comparisons stay within a dataset, so none is made again.

        A column that runs on other datasets hold, and none on this one, is left out.
        """
        runs = [run for run in self.runs if run.dataset == dataset]
        held = _held(runs)
        part = Summary(runs, replace(self.study, columns=[name for name in self.metrics if name in held]))
        for name in ("against_baseline", "best_against_second"):
            part.__dict__[name] = [found for found in getattr(self, name) if found.dataset == dataset]
        part.__dict__["verdicts"] = {dataset: self.verdicts[dataset]}
        return part

    def _verdicts(self, dataset: str, arms: Sequence[Repeats]) -> list[Verdict]:
        found: list[Verdict] = []
        judged = [metric for metric in self.study.judged_by if metric in self.tested]
        names = self.study.rivals or ((self.baseline,) if self.baseline else ())
        for rival in (arm for name in names for arm in arms if arm.arm == name):
            curves, own = set(self.curves_of(rival.arm)), self.study.own
            near = [arm for arm in arms if not curves or arm.arm in own or curves & {*self.curves_of(arm.arm)}]
            others = [arm for arm in near if arm is not rival]
            if rival.arm == self.baseline:  # tested already, for the marks, which these words must not contradict
                chosen = {arm.arm for arm in others}
                made = [one for one in self.against_baseline if one.dataset == dataset and one.arm in chosen]
            else:
                made = against(others, rival, judged)
            found += verdicts(rival, arms, [one for one in made if one.metric in judged])
        return found


def _held(runs: Sequence[Run]) -> set[str]:
    """The metrics that some run holds."""
    of_interests = {columns.LIVE_K} if any(run.mean_live_k is not None for run in runs) else set()
    return {metric for run in runs for metric in run.test} | of_interests
