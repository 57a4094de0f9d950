"""Run directories made up for the tests of the reports: the files of a run, without a model or a dataset."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from experiments.registry import find_method
from experiments.studies.definition import StudyDefinition

FINGERPRINT = "0123456789abcdef"
PROTOCOL = {"split": "user", "history_share": 0.8, "min_interactions": 5}


def fabricate_run(
    folder: Path,
    arm: str,
    *,
    quality: float = 0.3,
    seed: int = 0,
    method: str = "comirec_sa",
    model: Mapping[str, Any] | None = None,
    live_k: tuple[int, ...] = (),
    dataset: str = "toy",
    n_users: int = 300,
    stochastic: bool = True,
    corpus: Mapping[str, float] | None = None,
    fingerprint: str = FINGERPRINT,
    protocol: Mapping[str, Any] = PROTOCOL,
) -> Path:
    """Write one run below the study's `folder`, whose users' recall@20 lies about `quality`; return its directory."""
    run = folder / dataset / arm / str(seed)
    run.mkdir(parents=True)
    users = np.random.default_rng(1).random(n_users)  # the same users for every arm: easy and hard ones
    rng = np.random.default_rng([seed, *arm.encode()])
    noise = rng.normal(0, 0.05, n_users) if stochastic else 0.0
    recall = np.clip(quality + 0.4 * (users - 0.5) + noise, 0, 1)
    novel = np.where(users < 0.2, np.nan, 0.5 * recall)  # some users have no novel target
    per_user = {"recall@20": recall, "recall@50": np.sqrt(recall), "ndcg@20": recall / 2, "recall@20:novel": novel}
    per_user["recall@50:novel"] = np.sqrt(novel)
    per_user["recall@50:tail80"] = recall * rng.random(n_users) / 2
    per_user |= {f"hit_rate@{n}": (per_user[f"recall@{n}"] > 0.3).astype(float) for n in (20, 50)}
    per_user = {name: values.astype(np.float32) for name, values in per_user.items()}
    arrays: dict[str, Any] = {f"metric/{name}": values for name, values in per_user.items()}
    arrays |= {"user_id": np.array([f"u{u}" for u in range(n_users)]), "items": np.zeros((n_users, 3), np.int32)}
    means = {name: float(np.nanmean(values)) for name, values in per_user.items()}
    means |= {"coverage@50": 0.2 + quality / 3, "gini@50": 0.9 - quality / 3, **(corpus or {})}
    interests = None
    if live_k:
        k = rng.choice(live_k, n_users)
        arrays["live_k"] = k
        counts = {str(value): int(n) for value, n in zip(*np.unique(k, return_counts=True), strict=True)}
        interests = {"live_k_histogram": counts, "collapsed_share": 0.1, "collapsed": False}
        means |= {"live_k": float(k.mean()), "mean_pairwise_cosine": 0.3 + quality / 10}
        means |= {"effective_rank": 3 - quality, "dominant_share": 0.4 + quality / 5}
    groups = {
        "activity": {
            "short": {"n_users": 100, "recall@20": quality - 0.05},
            "long": {"n_users": 200, "recall@20": quality},
        }
    }
    results = {
        "study": folder.name, "arm": arm, "dataset": dataset, "method": method, "seed": seed, "protocol": protocol,
        "candidate_set": "all items", "n_users": {"validation": n_users, "test": n_users}, "validation": means,
        "test": means, "test_standard_errors": {}, "test_groups": groups, "interests": interests,
        "definitions": {"recall@n": "hits in the first n over the number of targets", ":novel": "new to the user"},
        "model": dict(model or {}), "stochastic": stochastic,
    }  # fmt: skip
    record = {
        "command": f"adaptive-mi train --method {method} --seed {seed}", "code_version": "abc123", "dependencies": {},
        "data": {"name": dataset, "fingerprint": fingerprint, "users": 3000, "items": 900, "interactions": 50000},
        "device": "cpu", "seed": seed, "wall_seconds": {"fit": 10.0 + seed, "evaluate": 1.0, "total": 12.0},
        "peak_mb": 300.0, "n_parameters": 64000,
    }  # fmt: skip
    (run / "results.json").write_text(json.dumps(results))
    (run / "run.json").write_text(json.dumps(record))
    np.savez(run / "per_user.npz", **arrays)
    return run


def fabricate_study(folder: Path, seeds: int = 2, **study: Any) -> Path:
    """Write a study of K: two references without randomness, three fixed K and one adaptive arm; return its folder."""
    arms: dict[str, dict[str, Any]] = {}
    for arm, quality in {"most_popular": 0.12, "item_knn": 0.34}.items():
        fabricate_run(folder, arm, quality=quality, method=arm, stochastic=False)
        arms[arm] = {"method": arm}
    for seed in range(seeds):
        for k, quality in {2: 0.30, 4: 0.33, 8: 0.36}.items():
            name, model = f"comirec_sa_k{k}", {"n_interests": k}
            fabricate_run(folder, name, quality=quality + 0.003 * seed, seed=seed, model=model, live_k=(k,))
            arms[name] = {"method": "comirec_sa", **model}
        options: dict[str, Any] = {"method": "adaptive_hdbscan", "live_k": (1, 2, 2, 3, 3, 3, 4, 6)}
        fabricate_run(folder, "adaptive_hdbscan", quality=0.39, seed=seed, **options)
        arms["adaptive_hdbscan"] = {"method": "adaptive_hdbscan"}
    told = {"name": folder.name, "question": "How many interests?", "arms": arms, "baseline": "item_knn", "columns": []}
    curves = {"comirec_sa": {f"comirec_sa_k{k}": k for k in (2, 4, 8)}}
    told |= {"x": "number of interests K", "curves": curves, "judged_by": ["recall@20"]}
    (folder / "study.json").write_text(json.dumps({**told, **study}))
    return folder


def fabricate_definition(
    folder: Path,
    study: StudyDefinition,
    *,
    datasets: Sequence[str] = ("toy",),
    seeds: int = 2,
    n_users: int = 60,
    quality: Callable[[str], float] = lambda arm: 0.3 + 0.01 * (len(arm) % 7),
) -> Path:
    """Write runs of every arm of a study as it is defined; return its folder."""
    for dataset, (arm, settings) in product(datasets, study.arms.items()):
        method = find_method(settings["method"])
        trained, model = method.kind == "extractor", settings.get("model", {})
        for seed in range(seeds if trained else 1):
            fabricate_run(
                folder, arm, quality=quality(arm), seed=seed, method=settings["method"], dataset=dataset, model=model,
                live_k=(model.get("n_interests", 1),) if trained else (), n_users=n_users, stochastic=trained,
            )  # fmt: skip
    told = study.told
    (folder / "study.json").write_text(json.dumps({**told, "name": folder.name}))
    return folder
