"""The sampling benchmark times every generator at every size, beside what generates nothing."""

from __future__ import annotations

import pytest

from experiments.bench import sampling
from experiments.bench.sampling import bench_sampling


def test_every_generator_has_a_row_at_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"_SECONDS": 0.0, "_TURNS": 1, "_USERS": 8, "_SIZES": ((1, 2, 1.0), (2, 3, 2.0))}.items():
        monkeypatch.setattr(sampling, name, value)
    rows = bench_sampling().rows
    generated = {(row[0], *row[1:4]) for row in rows if row[1] is not None}
    assert generated == {(name, *size) for name in sampling._GENERATORS for size in sampling._SIZES}
    assert {row[0] for row in rows if row[1] is None} == set(sampling._REFERENCES)
    for row in rows:
        assert float(str(row[4])) * float(str(row[5])) == pytest.approx(1e6)
