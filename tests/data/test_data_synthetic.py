"""The planted world keeps its own laws, and what it tells of itself is true."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse, stats

from baselines.errors import BadInput
from experiments.config import DataConfig
from experiments.data.dataset import Dataset, make_dataset
from experiments.data.loading import load_source
from experiments.data.protocol import ProtocolConfig
from experiments.data.statistics import repeated
from experiments.data.synthetic.config import SyntheticConfig
from experiments.data.synthetic.generate import Synthetic, generate

SMALL = SyntheticConfig(n_users=1000, n_items=600)


@pytest.fixture(scope="module")
def small() -> Synthetic:
    return generate(SMALL)


@pytest.fixture(scope="module")
def default() -> Dataset:
    made = generate(SyntheticConfig())
    return make_dataset("synthetic", made.log, made.metadata, ProtocolConfig(), made.truth)


def test_the_same_configuration_gives_the_same_world_and_another_seed_another(small):
    again, other = generate(SMALL), generate(replace(SMALL, seed=1))
    assert again.log.fingerprint() == small.log.fingerprint() != other.log.fingerprint()
    np.testing.assert_array_equal(again.truth.true_interest, small.truth.true_interest)
    np.testing.assert_array_equal(again.truth.item_vectors, small.truth.item_vectors)


def test_turning_the_noise_leaves_users_and_their_interests_as_they_were(small):
    noisy = generate(replace(SMALL, noise_share=0.4))
    np.testing.assert_array_equal(noisy.truth.interests, small.truth.interests)
    np.testing.assert_array_equal(noisy.truth.weights, small.truth.weights)
    np.testing.assert_array_equal(noisy.log.user, small.log.user)
    both = (noisy.truth.true_interest >= 0) & (small.truth.true_interest >= 0)
    np.testing.assert_array_equal(noisy.truth.true_interest[both], small.truth.true_interest[both])


def test_every_behaviour_is_of_an_interest_of_its_user_and_its_item_of_that_leaf(small):
    truth, log = small.truth, small.log
    led = truth.true_interest >= 0
    np.testing.assert_array_equal(truth.item_leaf[log.item[led]], truth.true_interest[led])
    planted = truth.interests[log.user[led]] == truth.true_interest[led, None]
    assert np.all(planted.sum(1) == 1)


def test_item_metadata_tells_the_leaf_of_the_item(small):
    per_top = SMALL.leaves_per_top
    for item, leaf in enumerate(small.truth.item_leaf[1:].tolist(), start=1):
        name = f"Leaf {leaf // per_top + 1}.{leaf % per_top + 1}"
        assert small.metadata.categories[item] == (f"Top {leaf // per_top + 1}", name)
        assert small.metadata.titles[item].startswith(f"{name} item ")


def test_true_k_lies_within_one_and_eight_and_follows_its_distribution():
    weights = (0.0, 3.0, 1.0, 0.0, 2.0)
    made = generate(replace(SMALL, interest_weights=weights))
    observed = np.bincount(made.truth.planted_k, minlength=6)[1:]
    assert observed[[0, 3]].tolist() == [0, 0]
    expected = np.array([3, 1, 2]) / 6 * SMALL.n_users
    assert stats.chisquare(observed[[1, 2, 4]], expected).pvalue > 1e-4
    assert np.all(generate(SMALL).truth.planted_k <= 8)


def test_realised_k_counts_the_interests_that_acted(small):
    acted: list[set[int]] = [set() for _ in range(small.log.n_users)]
    for user, interest in zip(small.log.user.tolist(), small.truth.true_interest.tolist(), strict=True):
        acted[user] |= {interest} - {-1}
    assert small.truth.realised_k.tolist() == [len(interests) for interests in acted]
    assert np.all(small.truth.realised_k <= small.truth.planted_k)


def test_true_k_cannot_be_guessed_from_the_length_of_the_history(small):
    lengths = np.diff(small.log.user_offsets)
    assert lengths.min() >= SMALL.min_length
    assert abs(stats.spearmanr(small.truth.planted_k, lengths).statistic) < 4 / np.sqrt(SMALL.n_users)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
def test_the_share_of_noise_is_as_ordered(share):
    noise = generate(replace(SMALL, noise_share=share)).truth.true_interest < 0
    assert stats.binomtest(int(noise.sum()), len(noise), share).pvalue > 1e-4 if share else not noise.any()


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_popularity_within_a_leaf_follows_zipf(exponent):
    config = replace(SMALL, item_exponent=exponent, taste=0.0, repeat_share=0.0, noise_share=0.0, n_top_categories=2)
    made = generate(replace(config, leaves_per_top=4, n_items=240))
    counts = np.bincount(made.log.item, minlength=made.log.n_items + 1)
    for leaf in range(8):
        of_leaf = np.flatnonzero(made.truth.item_leaf == leaf)  # in order of popularity, as the catalogue lists them
        expected = np.arange(1, 31.0) ** -exponent
        expected *= counts[of_leaf].sum() / expected.sum()
        assert stats.chisquare(counts[of_leaf], expected).pvalue > 1e-5


def half_by_half(made: Synthetic) -> float:
    """Mean total variation distance between a user's interest shares in the two halves of the history."""
    log, truth = made.log, made.truth
    lengths = np.diff(log.user_offsets)
    late = (np.arange(len(log)) - log.user_offsets[log.user]) * 2 >= lengths[log.user]
    led = truth.true_interest >= 0
    halves = np.zeros((2, log.n_users, truth.config.n_leaves))
    np.add.at(halves, (late[led].astype(int), log.user[led], truth.true_interest[led]), 1)
    shares = halves / np.maximum(halves.sum(2, keepdims=True), 1)
    return float(0.5 * np.abs(shares[0] - shares[1]).sum(1)[truth.planted_k > 1].mean())


