"""What serving otherwise owes to a user: the same answer in any company, and interests as sound as without noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from under_law import assert_same, every_trained_method, odd_and_usual_histories, pad

from baselines.config import ServingConfig
from baselines.ranker import Ranker, Ranking
from experiments.config import RunConfig
from experiments.data.dataset import Dataset
from experiments.methods import AnyMethod
from experiments.serving import served

NOISE: Mapping[str, ServingConfig] = {
    "jitter": ServingConfig(jitter=0.5, n_copies=2),
    "dropout": ServingConfig(dropout=0.3, n_passes=2),
    "both": ServingConfig(jitter=0.2, n_copies=2, dropout=0.1, n_passes=2),
    "contrast": ServingConfig(contrast=3.0),
    "fewer": ServingConfig(kept_share=0.8, n_kept=3),
}
DRAWING = {"pinnersage"}
"""Which clusters these serve is drawn by what is read of the history, and so by what a pass drops of it."""

TAKING = {"fewer"}
"""What takes interests away, and leaves some behaviours to none."""

PART = {"jitter", "dropout"}
"""What `both` tries, too."""

every_noise = pytest.mark.parametrize(
    "noise", [pytest.param(noise, marks=pytest.mark.slow) if noise in PART else noise for noise in NOISE]
)


@pytest.fixture
def ranker(
    name: str,
    noise: str,
    fitted: Callable[[str], AnyMethod],
    configure: Callable[..., RunConfig],
    dataset: Dataset,
) -> Ranker:
    return served(fitted(name), replace(configure(name), serving=NOISE[noise]), dataset)


@every_trained_method
@every_noise
def test_a_user_alone_is_served_as_in_any_company(ranker: Ranker, dataset: Dataset) -> None:
    histories = odd_and_usual_histories(dataset, ranker.max_history or 12, n_usual=8)
    together = ranker.rank(pad(histories), 20)
    assert_same(ranker.rank(pad(histories, width=40, filler=7), 20), together)
    for user, history in enumerate(histories):
        alone = ranker.rank(pad([history]), 20)
        assert_same(alone, Ranking(together.items[user : user + 1], together.scores[user : user + 1]))


@every_trained_method
def test_a_penalty_is_taken_from_each_score_by_the_frequency_of_its_item(
    name: str, dataset: Dataset, fitted: Callable[[str], AnyMethod], configure: Callable[..., RunConfig]
) -> None:
    config = replace(configure(name), serving=ServingConfig(popularity_penalty=0.5))
    users = pad(odd_and_usual_histories(dataset, 12, n_usual=8))
    plain, held_back = (
        method.rank(users, dataset.n_items) for method in (fitted(name), served(fitted(name), config, dataset))
    )
    before = np.take_along_axis(plain.scores, plain.items.argsort(1), 1)  # by item
    after = np.take_along_axis(held_back.scores, held_back.items.argsort(1), 1)
    np.testing.assert_allclose(after, before - 0.5 * np.log1p(dataset.train.item_counts[1:]), rtol=1e-4, atol=1e-4)


@every_trained_method
@every_noise
def test_interests_that_are_served_are_sound(
    name: str, noise: str, ranker: Ranker, dataset: Dataset, fitted: Callable[..., AnyMethod]
) -> None:
    batch = pad(odd_and_usual_histories(dataset, ranker.max_history or 12, n_usual=8))
    found, plain = ranker.interests(batch), fitted(name).interests(batch)
    assert found is not None
    assert plain is not None
    least = 1 if noise in TAKING else 2
    assert (found.n_live >= least).all()
    assert torch.isfinite(found.vectors[found.mask]).all()
    shares = found.assignment.sum(-1)
    torch.testing.assert_close(shares, shares.round())  # 1 or 0
    assert (shares[~batch.history_mask] == 0).all()
    if noise in TAKING:
        assert (found.n_live <= plain.n_live.clamp(max=3)).all()
        assert (shares <= plain.assignment.sum(-1) + 1e-6).all()
    elif name not in DRAWING:
        torch.testing.assert_close(shares, plain.assignment.sum(-1))
    assert (found.assignment.masked_select(~found.mask[:, None, :]) == 0).all()
