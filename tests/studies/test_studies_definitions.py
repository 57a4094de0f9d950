"""The studies as data: what they vary, and only that."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any, get_args

import pytest

from baselines.config import Aggregation, Readout, Representation
from baselines.regularization import REGULARIZERS
from experiments.config import RunConfig
from experiments.evaluation.metrics import check_family
from experiments.registry import METHODS, find_method
from experiments.reporting.columns import OF_SOME, shown_as
from experiments.studies.definition import STUDIES, StudyDefinition, find_study
from experiments.studies.runner import Cell, plan
from experiments.training.config import HORIZON


@cache
def cells(name: str) -> list[Cell]:
    """Every run of a study at one seed; to plan one takes a tenth of a second an arm."""
    return plan(find_study(name), 1, [])


def configs(name: str) -> dict[str, RunConfig]:
    return {cell.arm: cell.config for cell in cells(name)}


@pytest.fixture(params=STUDIES)
def study(request: pytest.FixtureRequest) -> StudyDefinition:
    return find_study(request.param)


def test_every_study_is_sound(study: StudyDefinition) -> None:
    assert find_study(study.name) is study
    assert study.question.endswith("?")
    assert study.baseline in study.arms
    planned = cells(study.name)
    assert {cell.arm for cell in planned} == set(study.arms)
    assert len({(cell.arm, cell.config.seed) for cell in planned}) == len(planned)
    for column in study.columns:
        check_family(column.partition("@")[0])


def test_no_two_arms_are_the_same_run(study: StudyDefinition) -> None:
    runs = [repr(config) for config in configs(study.name).values()]
    assert len(set(runs)) == len(runs)


def test_what_a_study_names_is_there(study: StudyDefinition) -> None:
    assert {arm for curve in study.curves.values() for arm in curve} <= set(study.arms)
    assert {arm for _, curves in study.frontiers for arms in curves.values() for arm in arms} <= set(study.arms)
    assert {equal for equal, _ in study.frontiers} <= set(study.columns)
    assert {arm for arms in study.choices.values() for arm in arms} <= set(study.arms)
    assert {arm for arms in study.points.values() for arm in arms} <= set(study.arms)
    assert {name for names in study.panels.values() for name in names} <= {*study.curves, *study.arms}
    assert set(study.own) <= {*study.arms, *study.choices}
    assert set(study.rivals) <= set(study.arms)
    assert set(study.references) <= set(study.arms)
    assert set(study.like) <= set(study.arms)
    assert set(study.like.values()) <= set(METHODS)
    assert set(study.judged_by) <= set(study.columns)
    assert {name for pair in study.plots for name in pair} <= {*study.columns, study.x, *study.x_of.values()}
    assert set(study.x_of) <= set(study.curves)
    assert {shown_as(column) for column in study.columns if "@" not in column} <= set(OF_SOME)
    assert bool(study.curves) == (study.x is not None)


def test_the_places_of_a_curve_are_all_numbers_or_all_words(study: StudyDefinition) -> None:
    kinds = {isinstance(x, str) for curve in study.curves.values() for x in curve.values()}
    assert len(kinds) <= 1


def test_compare_holds_every_method_of_the_registry_and_a_single_vector_of_equal_width() -> None:
    runs = configs("compare")
    assert {config.method for config in runs.values()} == set(METHODS)
    wide, four = runs["mean_pooling_width_256"], runs["comirec_sa"]
    assert wide.scoring.width == 4 * four.scoring.width


@pytest.mark.parametrize("method", ["mind", "comirec_dr", "comirec_sa"])
def test_k_varies_at_equal_width_and_at_equal_budget(method: str) -> None:
    runs, curves = configs("k_sensitivity"), find_study("k_sensitivity").curves
    for curve in (curves[method], curves[f"{method}, K × D = 256"]):
        assert list(curve.values()) == [1, 2, 4, 8, 16]
        assert [runs[arm].model["n_interests"] for arm in curve] == list(curve.values())
        assert {runs[arm].method for arm in curve} == {method}
    assert {runs[arm].scoring.width for arm in curves[method]} == {64}
    assert {k * runs[arm].scoring.width for arm, k in curves[f"{method}, K × D = 256"].items()} == {256}


def test_each_regularizer_is_alone_at_rising_weights() -> None:
    runs, curves = configs("regularization"), find_study("regularization").curves
    assert set(curves) == set(REGULARIZERS)
    for name, curve in curves.items():
        assert [runs[arm].loss.weights for arm in curve] == [{name: weight} for weight in curve.values()]
        assert all(low < high for low, high in pairwise(map(float, curve.values())))
    assert runs["no_regularizer"].loss.weights == {}


def test_every_aggregation_and_representation_is_tried_with_every_method() -> None:
    runs = configs("aggregation")
    for method in ("comirec_sa", "comirec_dr"):
        scorings = [config.scoring for config in runs.values() if config.method == method]
        assert {scoring.aggregation for scoring in scorings} == set(get_args(Aggregation))
        assert {scoring.representation for scoring in scorings} == set(get_args(Representation))
        assert {scoring.readout for scoring in scorings} == set(get_args(Readout)) - {"label_aware"}


def test_training_reads_out_as_serving_aggregates_but_for_one_control() -> None:
    same = {
        "hard": "best_interest",
        "soft": "soft_interests",
        "mean": "mean_interests",
        "attentive": "attentive_interests",
    }
    other = [
        arm
        for arm, config in configs("aggregation").items()
        if same[config.scoring.readout] != config.scoring.aggregation
    ]
    assert other == ["comirec_sa_soft_then_max", "comirec_dr_soft_then_max"]


def test_routing_forms_differ_in_nothing_but_the_extractor() -> None:
    trained = {arm: run for arm, run in configs("routing").items() if find_method(run.method).kind == "extractor"}
    runs = {arm: run for arm, run in trained.items() if not arm.endswith("_in_context")}
    for arm in set(trained) - set(runs):
        own = runs[arm.removesuffix("_in_context")]
        assert trained[arm] == replace(own, scoring=replace(own.scoring, representation="in_context"))
    assert len({repr((run.scoring, run.loss, run.training, run.data)) for run in runs.values()}) == 1
    one = runs["comirec_dr"]
    assert (one.scoring.initialisation, one.scoring.similarity, one.scoring.repeats) == (
        "spectral",
        "cosine",
        "learned",
    )
    assert one.training.max_steps == HORIZON


def test_each_control_of_routing_differs_from_its_arm_in_one_knob() -> None:
    arms = find_study("routing").arms
    controls = {
        "top2_of_32": ("top2_of_4", "sparsemax", "entmax15", "frozen", "random", "positions", "balanced"),
        "top2_of_4": ("softmax_of_4", "uniform_of_4", "sinkhorn_of_4"),
        "comirec_dr": ("comirec_dr_1_round", "comirec_dr_2_rounds"),
    }
    for arm, others in controls.items():
        for other in others:
            assert arms[other]["method"] == arms[arm]["method"]
            assert len(set(arms[other]["model"].items()) - set(arms[arm]["model"].items())) == 1, other


def found(method: str) -> dict[str, Any]:
    """What a search might have found for it."""
    of_model = {"n_interests": 3} if method == "mind" else {}
    return {"training": {"learning_rate": 0.1 + 0.1 * list(METHODS).index(method)}, "model": of_model}


def test_an_arm_that_is_like_a_method_has_all_its_settings_but_those_of_the_model() -> None:
    arms = ("adaptive", "mind", "mind_as_adaptive")
    study = find_study("compare")
    for tuned in (None, found):
        runs = {cell.arm: cell.config for cell in plan(study, 1, [], tuned, arms)}
        adaptive, mind, like = (runs[arm] for arm in arms)
        assert like.training == adaptive.training != mind.training
        assert like.scoring == adaptive.scoring != mind.scoring
        assert like.loss == adaptive.loss != mind.loss
        assert like.model == mind.model
    assert like.model["n_interests"] == 3


def test_an_arm_that_is_like_another_method_keeps_what_its_own_presupposes() -> None:
    by_hand = {"training": {"batch_size": 256, "positions": "one", "learning_rate": 0.5}, "loss": {"hardness": 0.0}}
    cells = plan(find_study("compare"), 1, [], lambda _: by_hand, ("remi_as_adaptive", "sasrec_as_adaptive"))
    remi, sasrec = (cell.config for cell in cells)
    assert (sasrec.training.positions, sasrec.training.batch_size) == ("every", 64)
    assert sasrec.training.learning_rate == remi.training.learning_rate == 0.5
    assert remi.loss.hardness > 0


@pytest.mark.parametrize("name", ["fixed_vs_adaptive_k", "routing", "diffusion_long_tail"])
def test_arms_that_are_alike_share_what_was_found_for_one_method_and_no_model(name: str) -> None:
    by_hand = {"training": {"learning_rate": 0.25, "max_steps": 9}, "scoring": {"temperature": 0.3}}
    wanted, study = {"adaptive": {**by_hand, "model": {"max_distance": 0.9}}}, find_study(name)
    arms = [arm for arm in study.arms if not {*study.references} & {arm} and "sharp" not in arm][:5]
    for at_defaults, cell in zip(plan(study, 1, [], None, arms), plan(study, 1, [], wanted.get, arms), strict=True):
        before, found = at_defaults.config, cell.config
        assert (found.training.learning_rate, found.scoring.temperature) == (0.25, 0.3)
        assert found.training.max_steps == before.training.max_steps != 9, "which the study fixes"
        assert found.model == before.model
        assert found.loss == before.loss


def test_references_have_tuned_settings_where_there_are_some_and_none_of_the_common_ones() -> None:
    study, arms = find_study("fixed_vs_adaptive_k"), ("sasrec", "mind_k4")
    at_defaults, arm = (cell.config for cell in plan(study, 1, [], None, arms))
    reference, same = (cell.config for cell in plan(study, 1, [], None, arms, of_references=found))
    assert same == arm
    assert arm.training.max_steps < at_defaults.training.max_steps == reference.training.max_steps
    assert (
        at_defaults.training.learning_rate
        != reference.training.learning_rate
        == found("sasrec")["training"]["learning_rate"]
    )
    assert arm.scoring.temperature != reference.scoring.temperature
    asked_for = plan(study, 1, [{"training.max_steps": 7}], None, arms, of_references=found)
    assert {cell.config.training.max_steps for cell in asked_for} == {7}