def test_drift_changes_the_mix_of_interests_and_its_absence_does_not():
    still, moving, racing = (
        half_by_half(generate(replace(SMALL, drift=drift, median_length=200.0, length_spread=0.0, stickiness=0.0)))
        for drift in (0.0, 1.5, 4.0)
    )
    assert still < 0.15 < 0.2 < moving < racing
    assert racing > 0.5


def test_stickiness_is_the_chance_to_stay_beside_coming_back_by_chance():
    long = replace(SMALL, n_users=300, median_length=200.0, length_spread=0.0, noise_share=0.0, drift=0.0)

    def stays(stickiness: float) -> float:
        made = generate(replace(long, stickiness=stickiness))
        same_user = made.log.user[1:] == made.log.user[:-1]
        same = made.truth.true_interest[1:] == made.truth.true_interest[:-1]
        return float(same[same_user].mean())

    by_chance = stays(0.0)
    assert stays(0.6) == pytest.approx(0.6 + 0.4 * by_chance, abs=0.02)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_share_of_repeats_is_as_ordered_where_chance_repeats_are_rare(share):
    config = replace(SMALL, n_users=400, n_items=80_000, item_exponent=0.0, taste=0.0, noise_share=0.0)
    made = generate(replace(config, repeat_share=share))
    could_repeat = len(made.log) - made.truth.realised_k.sum()  # all but the first behaviour of each interest
    assert repeated(made.log).sum() / could_repeat == pytest.approx(share, abs=0.02)


def test_siblings_are_liked_together_and_lie_closer_than_strangers(small):
    pairs = small.truth.interests[small.truth.planted_k >= 2, :2] // SMALL.leaves_per_top
    siblings = (pairs[:, 0] == pairs[:, 1]).mean()
    independent = generate(replace(SMALL, sibling_odds=1.0)).truth
    by_chance = independent.interests[independent.planted_k >= 2, :2] // SMALL.leaves_per_top
    assert siblings > 2 * (by_chance[:, 0] == by_chance[:, 1]).mean()

    leaf, vectors = small.truth.item_leaf[1:], small.truth.item_vectors[1:]
    distance = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
    same_leaf = leaf[:, None] == leaf[None]
    same_top = leaf[:, None] // SMALL.leaves_per_top == leaf[None] // SMALL.leaves_per_top
    assert distance[same_leaf].mean() < distance[same_top & ~same_leaf].mean() < distance[~same_top].mean()


def test_times_increase_strictly_within_a_user(small):
    same_user = small.log.user[1:] == small.log.user[:-1]
    assert np.all(np.diff(small.log.timestamp)[same_user] > 0)
    assert small.log.has_time
    assert not small.log.repairs


