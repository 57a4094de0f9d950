"""Search spaces: keys are those of a run, the defaults lie inside, every trained method has the same shared ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import yaml

from experiments.cli.arguments import accepted, make_run
from experiments.registry import METHODS
from experiments.settings import flatten, nest
from experiments.tuning.dimensions import Branch, Choice, Dimension, Number, draw, one_of, place, without, zero_or
from experiments.tuning.space import _SHARED, FULL_SOFTMAX_ITEMS, OWN, space_of

TRAINED = [name for name, method in METHODS.items() if method.kind == "extractor"]
SMALL_AND_LARGE = 100, FULL_SOFTMAX_ITEMS + 1

SIMILARITY = Choice(
    "similarity", {"cosine": Branch({"s": "cosine"}, (Number("t", 0.1, 1.0),)), "dot": Branch({"s": "dot", "t": 1.0})}
)


class Drawn:
    """A trial that draws at random; optuna itself refuses a name that has two meanings within a search."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.params: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        assert not log or low > 0
        u = self.rng.random()
        return self._told(name, float(low * (high / low) ** u if log else low + (high - low) * u))

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str:
        return self._told(name, str(self.rng.choice(list(choices))))

    def _told(self, name: str, value: Any) -> Any:
        assert name not in self.params, f"{name} is asked for twice"
        self.params[name] = value
        return value


class Told(Drawn):
    """A trial whose parameters are given."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.given = params

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        assert low <= self.given[name] <= high, log
        return float(self.given[name])

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str:
        assert self.given[name] in choices
        return str(self.given[name])


def defaults(method: str) -> dict[str, Any]:
    return flatten(yaml.safe_load(make_run({"method": method})[1]))


def keys(space: Sequence[Dimension]) -> set[str]:
    return {key for dimension in space for key in dimension.keys}


@pytest.mark.parametrize("n_items", SMALL_AND_LARGE)
@pytest.mark.parametrize("method", METHODS)
def test_every_key_of_every_space_is_a_setting_of_its_method(method: str, n_items: int) -> None:
    known = accepted({"method": method})
    searched = flatten(nest(dict.fromkeys(keys(space_of(method, n_items)))), known)
    assert set(searched) <= known


@pytest.mark.parametrize("n_items", SMALL_AND_LARGE)
@pytest.mark.parametrize("method", METHODS)
def test_the_default_configuration_is_a_point_of_its_space(method: str, n_items: int) -> None:
    space, default = space_of(method, n_items), defaults(method)
    parameters = place(space, default)
    assert parameters is not None
    reached = draw(space, Told(parameters))
    assert reached == {key: default[key] for key in reached}


@pytest.mark.parametrize("method", METHODS)
def test_whatever_is_drawn_is_a_run_and_leads_back_to_itself(method: str) -> None:
    space = space_of(method, 100)
    for seed in range(5):
        trial = Drawn(seed)
        settings = draw(space, trial)
        assert place(space, settings) == trial.params
        assert draw(space, Told(trial.params)) == settings
        config, text = make_run(nest({"method": method, **settings}))
        assert config.method == method
        resolved = flatten(yaml.safe_load(text))
        assert settings == {key: resolved[key] for key in settings}


def test_every_trained_method_searches_the_same_shared_dimensions() -> None:
    for n_items in SMALL_AND_LARGE:
        loss = {"loss.n_negatives", "loss.proposal"}
        assert all(keys(_SHARED) | loss <= keys(space_of(method, n_items)) for method in TRAINED)
    several = {method for method in TRAINED if "scoring.readout" in keys(space_of(method, 1))}
    assert several == {method for method in TRAINED if "model.n_interests" in accepted({"method": method})}


def test_the_full_softmax_is_tried_on_small_catalogues_alone() -> None:
    assert "loss.kind" in keys(space_of("mean_pooling", FULL_SOFTMAX_ITEMS))
    assert "loss.kind" not in keys(space_of("mean_pooling", FULL_SOFTMAX_ITEMS + 1))
    assert "loss.kind" not in keys(space_of("remi", 1))  # it has no hard negatives there


def test_a_method_that_nobody_wrote_a_space_for_has_the_shared_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "newcomer", METHODS["mean_pooling"])
    assert space_of("newcomer", 5) == space_of("mean_pooling", 5)
    assert keys(_SHARED) <= keys(space_of("newcomer", 5))


def test_the_table_of_own_dimensions_names_registered_methods_alone() -> None:
    assert set(OWN) <= set(METHODS)


@pytest.mark.parametrize("method", ["most_popular", "history_repeat"])
def test_a_method_without_knobs_has_nothing_to_choose(method: str) -> None:
    assert space_of(method, 5) == ()


def test_a_branch_sets_its_keys_together() -> None:
    assert draw([SIMILARITY], Told({"similarity": "dot"})) == {"s": "dot", "t": 1.0}
    assert draw([SIMILARITY], Told({"similarity": "cosine", "t": 0.3})) == {"s": "cosine", "t": 0.3}


def test_settings_outside_a_space_have_no_place_in_it() -> None:
    assert place([SIMILARITY], {"s": "cosine", "t": 0.3}) == {"similarity": "cosine", "t": 0.3}
    assert place([SIMILARITY], {"s": "dot", "t": 1.0}) == {"similarity": "dot"}
    for outside in ({"s": "dot", "t": 0.3}, {"s": "cosine", "t": 2.0}, {"s": "cosine"}, {"s": "cosine", "t": "x"}, {}):
        assert place([SIMILARITY], outside) is None


def test_nought_has_a_branch_of_its_own_where_the_scale_is_logarithmic() -> None:
    space = [zero_or("decay", "d", 1e-3, 1e-1)]
    assert place(space, {"d": 0.0}) == {"decay": "none"}
    assert place(space, {"d": 0.01}) == {"decay": "some", "d": 0.01}
    assert draw(space, Told({"decay": "some", "d": 0.02})) == {"d": 0.02}


def test_what_is_given_is_not_searched() -> None:
    nested = Choice("loss", {"sampled": Branch({"kind": "s"}, (one_of("n", 1, 2),)), "full": Branch({"kind": "f"})})
    space = [SIMILARITY, nested, Number("x", 0, 1)]
    assert keys(without(space, ["t"])) == {"kind", "n", "x"}
    assert keys(without(space, ["kind", "x"])) == {"s", "t"}
    assert keys(without(space, ["n"])) == {"s", "t", "kind", "x"}
    assert without(space, []) == tuple(space)


@pytest.mark.parametrize("method", METHODS)
def test_no_given_key_is_left_to_the_search(method: str) -> None:
    space = space_of(method, 100)
    for key in keys(space):
        assert key not in keys(without(space, [key]))
