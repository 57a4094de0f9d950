"""The extractor against a slow twin, its degenerate histories, and planted interests."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
from histories import planted
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN, AgglomerativeClustering
from torch import Tensor

from adaptive_mi.extractor import AdaptiveExtractor, Rule, Step
from baselines.errors import BadInput
from baselines.interests import recency_rank

D, L = 32, 20


def batch(users: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Pad users' vectors [n, D], scaled as the recommender does; garbage lies under the padding."""
    history = torch.full((len(users), L, D), 7.0)
    mask = torch.zeros(len(users), L, dtype=torch.bool)
    for b, user in enumerate(users):
        history[b, : len(user)] = torch.from_numpy(user) * math.sqrt(D)
        mask[b, : len(user)] = True
    return history, mask


def draw_users(seed: int, n_users: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    sizes = [rng.integers(1, 6, rng.integers(1, 4)) for _ in range(n_users)]
    return [planted(rng, size, spread=0.15, D=D)[0] for size in sizes]


def with_random_parameters(**knobs: Any) -> AdaptiveExtractor:
    torch.manual_seed(0)
    extractor = AdaptiveExtractor(D, L, **{"transition": "none", **knobs})
    with torch.no_grad():
        for parameter in extractor.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape))
    return extractor.eval()


def pooled(user: np.ndarray, member: np.ndarray, recency: np.ndarray, gate: np.ndarray) -> tuple[np.ndarray, float]:
    """The weighted mean of the members, and the log of their weight, by the docstring's formula."""
    rows = user.astype(float) * math.sqrt(D)
    weight = np.array([math.exp(recency[len(user) - 1 - i] + gate @ rows[i]) for i in range(len(user))]) * member
    return (weight[:, None] * rows).sum(0) / weight.sum(), math.log(weight.sum())


@pytest.mark.parametrize("whole", [0.3, 0.0])
@pytest.mark.parametrize("weighted", [True, False])
def test_it_is_the_pooled_clusters_of_the_textbook(whole: float, weighted: bool) -> None:
    extractor = with_random_parameters(whole_share=whole, weighted=weighted, max_distance=0.5)
    users = draw_users(0)
    found = extractor(*batch(users))
    numbers = {name: p.detach().double().numpy() for name, p in extractor.named_parameters()}
    several = 0
    for b, user in enumerate(users):
        labels = np.zeros(1, int)
        if len(user) > 1:
            textbook = AgglomerativeClustering(None, metric="cosine", linkage="average", distance_threshold=0.5)
            labels = textbook.fit_predict(user.astype(float))
        order = sorted(set(labels), key=lambda k: -np.flatnonzero(labels == k).max())
        parts = [pooled(user, labels == k, numbers["of_clusters.recency"], numbers["of_clusters.gate"]) for k in order]
        log_mass = np.array([part[1] for part in parts]) if weighted else np.zeros(len(parts))
        expected = [part[0] for part in parts]
        log_share = (log_mass - np.log(np.exp(log_mass).sum())).tolist()
        if whole and len(parts) > 1:
            everything = np.ones(len(user), bool)
            expected.append(pooled(user, everything, numbers["whole.weight.recency"], numbers["whole.weight.gate"])[0])
            log_share.append(math.log(0.3 / 0.7))
            several += 1
        live = found.mask[b]
        torch.testing.assert_close(
            found.vectors[b][live], torch.tensor(np.array(expected)).float(), rtol=1e-4, atol=1e-4
        )
        torch.testing.assert_close(found.log_weight[b][live], torch.tensor(log_share).float(), rtol=1e-4, atol=1e-4)
        assigned = found.assignment[b, : len(user)].argmax(-1).tolist()
        assert assigned == [order.index(k) for k in labels]
    assert several > 1 or not whole


@pytest.mark.parametrize("rule", get_args(Rule))
def test_odd_histories_have_an_interest(rule: Rule) -> None:
    one = np.eye(D, dtype=np.float32)[:1]
    users = [one, np.repeat(one, 9, axis=0), np.eye(D, dtype=np.float32)[:L], draw_users(1)[0]]
    extractor = AdaptiveExtractor(D, L, rule=rule, max_interests=5)
    for _ in range(2):
        found = extractor(*batch(users))
        assert (found.n_live >= 1).all()
        assert found.n_live[:2].tolist() == [1, 1], "one item, however often, is one interest"
        assert (found.n_live <= 6).all()


