"""Sizes of the recommender that the fixture `untrained` makes: items, width, longest history, interests."""

N, D, L, K = 60, 64, 6, 3
