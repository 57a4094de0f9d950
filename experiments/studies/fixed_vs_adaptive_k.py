"""Is one K for each user, read off the behaviours, better than any K for all?

Open question 5.1 of Li et al. (arXiv 2506.15284). All arms but the references are clusters of the history, pooled alike
(`adaptive_mi.extractor`), so that nothing differs but K: preset (`fixed_k*`), or read off by one rule, the same on
every log (`adaptive`: clusters farther apart than .65 stay apart, and the history as a whole has half the importance).
What could kill the claim: K by chance, as often as the rule finds each K among users of that length in training
(`by_chance`; there it finds fewer, so smaller distances make it equal in vectors, `by_chance_*`); MIND's log2 rule; a
preset K with the whole history beside it (`fixed_k*_whole`, the cleanest control); clusters without it. Other rules:
the silhouette, the gap statistic, HDBSCAN. And whether clusters add to what one transformer layer makes of the history:
`adaptive_sequence` against the same with a preset K (`sequence_k1`, `sequence_k4`), and against the layer's state alone
(`sequence_alone`). Curves over the vectors that a user has on average: preset K, without and with the whole, the rule's
distance, K by chance.

K may follow from the user in serving alone: of eight clusters, or of those of `adaptive`, the fewest are served that
have a share of the importance (`*_share_*`), against the same number of them for everybody (`fixed_k8_top_*`). A
cluster is narrower than a history and may bear a sharper temperature than one vector does, so the main arms are trained
at one, too (`*_sharp`), and a preset K may have the better of its two. What clusters are worth in the tail is asked
apart (`clusters_and_tail`).

Every interest goes through one non-linear step in the context of the whole history, the same for K = 1 as for many.
What the step is worth, and whether adapting is worth more or less without it: `*_no_step`, and `adaptive_step_alone`,
where it reads the interest only. `as_any_*` have neither the step nor the bonus for items of the history, which they
score like any others, as published work does: there a preset K is worth more, since fine clusters remember what is
taken again.

Fixed K by published extractors in the same settings (`mind_k*`, `comirec_*_k*`, `remi_k*`): of each method, as of the
clusters, the K that is best on validation is its result. Published as they are they have no such step; whether clusters
are worth anything beside it, `*_in_context` tell, which have it. References, with their tuned settings where there are
some: item-kNN, EASE^R, SASRec. Rivals in adapting, without the step as well: `pinnersage` (medoids of Ward's clusters,
of which three are drawn or all serve, on a table that was trained with one vector; its like are the arms `*_no_step`),
sparse routing, the codebook. With it: Ward's linkage trained with, every item an interest, gates of eight slots that
are learned by Gumbel noise or by entmax (expected to close: training rewards K = 1). What else an interest may be made
of: DBSCAN with one near neighbour, HDBSCAN with each noise rule, with persistence in the weights, contextual vectors in
the clusters, and a share of the whole history that is each user's own (`cohesion`).

The settings of training are those of `adaptive`, the same for all arms but the references, with `--tuned` what its
search found on the log (on Amazon Beauty and MovieLens its defaults); K and the rule are what is compared. The latest
20 behaviours are read.

Command: `adaptive-mi study fixed_vs_adaptive_k --data D --tuned --seeds 3`. Cost: half of the arms took
25 CPU minutes a seed on amazon-beauty.
"""

from collections.abc import Iterable
from typing import Any

from experiments.studies.definition import StudyDefinition
from experiments.studies.like_adaptive import IN_CONTEXT, ONE_TRANSFORMER, READ, brief, sharp, sharper

_PRESET = (1, 2, 4, 6, 8, 16)
_PUBLISHED = ("mind", "comirec_dr", "comirec_sa", "remi")
_SLOTS = 8  # of the gates
_DEFAULT = 0.65  # of `max_distance`
_DISTANCES = (0.4, _DEFAULT, 0.8, 1.0)
_VECTORS = "live_k"
_SHARES, _NUMBERS = (0.95, 0.9, 0.8), (1, 2, 3, 4)


