"""Statistics against slow twins, and against the publishers' figures where the data are at hand."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.data.dataset import Dataset, make_dataset
from experiments.data.log import InteractionLog
from experiments.data.metadata import ItemMetadata
from experiments.data.protocol import ProtocolConfig
from experiments.data.statistics import gini, measure, repeated, repeated_targets, statistics, time_ties, top_share
from experiments.data.synthetic.config import SyntheticConfig
from experiments.data.synthetic.generate import generate

DATA = Path(os.environ.get("ADAPTIVE_MI_DATA", Path(__file__).parents[2] / "../shared/data"))
counts_lists = st.lists(st.integers(0, 50), min_size=1, max_size=40).filter(any)


def real(name: str) -> InteractionLog:
    path = DATA / name / "interactions.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(path)
    time = table["timestamp"].to_numpy() if "timestamp" in table.column_names else None
    columns = (table[name].to_numpy() for name in ("user_id", "item_id"))
    return InteractionLog.from_arrays(*columns, time, table["position"].to_numpy())


def dataset_of(log: InteractionLog, **protocol: object) -> Dataset:
    return make_dataset("test", log, ItemMetadata.empty(log.n_items), ProtocolConfig(**protocol))


@settings(max_examples=100, deadline=None)
@given(counts_lists)
def test_gini_is_half_the_relative_mean_difference(counts):
    differences = [abs(a - b) for a in counts for b in counts]
    assert gini(np.array(counts)) == pytest.approx(np.mean(differences) / (2 * np.mean(counts)), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(counts_lists, st.floats(0.01, 1.0))
def test_a_top_share_lies_between_its_fair_share_and_one(counts, share):
    n_top = max(1, int(share * len(counts) + 1e-9))
    fair = n_top / len(counts)
    assert fair - 1e-12 <= top_share(np.array(counts), share) <= 1 + 1e-12


def test_repeats_and_ties_agree_with_slow_twins():
    rng = np.random.default_rng(0)
    log = InteractionLog.from_arrays(
        rng.integers(0, 30, 500), rng.integers(0, 12, 500), rng.integers(0, 40, 500), np.arange(500)
    )
    seen: set[tuple[int, int]] = set()
    again, n_pairs, n_tied = [], 0, 0
    rows = list(zip(log.user.tolist(), log.item.tolist(), log.timestamp.tolist(), strict=True))
    for r, (user, item, time) in enumerate(rows):
        again.append((user, item) in seen)
        seen.add((user, item))
        if r and rows[r - 1][0] == user:
            n_pairs += 1
            n_tied += rows[r - 1][2] == time
    assert repeated(log).tolist() == again
    assert time_ties(log) == n_tied / n_pairs

    test = dataset_of(log).test
    known = [item in test.histories[u] for u in range(len(test)) for item in test.targets[u]]
    assert repeated_targets(test).tolist() == known
    assert any(known)


def test_a_synthetic_data_set_is_described_before_and_after_the_filter():
    made = generate(SyntheticConfig(n_users=300, n_items=400))
    dataset = make_dataset("made", made.log, made.metadata, ProtocolConfig(), made.truth)
    log, parts, counts, interests = statistics(made.log, made.metadata, dataset)
    rows = {name: (raw, kept) for name, raw, kept in log.rows}
    assert rows["users"][0] == 300
    assert rows["interactions"] == (len(made.log), len(dataset.log))
    assert rows["items"][0] - rows["items"][1] == dict(counts.rows)["filtered_items"] > 0
    assert rows["items with a title"] == rows["items"]
    assert rows["time ties %"] == (0, 0)
    assert [row[0] for row in parts.rows] == ["train", "validation", "test"]
    assert sum(row[1] for row in interests.rows) == dataset.log.n_users
    for table in (log, parts, counts, interests):
        assert table.render("md")


def test_an_order_only_log_has_no_time_ties_to_count():
    log = InteractionLog.from_arrays(np.array([0, 0, 1]), np.array([5, 5, 6]))
    assert measure(log, ItemMetadata.empty(log.n_items))["time ties %"] is None


@pytest.mark.parametrize("name", ["ml-100k", "amazon-musical-instruments", "amazon-beauty", "retailrocket-sessions"])
def test_the_figures_of_the_source_are_reproduced(name):
    log = real(name)
    source = (DATA / name / "SOURCE.md").read_text()
    users, items, interactions, density = re.search(
        r"\n\| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| ([\d.]+) %", source
    ).groups()
    top, index = re.search(r"take ([\d.]+) % .*?Gini ([\d.]+)\.", source).groups()
    found = measure(log, ItemMetadata.empty(log.n_items))
    assert f"{found['users']:,} {found['items']:,} {found['interactions']:,}" == f"{users} {items} {interactions}"
    assert f"{found['density %']:.4f}" == density
    assert f"{found['interactions with the top 20 % items %']:.1f}" == top
    assert f"{found['item popularity Gini']:.3f}" == index
    mean, median, low, high = re.search(r"% \| ([\d.]+) / (\d+) / (\d+) / (\d+) \|", source).groups()
    lengths = [found[f"length {which}"] for which in ("median", "min", "max")]
    assert f"{found['length mean']:.1f}" == mean
    assert lengths == [float(median), float(low), float(high)]
    repeats = re.search(r"Repeated \(user, item\) pairs: ([\d,]+)", source).group(1)
    assert f"{int(repeated(log).sum()):,}" == repeats
    if name == "amazon-beauty":
        tied = found["time ties %"] * (len(log) - log.n_users) / len(log)  # the source divides by all rows
        assert tied == pytest.approx(39, abs=0.05)


def test_the_user_split_of_retailrocket_agrees_with_a_plain_python_twin():
    log = real("retailrocket-sessions")
    dataset = dataset_of(log)
    whole: dict[int, list[int]] = {}
    frequency = Counter(log.item.tolist())
    for user, item in zip(log.user.tolist(), log.item.tolist(), strict=True):
        if frequency[item] >= 5:
            whole.setdefault(user, []).append(int(log.item_ids[item]))
    kept = [items for items in whole.values() if len(items) >= 5]
    order = np.random.default_rng(0).permutation(len(kept))[int(len(kept) * 0.9) :]
    histories = [kept[u][: int(len(kept[u]) * 0.8)] for u in order]
    targets = [kept[u][int(len(kept[u]) * 0.8) :] for u in order]
    test, ids = dataset.test, dataset.log.item_ids
    assert ids[test.histories.items].tolist() == [item for history in histories for item in history]
    assert ids[test.targets.items].tolist() == [item for target in targets for item in target]
    known = [item in set(history) for history, target in zip(histories, targets, strict=True) for item in target]
    assert repeated_targets(test).tolist() == known
