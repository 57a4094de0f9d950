"""How do the methods compare, under one protocol, against references that cost nothing?

Every method at the settings that the same number of trials found for it (`experiments/tuned`), trained twice as long as
in those trials; the single vector also at 256 coordinates, as many as four interests of width 64 have together. Some
also with a learned bonus or malus for items of the history (`_repeats`), which the adaptive methods have by default.
Known beforehand: item-kNN and a user's own past items are above several published multi-interest numbers (Amazon
Beauty, RetailRocket).

A search that begins well ends well, and that of `adaptive` begins with defaults chosen by hand on these logs. What
could kill its claim: other methods with all settings found for it, bonus included, but for those of the model
(`_as_adaptive`, SASRec trained at every position still; GRU4Rec's searches are newer, and tried what was chosen by
hand); ComiRec-SA with its non-linear step besides (`_in_context`); and one cluster for everybody, the mean of the
history with the same step (`adaptive_k1`).

Command: `adaptive-mi study compare --data D --tuned --seeds 3`. Cost: one to two minutes a run, two hours of one core
for all arms on a dataset of the size of Amazon Beauty; `--arms` runs some of them, such as those whose search is done.
"""

from experiments.studies.definition import StudyDefinition
from experiments.studies.like_adaptive import IN_CONTEXT

_WITH_STEP = "comirec_sa_as_adaptive_in_context"
_PUBLISHED = ("mind", "comirec_dr", "comirec_sa", "remi")
_REFERENCES = ("most_popular", "history_repeat", "item_knn", "repeat_then_item_knn", "ease")
_OTHERS = ("gru4rec", "sasrec", "nonlinear")
_AS_ADAPTIVE = {f"{name}_as_adaptive": name for name in (*_PUBLISHED, "mean_pooling", "sasrec", "nonlinear")}
_REPEATS = {f"{name}_repeats": name for name in ("mean_pooling", "sasrec", "comirec_sa")}
_OURS = (
    *("adaptive", "adaptive_sequence", "pinnersage", "sparse_routing", "codebook_routing"),
    *("diffusion_posterior", "diffusion_set", "diffusion_beside"),
)

STUDY = StudyDefinition(
    name="compare",
    question="How do the methods compare, under one protocol, against references without a gradient?",
    arms={
        **{name: {"method": name} for name in (*_REFERENCES, "mean_pooling")},
        "mean_pooling_width_256": {"method": "mean_pooling", "scoring": {"width": 256}},
        **{name: {"method": name} for name in (*_OTHERS, *_PUBLISHED)},
        **{arm: {"method": method, "scoring": {"repeats": "learned"}} for arm, method in _REPEATS.items()},
        **{arm: {"method": method} for arm, method in _AS_ADAPTIVE.items()},
        _WITH_STEP: {"method": "comirec_sa", "scoring": IN_CONTEXT},
        "adaptive_k1": {"method": "adaptive", "model": {"rule": "fixed", "max_interests": 1, "whole_share": 0.0}},
        **{name: {"method": name} for name in _OURS},
    },
    baseline="item_knn",
    choices={
        "published, K preset": (*_PUBLISHED, "comirec_sa_repeats", *(f"{name}_as_adaptive" for name in _PUBLISHED)),
        "published, by their own searches": _PUBLISHED,
        "published, with the step": (_WITH_STEP,),
        "one cluster, with the step": ("adaptive_k1",),
        "one vector": (
            *("mean_pooling", "gru4rec", "sasrec", "mean_pooling_repeats", "sasrec_repeats"),
            *("mean_pooling_as_adaptive", "sasrec_as_adaptive"),
        ),
    },
    own=("adaptive", "adaptive_sequence"),
    like=dict.fromkeys((*_AS_ADAPTIVE, _WITH_STEP), "adaptive"),
    judged_by=("recall@50", "recall@20", "recall@50:tail80"),
    rivals=("item_knn", "history_repeat", "repeat_then_item_knn"),
    panels={
        "each by its own search": (
            *(*_REFERENCES, "mean_pooling", "mean_pooling_width_256", *_OTHERS, *_PUBLISHED, *_OURS),
        ),
        "like for like": (*_REPEATS, *_AS_ADAPTIVE, _WITH_STEP, "adaptive_k1", "adaptive", "adaptive_sequence"),
    },
    floor=0.5,
)