def _clusters(**model: Any) -> dict[str, Any]:
    return {"method": "adaptive", "model": model}


def _preset(k: int, **model: Any) -> dict[str, Any]:
    return _clusters(rule="fixed", max_interests=k, **model)


def _served(arm: dict[str, Any], name: str, knob: str, values: tuple[float, ...]) -> dict[str, dict[str, Any]]:
    """Return arms that share the training of `arm`, by name."""
    return {f"{name}_{value:g}": {**arm, "serving": {knob: value}} for value in values}


def _without_step(arm: dict[str, Any]) -> dict[str, Any]:
    return {**arm, "model": {**arm.get("model", {}), "transition": "none"}}


def _as_any(arm: dict[str, Any]) -> dict[str, Any]:
    return {**_without_step(arm), "scoring": {"repeats": "as_any"}}


def _distance(distance: float) -> str:
    return "adaptive" if distance == _DEFAULT else f"distance_{distance:g}"


_OF_PRESET = {f"fixed_k{k}": _preset(k, whole_share=0.0) for k in _PRESET}
_BESIDE_WHOLE = {f"fixed_k{k}_whole": _preset(k) for k in (4, 2, 8)}
_OF_DISTANCES = {_distance(d): _clusters(**({} if d == _DEFAULT else {"max_distance": d})) for d in _DISTANCES}
_AT_EITHER = (
    *("fixed_k1", "fixed_k2", "fixed_k4", "fixed_k8", "fixed_k2_whole", "fixed_k4_whole", "fixed_k8_whole"),
    *("adaptive", "distance_0.8", "distance_1"),
)
_MAIN = {**_OF_PRESET, **_BESIDE_WHOLE, **_OF_DISTANCES}
_SHARPER = sharper({name: _MAIN[name] for name in _AT_EITHER})
_BY_K = {f"fixed_k{k}": k for k in _PRESET}
_BY_DISTANCE = {_distance(d): d for d in _DISTANCES}
_WITH_WHOLE = {"fixed_k1": 1, **{f"fixed_k{k}_whole": k for k in (2, 4, 8)}}
_BY_CHANCE = {"by_chance": _DEFAULT, "by_chance_0.5": 0.5, "by_chance_0.4": 0.4}
_REFERENCES = ("item_knn", "repeat_then_item_knn", "ease", "sasrec")
_SPARSE = ("sparse_routing", "codebook_routing")
_IN_CONTEXT = tuple(f"{name}_in_context" for name in (*(f"{name}_k4" for name in _PUBLISHED), *_SPARSE))
_RULE_CURVE, _PRESET_CURVE = "adaptive, by distance", "preset K"
_WHOLE_CURVE, _CHANCE_CURVE = "preset K, the whole beside it", "K by chance"
_SHARPER_CURVES = {
    f"{label}, sharper": {sharp(name): x for name, x in curve.items() if sharp(name) in _SHARPER}
    for label, curve in ((_RULE_CURVE, _BY_DISTANCE), (_PRESET_CURVE, _BY_K), (_WHOLE_CURVE, _WITH_WHOLE))
}
_ANY_PRESET = tuple({**_BY_K, **_WITH_WHOLE})
_NOISES = ("shared", "nearest", "dropped")
_OTHER_RULES = ("silhouette", "gap", "hdbscan", *(f"hdbscan_{noise}" for noise in _NOISES), "hdbscan_persistent")
_SHARE_OF_EIGHT, _MOST_IMPORTANT, _SHARE = "a share of K = 8", "the most important of K = 8", "a share of adaptive"
_OF_FEWER: dict[str, dict[str, float | str]] = {
    _SHARE_OF_EIGHT: {"fixed_k8": 1.0, **{f"fixed_k8_share_{share:g}": share for share in _SHARES}},
    _MOST_IMPORTANT: {**{f"fixed_k8_top_{number}": number for number in _NUMBERS}, "fixed_k8": 8},
    _SHARE: {"adaptive": 1.0, **{f"adaptive_share_{share:g}": share for share in _SHARES}},
}