@pytest.mark.parametrize(("rule", "expected"), [("fixed", [1, 3, 3]), ("log_length", [1, 2, 3])])
def test_a_preset_k_is_kept_as_far_as_there_are_items(rule: Rule, expected: list[int]) -> None:
    rng = np.random.default_rng(0)
    users = [planted(rng, [1], D=D)[0], planted(rng, [1] * 5, D=D)[0], planted(rng, [1] * 16, D=D)[0]]
    found = AdaptiveExtractor(D, L, rule=rule, max_interests=3, whole_share=0.0)(*batch(users))
    assert found.n_live.tolist() == expected


@pytest.mark.parametrize("rule", ["distance", "silhouette", "hdbscan"])
def test_planted_interests_are_counted(rule: Rule) -> None:
    rng = np.random.default_rng(1)
    planned = rng.integers(2, 5, 200)
    users = [planted(rng, rng.integers(3, 6, k), spread=0.06, D=D)[0][:L] for k in planned]
    extractor = AdaptiveExtractor(D, L, rule=rule, whole_share=0.0, noise="nearest")
    found = extractor(*batch(users))
    assert (found.n_live.numpy() == planned).mean() > 0.95


def test_what_dropout_took_away_does_not_change_the_clusters() -> None:
    users = draw_users(2)
    history, mask = batch(users)
    extractor = AdaptiveExtractor(D, L, max_distance=0.5)
    plain = extractor(history, mask)
    noisy = extractor(history * (torch.rand(history.shape) < 0.5), mask, history)
    torch.testing.assert_close(noisy.assignment, plain.assignment)
    assert not torch.equal(noisy.vectors, plain.vectors)


def test_k_by_chance_is_learnt_in_training_and_then_stands_still() -> None:
    users = draw_users(3, n_users=200)
    extractor = AdaptiveExtractor(D, L, rule="by_chance", max_distance=0.5, whole_share=0.0)
    found = AdaptiveExtractor(D, L, max_distance=0.5, whole_share=0.0)(*batch(users)).n_live
    extractor.train()(*batch(users))
    drawn, again = (extractor.eval()(*batch(users)).n_live for _ in range(2))
    assert torch.equal(drawn, again)
    assert not torch.equal(drawn, found)
    assert abs(float(drawn.double().mean() - found.double().mean())) < 0.15


def test_the_state_of_a_transformer_joins_the_whole_and_every_user_has_it() -> None:
    extractor = with_random_parameters(whole="sequence", max_distance=0.5)
    history, mask = batch(draw_users(0))
    found = extractor(history, mask)
    clusters = with_random_parameters(whole_share=0.0, max_distance=0.5)(history, mask).n_live
    assert torch.equal(found.n_live, clusters + 1)
    whole = extractor.whole
    assert whole is not None
    states = whole.encoder.states(history, mask)
    for b, user in enumerate(draw_users(0)):
        weight, gate = (p.detach().double().numpy() for p in (whole.weight.recency, whole.weight.gate))
        mean = pooled(user, np.ones(len(user), bool), weight, gate)[0]
        expected = torch.from_numpy(mean).float() + whole.of_state * states[b, len(user) - 1]
        torch.testing.assert_close(found.vectors[b, -1], expected, rtol=1e-4, atol=1e-4)
        assert found.log_weight[b, -1] == 0, "half of the importance"


def test_wards_linkage_cuts_another_tree() -> None:
    users = draw_users(4)
    found = AdaptiveExtractor(D, L, linkage="ward", max_distance=0.5, whole_share=0.0)(*batch(users))
    for b, user in enumerate(users):
        if len(user) > 1:
            height = math.sqrt(2 * 0.5)  # scipy's and scikit-learn's is the root of twice the sum of squares
            textbook = AgglomerativeClustering(None, linkage="ward", distance_threshold=height).fit(user.astype(float))
            assert found.n_live[b] == textbook.n_clusters_


