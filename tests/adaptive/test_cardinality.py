"""K by chance, the control of every rule for it."""

from __future__ import annotations

import numpy as np

from adaptive_mi.cardinality import KByChance, chance_of


def test_k_by_chance_has_the_histogram_of_the_rule_for_every_length() -> None:
    rng = np.random.default_rng(0)
    n = rng.integers(1, 9, 20_000)
    found = 1 + rng.binomial(n - 1, 0.3)
    control = KByChance(max_history=8, max_interests=8)
    control.note(n, found)
    drawn = control.draw(n, rng.random(len(n)))
    assert (drawn != found).mean() > 0.4, "it is another user's K"
    for length in range(1, 9):
        of_rule = np.bincount(found[n == length], minlength=9) / (n == length).sum()
        of_control = np.bincount(drawn[n == length], minlength=9) / (n == length).sum()
        np.testing.assert_allclose(of_control, of_rule, atol=0.04)
        assert (of_control[of_rule == 0] == 0).all()


def test_a_length_that_was_never_seen_has_one_interest() -> None:
    control = KByChance(max_history=4, max_interests=3)
    assert control.draw(np.array([1, 4]), np.array([0.0, 0.99])).tolist() == [1, 1]


def test_chance_is_the_same_for_a_user_alone_and_among_others_and_is_spread_evenly() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 10, 3000)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    vectors = rng.standard_normal((starts[-1], 16)).astype(np.float32)
    together = chance_of(vectors, starts)
    for b in (0, 7, 2999):
        alone = chance_of(vectors[starts[b] : starts[b + 1]], np.array([0, lengths[b]]))
        assert alone[0] == together[b]
    assert (together >= 0).all()
    assert (together < 1).all()
    assert abs(np.histogram(together, 10, (0, 1))[0] - 300).max() < 75