def test_the_truth_survives_filtering_and_renumbering(small):
    protocol = ProtocolConfig(min_item_interactions=25, min_user_interactions=15)
    dataset = make_dataset("synthetic", small.log, small.metadata, protocol, small.truth)
    truth, log = dataset.truth, dataset.log
    assert truth is not None
    assert 0 < log.n_users < small.log.n_users
    assert 0 < log.n_items < small.log.n_items
    former = {(u, t): k for u, t, k in zip(
        small.log.user_ids[small.log.user].tolist(), small.log.timestamp.tolist(), small.truth.true_interest.tolist(),
        strict=True)}  # fmt: skip
    keys = zip(log.user_ids[log.user].tolist(), log.timestamp.tolist(), strict=True)
    assert truth.true_interest.tolist() == [former[key] for key in keys]
    led = truth.true_interest >= 0
    np.testing.assert_array_equal(truth.item_leaf[log.item[led]], truth.true_interest[led])
    former_k = dict(zip(small.log.user_ids.tolist(), small.truth.planted_k.tolist(), strict=True))
    assert truth.planted_k.tolist() == [former_k[user] for user in log.user_ids.tolist()]
    for user in range(log.n_users):
        interests = set(truth.true_interest[log.user == user].tolist()) - {-1}
        assert truth.realised_k[user] == len(interests)


@pytest.mark.parametrize("split", ["user", "leave_last_out", "temporal"])
def test_the_true_interests_of_a_history_are_those_of_its_items(small, split):
    dataset = make_dataset("synthetic", small.log, small.metadata, ProtocolConfig(split=split), small.truth)
    for part in (dataset.validation, dataset.test):
        interests = dataset.history_interests(part)
        led = interests >= 0
        assert led.mean() > 0.8
        np.testing.assert_array_equal(dataset.truth.item_leaf[part.histories.items[led]], interests[led])


def test_co_occurrence_learns_what_popularity_cannot_and_many_interests_are_harder(default):
    def counts(sequences):
        shape = (len(sequences), default.n_items + 1)
        return sparse.csr_matrix((np.ones(len(sequences.items)), (sequences.users, sequences.items)), shape).toarray()

    train, history, targets = (counts(s) for s in (default.train, default.test.histories, default.test.targets))
    train, targets = np.minimum(train, 1), (targets > 0) & (history == 0)
    together = train.T @ train
    np.fill_diagonal(together, 0)
    popularity = np.maximum(default.train_counts, 1)

    def recall(score):
        score = np.where(history > 0, -np.inf, score)
        best = np.argpartition(-score, 20, axis=1)[:, :20]
        return np.take_along_axis(targets, best, 1).sum(1) / np.maximum(targets.sum(1), 1)

    has_target = targets.any(1)
    knn = recall(history @ (together / np.sqrt(popularity[:, None] * popularity)))
    popular = recall(np.broadcast_to(popularity, history.shape))
    assert knn[has_target].mean() > 2 * popular[has_target].mean()
    true_k = default.truth.realised_k[default.test.users]
    few, some, many = (
        knn[has_target & (low <= true_k) & (true_k <= high)].mean() for low, high in ((1, 1), (2, 3), (4, 8))
    )
    assert few > 1.5 * some > 2 * many


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"interest_weights": (1.0,) * 9}, "1 to 8 weights"),
        ({"interest_weights": (0.0, 0.0)}, "not all 0"),
        ({"n_items": 10}, "at least the 40 leaf categories"),
        ({"n_top_categories": 1, "leaves_per_top": 3}, "1 to 3 weights"),
        ({"noise_share": 1.0}, "less than 1"),
        ({"drift": -1.0}, "drift must lie in 0..50"),
        ({"max_length": 2}, "at least min_length"),
        ({"n_users": 0}, "at least 1"),
        ({"seed": -1}, "must not be negative"),
        ({"name": "../elsewhere"}, "becomes a folder"),
    ],
)
def test_a_world_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(BadInput, match=message):
        SyntheticConfig(**wrong)


def test_a_world_has_its_name_and_is_otherwise_the_same():
    named, usual = (load_source(DataConfig(synthetic=world)) for world in (replace(SMALL, name="mine"), SMALL))
    assert (named.name, usual.name) == ("mine", "synthetic")
    assert np.array_equal(named.log.item, usual.log.item)


def test_extreme_worlds_are_still_worlds():
    for corner in (
        {"n_users": 1, "n_items": 40},
        {"stickiness": 0.99, "noise_share": 0.99, "repeat_share": 0.99},
        {"drift": 50.0, "taste": 50.0, "concentration": 0.1},
        {"n_top_categories": 1, "leaves_per_top": 8, "sibling_odds": 0.01},
        {"interest_weights": (1.0,), "n_top_categories": 1, "leaves_per_top": 1, "n_items": 1},
    ):
        made = generate(replace(SMALL, **{"n_users": 50, **corner}))
        led = made.truth.true_interest >= 0
        np.testing.assert_array_equal(made.truth.item_leaf[made.log.item[led]], made.truth.true_interest[led])