def test_single_linkage_below_a_distance_is_dbscan() -> None:
    users = draw_users(4)
    found = AdaptiveExtractor(D, L, linkage="single", max_distance=0.4, max_interests=L, whole_share=0.0)(*batch(users))
    for b, user in enumerate(users):
        labels = DBSCAN(eps=0.4, min_samples=2, metric="cosine").fit(user.astype(float)).labels_
        assert found.n_live[b] == labels.max() + 1 + (labels == -1).sum()


def test_with_room_for_all_every_item_is_an_interest() -> None:
    users = draw_users(5)
    users[0] = users[0][[0] * len(users[0])]
    found = AdaptiveExtractor(D, L, rule="fixed", max_interests=L, whole_share=0.0)(*batch(users))
    assert found.n_live.tolist() == [1, *map(len, users[1:])]
    torch.testing.assert_close(found.vectors[1][: len(users[1])].flip(0), torch.from_numpy(users[1]) * math.sqrt(D))


def test_persistent_clusters_weigh_more_by_a_learned_factor() -> None:
    history, mask = batch([planted(np.random.default_rng(6), [6, 6, 6], spread=0.2, D=D)[0][:L]])
    knobs = {"rule": "hdbscan", "noise": "nearest", "whole_share": 0.0}
    plain, persistent = (AdaptiveExtractor(D, L, persistent=p, **knobs) for p in (False, True))  # type: ignore[arg-type]
    torch.testing.assert_close(persistent(history, mask).log_weight, plain(history, mask).log_weight)
    assert persistent.of_persistence is not None
    with torch.no_grad():
        persistent.of_persistence.fill_(3.0)
    found = persistent.cluster(history[mask], mask)
    assert found.persistence is not None
    lasting = torch.stack([found.persistence[found.labels == k].max() for k in range(int(found.labels.max()) + 1)])
    expected = (plain(history, mask).log_weight[0] + 3 * lasting).log_softmax(0)
    torch.testing.assert_close(persistent(history, mask).log_weight[0], expected)


def test_the_states_of_a_transformer_join_what_is_pooled_and_not_what_is_clustered() -> None:
    history, mask = batch(draw_users(0))
    extractor = with_random_parameters(pooled="contextual", whole_share=0.0, max_distance=0.5)
    plain = AdaptiveExtractor(D, L, whole_share=0.0, max_distance=0.5).eval()
    plain.of_clusters.load_state_dict(extractor.of_clusters.state_dict())
    assert extractor.context is not None
    joined = history + extractor.context.states(history, mask)
    found, expected = extractor(history, mask), plain(joined, mask, history)
    torch.testing.assert_close(found.vectors[found.mask], expected.vectors[expected.mask])
    torch.testing.assert_close(found.assignment, plain(history, mask).assignment)


def test_while_it_warms_up_everybody_has_one_interest_in_training_as_in_serving() -> None:
    history, mask = batch(draw_users(0))
    extractor = AdaptiveExtractor(D, L, max_distance=0.5, warm_up=2)
    assert (extractor.eval()(history, mask).n_live == 1).all()
    for _ in range(2):
        assert (extractor.train()(history, mask).n_live == 1).all()
    assert (extractor.eval()(history, mask).n_live > 1).any()


