"""Medoids of Ward's clusters are those of the definition; training knows nothing of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from histories import lifelike, pack, planted
from scipy.cluster.hierarchy import fcluster, linkage
from torch import Tensor

from adaptive_mi.extractor import AdaptiveExtractor
from adaptive_mi.pinnersage import PinnerSage, medoids
from baselines.errors import BadInput

D, L = 32, 24


def batch(users: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    history, mask = torch.zeros(len(users), L, D), torch.zeros(len(users), L, dtype=torch.bool)
    for b, user in enumerate(users):
        history[b, : len(user)], mask[b, : len(user)] = torch.from_numpy(user), True
    return history, mask


def drawn(seed: int, n_users: int = 30) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [lifelike(rng, int(rng.integers(1, L + 1)), D, repeats=True) for _ in range(n_users)]


def test_a_medoid_has_the_least_sum_of_squared_distances() -> None:
    rng = np.random.default_rng(0)
    vectors, _ = pack([lifelike(rng, n, D) for n in (1, 2, 9, 30)])
    cluster = rng.permutation(np.r_[np.arange(7), rng.integers(0, 7, len(vectors) - 7)])
    for k, found in enumerate(medoids(vectors, cluster, 7)):
        own = np.flatnonzero(cluster == k)
        squares = ((vectors[own, None].astype(float) - vectors[own]) ** 2).sum((1, 2))
        assert found in own
        assert squares[own.tolist().index(found)] == pytest.approx(squares.min(), abs=1e-6)


def test_all_clusters_are_served_by_medoids_with_the_importance_of_the_definition() -> None:
    users = drawn(1)
    found = PinnerSage(D, L, max_distance=1.0, n_served=0, decay=0.1).eval()(*batch(users))
    for b, user in enumerate(users):
        n = len(user)
        labels = np.ones(1, int)
        if n > 1:
            labels = fcluster(linkage(user.astype(float), "ward"), np.sqrt(2.0), "distance")
        assert found.n_live[b] == len(set(labels))
        weight = np.exp(-0.1 * np.arange(n)[::-1])
        expected = {}
        for k in set(labels):
            own = np.flatnonzero(labels == k)
            rows = user[own] / np.linalg.norm(user[own].astype(float), axis=1, keepdims=True)
            squares = ((rows[:, None] - rows) ** 2).sum((1, 2)).round(9)
            expected[weight[own].sum()] = user[own[len(own) - 1 - squares[::-1].argmin()]]
        total = sum(expected)
        for k in range(int(found.n_live[b])):
            importance = float(found.log_weight[b, k].exp()) * total
            nearest = min(expected, key=lambda weight: abs(weight - importance))
            assert importance == pytest.approx(nearest, rel=1e-4)
            np.testing.assert_allclose(found.vectors[b, k].numpy(), expected[nearest], atol=1e-5)


def test_three_are_drawn_by_importance_and_the_same_each_time() -> None:
    rng = np.random.default_rng(2)
    users = [planted(rng, [9, 3, 3, 3, 3], D=D)[0] for _ in range(400)]
    history, mask = batch(users)
    extractor, whole = PinnerSage(D, L).eval(), PinnerSage(D, L, n_served=0).eval()(history, mask)
    found = extractor(history, mask)
    assert (whole.n_live == 5).all()
    assert (found.n_live == 3).all()
    assert torch.equal(found.mask, extractor(history, mask).mask)
    assert torch.equal(found.mask[7:8], extractor(history[7:8], mask[7:8]).mask)
    largest = whole.assignment.sum(1).argmax(1)
    with_largest = found.mask[torch.arange(400), largest].double().mean()
    assert 0.85 < with_largest < 1, "nine of 21 behaviours, in three draws"
    assert (found.assignment.masked_select(~found.mask[:, None]) == 0).all()


def test_training_is_that_of_one_interest() -> None:
    history, mask = batch(drawn(3))
    one = AdaptiveExtractor(D, L, rule="fixed", max_interests=1, whole_share=0.0).train()
    extractor = PinnerSage(D, L).train()
    with torch.no_grad():
        one.of_clusters.recency.normal_()
    extractor.weight.load_state_dict(one.of_clusters.state_dict())
    found = extractor(history, mask)
    assert (found.n_live == 1).all()
    torch.testing.assert_close(found.vectors, one(history, mask).vectors)


@pytest.mark.parametrize("wrong", ["max_distance", "n_served", "decay"])
def test_impossible_knobs_are_bad_input(wrong: str) -> None:
    with pytest.raises(BadInput, match=wrong):
        PinnerSage(D, L, **{wrong: -1})  # type: ignore[arg-type]