_EITHER_RULE = "adaptive, at either temperature"


def _either(names: Iterable[str]) -> tuple[str, ...]:
    """Arms, and the same at the sharper temperature as far as there are such."""
    return tuple(arm for name in names for arm in (name, sharp(name)) if arm == name or arm in _SHARPER)


STUDY = StudyDefinition(
    name="fixed_vs_adaptive_k",
    question="Is one K for each user, read off the behaviours, better than any K for all?",
    columns=(
        "recall@20",
        "recall@50",
        "ndcg@20",
        "recall@50:novel",
        "recall@50:tail80",
        "coverage@50",
        "live_k",
        "mean_pairwise_cosine",
    ),
    arms={
        **{name: {"method": name} for name in _REFERENCES},
        **{name: {"method": name} for name in _SPARSE},
        **{f"{name}_k{k}": {"method": name, "model": {"n_interests": k}} for name in _PUBLISHED for k in _PRESET},
        **{
            f"{name}_k4_in_context": {"method": name, "model": {"n_interests": 4}, "scoring": IN_CONTEXT}
            for name in _PUBLISHED
        },
        **{f"{name}_in_context": {"method": name, "scoring": IN_CONTEXT} for name in _SPARSE},
        **_OF_PRESET,
        **_OF_DISTANCES,
        "by_chance": _clusters(rule="by_chance"),
        **{f"by_chance_{d}": _clusters(rule="by_chance", max_distance=d) for d in (0.5, 0.4)},
        "log_length": _clusters(rule="log_length"),
        **_BESIDE_WHOLE,
        "adaptive_no_whole": _clusters(whole_share=0.0),
        "every_item": _preset(READ),
        "gate": _preset(_SLOTS, kept="gumbel"),
        "entmax": _preset(_SLOTS, kept="entmax"),
        "pinnersage": {"method": "pinnersage"},
        "pinnersage_all": {"method": "pinnersage", "model": {"n_served": 0}},
        "ward": _clusters(linkage="ward", max_distance=1.0),
        "dbscan": _clusters(linkage="single", max_distance=0.5),
        "cohesion": _clusters(whole_share="cohesion"),
        "contextual": _clusters(pooled="contextual"),
        "silhouette": _clusters(rule="silhouette"),
        "gap": _clusters(rule="gap"),
        "hdbscan": _clusters(rule="hdbscan"),
        **{f"hdbscan_{noise}": _clusters(rule="hdbscan", noise=noise) for noise in _NOISES},
        "hdbscan_persistent": _clusters(rule="hdbscan", persistent=True),
        "sequence_alone": ONE_TRANSFORMER,
        **{
            f"sequence_k{k}": {"method": "adaptive_sequence", "model": {"rule": "fixed", "max_interests": k}}
            for k in (1, 4)
        },
        "adaptive_sequence": {"method": "adaptive_sequence"},
        "adaptive_no_step": _without_step(_clusters()),
        "adaptive_step_alone": _clusters(transition="alone"),
        "fixed_k1_no_step": _without_step(_preset(1, whole_share=0.0)),
        "fixed_k4_whole_no_step": _without_step(_preset(4)),
        "adaptive_sequence_no_step": _without_step({"method": "adaptive_sequence"}),
        **{f"as_any_fixed_k{k}": _as_any(_preset(k, whole_share=0.0)) for k in (1, 2, 4, 8)},
        "as_any_adaptive": _as_any(_clusters()),
        "as_any_adaptive_no_whole": _as_any(_clusters(whole_share=0.0)),
        **_SHARPER,
        **_served(_clusters(), "adaptive_share", "kept_share", _SHARES),
        **_served(_OF_PRESET["fixed_k8"], "fixed_k8_share", "kept_share", _SHARES),
        **_served(_OF_PRESET["fixed_k8"], "fixed_k8_top", "n_kept", _NUMBERS),
    },
    baseline="adaptive",
    rivals=("by_chance", "fixed_k4_whole", "sequence_k1"),  # the table tells who differs from `adaptive`
    judged_by=("recall@50", "recall@50:tail80"),
    x="preset K, or the rule's distance",
    curves={
        _PRESET_CURVE: _BY_K,
        _RULE_CURVE: _BY_DISTANCE,
        _WHOLE_CURVE: _WITH_WHOLE,
        _CHANCE_CURVE: _BY_CHANCE,
        **_SHARPER_CURVES,
        **_OF_FEWER,
    },
    x_of={_SHARE_OF_EIGHT: "share", _SHARE: "share", _MOST_IMPORTANT: "interests served"},
    plots=(("recall@50", _VECTORS), ("recall@50:tail80", _VECTORS)),
    panels={
        "how many": (_RULE_CURVE, _PRESET_CURVE, _WHOLE_CURVE, _CHANCE_CURVE, "log_length", *_OTHER_RULES),
        "how many, at a sharper temperature": (*_SHARPER_CURVES, _RULE_CURVE, _PRESET_CURVE, _WHOLE_CURVE),
        "interests of another kind, all with the step": (
            *("adaptive", "fixed_k1", "adaptive_no_whole", "adaptive_step_alone", "every_item", "gate", "entmax"),
            *("ward", "dbscan", "cohesion", "contextual", "sequence_alone", "sequence_k1", "sequence_k4"),
            *("adaptive_sequence", *_IN_CONTEXT),
        ),
        "without the step": (
            *("adaptive_no_step", "fixed_k1_no_step", "fixed_k4_whole_no_step", "adaptive_sequence_no_step"),
            *("pinnersage", "pinnersage_all", *_SPARSE, *(f"{name}_k4" for name in _PUBLISHED)),
            *("as_any_adaptive", "as_any_adaptive_no_whole", *(f"as_any_fixed_k{k}" for k in (1, 2, 4, 8))),
        ),
        "fewer served than found": (*_OF_FEWER, _RULE_CURVE),
    },
    frontiers=(
        (
            _VECTORS,
            {
                "adaptive": tuple(_BY_DISTANCE),
                _PRESET_CURVE: tuple(_BY_K),
                _WHOLE_CURVE: tuple(_WITH_WHOLE),
                _CHANCE_CURVE: tuple(_BY_CHANCE),
            },
        ),
        (
            _VECTORS,
            {
                "adaptive, sharper": tuple(_SHARPER_CURVES[f"{_RULE_CURVE}, sharper"]),
                f"{_PRESET_CURVE}, at either temperature": _either(_BY_K),
                f"{_WHOLE_CURVE}, at either temperature": _either(_WITH_WHOLE),
            },
        ),
        (_VECTORS, {name: tuple(arms) for name, arms in _OF_FEWER.items()}),
    ),
    choices={
        _PRESET_CURVE: _ANY_PRESET,
        f"{_PRESET_CURVE}, at either temperature": _either(_ANY_PRESET),
        _EITHER_RULE: _either(("adaptive",)),
        "distance, each log's own": tuple(_BY_DISTANCE),
        _CHANCE_CURVE: tuple(_BY_CHANCE),
        "published, K = 4, with the step": tuple(f"{name}_k4_in_context" for name in _PUBLISHED),
        "sparse, with the step": tuple(f"{name}_in_context" for name in _SPARSE),
        **{name: tuple(f"{name}_k{k}" for k in _PRESET) for name in _PUBLISHED},
    },
    own=("adaptive", _EITHER_RULE),
    alike="adaptive",
    common=brief(),
    references=_REFERENCES,
)