def test_a_share_of_the_whole_by_cohesion_is_one_of_k_for_k_interests_at_right_angles() -> None:
    users = [np.repeat(np.eye(D, dtype=np.float32)[:k], 20 // k, axis=0) for k in (2, 4, 5)]
    close = np.eye(D, dtype=np.float32)[:2] * 0.05 + np.float32(1)
    users.append(np.repeat(close / np.linalg.norm(close, axis=1, keepdims=True), 10, axis=0))
    found = AdaptiveExtractor(D, L, rule="fixed", whole_share="cohesion")(*batch(users))
    share = found.log_weight[:, -1].detach().sigmoid()
    expected = [(20 / k) / (1 + 20) for k in (2, 4, 5)]
    torch.testing.assert_close(share[:3], torch.tensor(expected), rtol=1e-4, atol=1e-5)
    assert share[3] == pytest.approx(20 / 21, rel=1e-2)


def test_what_became_of_a_user_is_noted_in_evaluation_alone() -> None:
    rng = np.random.default_rng(7)
    one = np.eye(D, dtype=np.float32)[:1]
    users = [np.repeat(one, 5, axis=0), np.eye(D, dtype=np.float32)[:L], planted(rng, [6] * 3, D=D)[0]]
    history, mask = batch(users)
    extractor = AdaptiveExtractor(D, L, rule="hdbscan", max_interests=2, min_cluster_size=3, noise="nearest").eval()
    notes = {name: values.tolist() for name, values in extractor(history, mask).notes.items()}
    assert notes["one_item"] == [1, 0, 0]
    assert notes["no_dense_group"][0] == 0
    assert notes["no_dense_group"][2] == 0
    assert notes["capped"] == [0, 0, 1]
    assert notes["noise_share"][0] == 1
    assert extractor.train()(history, mask).notes == {}
    cut = AdaptiveExtractor(D, L, max_interests=2).eval()(history, mask).notes
    assert {name: values.tolist() for name, values in cut.items()} == {"one_item": [1, 0, 0], "capped": [0, 1, 1]}


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"rule": "distanse"}, "distance"),
        ({"linkage": "wards"}, "ward"),
        ({"kept": "gumbl"}, "gumbel"),
        ({"pooled": "contextul"}, "contextual"),
        ({"whole_share": "cohesive"}, "cohesion"),
        ({"transition": "in_contxt"}, "in_context"),
        ({"warm_up": -1}, "warm_up"),
        ({"noise": "nearset"}, "nearest"),
        ({"max_interests": 0}, "max_interests"),
        ({"whole_share": 1.0}, "whole_share"),
        ({"max_distance": -0.1}, "max_distance"),
        ({"min_cluster_size": 1}, "min_cluster_size"),
        ({"min_samples": 0}, "min_samples"),
    ],
)
def test_impossible_knobs_are_bad_input(knobs: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        AdaptiveExtractor(D, L, **knobs)  # type: ignore[arg-type]


@pytest.mark.parametrize("step", ["alone", "in_context"])
@pytest.mark.parametrize("whole", [{}, {"whole": "sequence"}, {"whole_share": 0.0}], ids=str)
def test_the_transition_is_one_residual_step_of_every_live_interest_and_none_at_the_start(
    step: Step, whole: dict[str, object]
) -> None:
    users = draw_users(3)
    history, mask = batch(users)
    knobs: dict[str, Any] = {"max_distance": 0.5, **whole}
    torch.manual_seed(0)
    without = AdaptiveExtractor(D, L, transition="none", **knobs)(history, mask)
    torch.manual_seed(0)
    at_start = AdaptiveExtractor(D, L, transition=step, **knobs)(history, mask)
    torch.testing.assert_close(at_start.vectors[at_start.mask], without.vectors[without.mask])

    moving = with_random_parameters(transition=step, **knobs)
    found = moving(history, mask)
    moving.transition, transition = None, moving.transition
    before = moving(history, mask)
    assert transition is not None
    assert (before.n_live > 1).any()
    torch.testing.assert_close(found.log_weight, before.log_weight)
    parameter = {name: p.detach().double().numpy() for name, p in transition.named_parameters()}

    def normal(v: NDArray[np.float64], norm: str) -> NDArray[np.float64]:
        return (v - v.mean()) / np.sqrt(v.var() + 1e-5) * parameter[f"{norm}.weight"] + parameter[f"{norm}.bias"]

    rank = recency_rank(mask)[mask]
    assert step == "alone" or moving.whole is not None
    whole_of = moving.whole(history, mask, history[mask], rank) if moving.whole is not None else before.vectors[:, 0]
    for b, k in before.mask.nonzero().tolist():
        v = before.vectors[b, k].detach().double().numpy()
        read = normal(v, "norm")
        if step == "in_context":
            read = np.concatenate([read, normal(whole_of[b].detach().double().numpy(), "context_norm")])
        hidden = np.maximum(parameter["hidden.weight"] @ read + parameter["hidden.bias"], 0)
        expected = v + parameter["out.weight"] @ hidden + parameter["out.bias"]
        np.testing.assert_allclose(found.vectors[b, k].detach().numpy(), expected, rtol=1e-4, atol=1e-4)
