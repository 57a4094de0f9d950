"""Do clusters reach more of the tail than one vector that is kept from the popular, at equal recall?

In recall clusters are worth little beside one vector with the same non-linear step (`fixed_vs_adaptive_k`); what they
gain is the tail. But whoever holds back what is popular gains there as well, at the price of recall. So all arms are
served, too, with every score less a multiple of the log of its item's frequency (`*_penalty_*`), and the tail is
compared where recall is equal, along these curves. And a cluster is narrower than a history: it may ask for what is
near it more sharply than one vector can. So all are trained at two temperatures, that of the other studies and two
thirds of it (`*_sharp`), of which validation chooses.

Arms: one cluster; the rule (`adaptive`); the same with K = 4 for all, the whole history beside it, the cleanest
control of adapting; attention's four interests, with the same step; and, with a transformer's state in the whole, one
cluster and the rule. Settings and step are those of `adaptive`; the latest 20 behaviours are read.

Command: `adaptive-mi study clusters_and_tail --data D --seeds 3`. Cost: about a quarter of an hour of one core a seed
on a log of the size of Amazon Beauty; arms that differ in serving share a training.
"""

from typing import Any

from experiments.studies.definition import StudyDefinition
from experiments.studies.like_adaptive import IN_CONTEXT, brief, sharp, sharper

_ONE, _RULE, _PRESET, _ATTENTION = "one_cluster", "adaptive", "four_and_whole", "attention_in_context"
_ONE_SEQUENCE, _RULE_SEQUENCE = "one_cluster_sequence", "adaptive_sequence"
_FAMILIES: dict[str, dict[str, Any]] = {
    _ONE: {"method": "adaptive", "model": {"rule": "fixed", "max_interests": 1, "whole_share": 0.0}},
    _PRESET: {"method": "adaptive", "model": {"rule": "fixed", "max_interests": 4}},
    _ATTENTION: {"method": "comirec_sa", "model": {"n_interests": 4}, "scoring": IN_CONTEXT},
    _RULE: {"method": "adaptive"},
    _ONE_SEQUENCE: {"method": "adaptive_sequence", "model": {"rule": "fixed", "max_interests": 1}},
    _RULE_SEQUENCE: {"method": "adaptive_sequence"},
}
_PENALTIES = (0.1, 0.2, 0.4)
_TRAINED = {**_FAMILIES, **sharper(_FAMILIES)}
_CURVES = {name: {name: 0.0, **{f"{name}_penalty_{alpha:g}": alpha for alpha in _PENALTIES}} for name in _TRAINED}
_EITHER = {name: (name, sharp(name)) for name in _FAMILIES}


def _against(first: str) -> tuple[str, dict[str, tuple[str, ...]]]:
    """Hold the curve of an arm against those of all others at its temperature, where recall is equal."""
    names = [name for name in _TRAINED if name.endswith("_sharp") == first.endswith("_sharp")]
    return "recall@50", {name: tuple(_CURVES[name]) for name in sorted(names, key=lambda name: name != first)}


STUDY = StudyDefinition(
    name="clusters_and_tail",
    question="Do clusters reach more of the tail than one vector that is kept from the popular, at equal recall?",
    columns=("recall@20", "recall@50", "recall@50:novel", "recall@50:tail80", "coverage@50", "novelty@50", "live_k"),
    arms={
        "item_knn": {"method": "item_knn"},
        **_TRAINED,
        **{
            arm: {**_TRAINED[name], "serving": {"popularity_penalty": alpha}}
            for name, curve in _CURVES.items()
            for arm, alpha in curve.items()
            if alpha
        },
    },
    baseline=_RULE,
    rivals=(_ONE, _PRESET),
    judged_by=("recall@50", "recall@50:tail80"),
    x="penalty",
    curves=_CURVES,
    plots=(("recall@50", "recall@50:tail80"), ("recall@50", "coverage@50")),
    panels={
        "the usual temperature": tuple(_FAMILIES),
        "a sharper temperature": tuple(map(sharp, _FAMILIES)),
    },
    floor=0.85,
    frontiers=tuple(map(_against, (_RULE, sharp(_RULE), _RULE_SEQUENCE, sharp(_RULE_SEQUENCE)))),
    choices=_EITHER,
    own=(_RULE, _RULE_SEQUENCE),
    points={name: tuple(arm for one in both for arm in _CURVES[one]) for name, both in _EITHER.items()},
    points_by="recall@50:tail80",
    alike="adaptive",
    common=brief(),
    references=("item_knn",),
)
