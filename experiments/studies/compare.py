"""How do the methods compare, under one protocol, against references that cost nothing?

Every method at the settings that the same number of trials found for it (`experiments/tuned`), trained twice as long as
in those trials; the single vector also at 256 coordinates, as many as four interests of width 64 have together. Some
also with a learned bonus or malus for items of the history (`_repeats`), which the adaptive methods have by default.
Known beforehand: item-kNN and a user's own past items are above several published multi-interest numbers (Amazon
Beauty, RetailRocket).

Command: `adaptive-mi study compare --data D --tuned --seeds 3`. Cost: one to two minutes a run, two hours of one core
for all arms on a dataset of the size of Amazon Beauty; `--arms` runs some of them, such as those whose search is done.
"""

from experiments.studies.definition import StudyDefinition

_PUBLISHED = ("mind", "comirec_dr", "comirec_sa", "remi")

STUDY = StudyDefinition(
    name="compare",
    question="How do the methods compare, under one protocol, against references without a gradient?",
    arms={
        **{
            name: {"method": name}
            for name in ("most_popular", "history_repeat", "item_knn", "repeat_then_item_knn", "ease", "mean_pooling")
        },
        "mean_pooling_width_256": {"method": "mean_pooling", "scoring": {"width": 256}},
        **{name: {"method": name} for name in ("gru4rec", "sasrec", "nonlinear", *_PUBLISHED)},
        **{
            f"{name}_repeats": {"method": name, "scoring": {"repeats": "learned"}}
            for name in ("mean_pooling", "sasrec", *_PUBLISHED)
        },
        **{name: {"method": name} for name in ("adaptive", "adaptive_sequence", "pinnersage")},
        **{name: {"method": name} for name in ("sparse_routing", "codebook_routing")},
        **{name: {"method": name} for name in ("diffusion_posterior", "diffusion_set", "diffusion_beside")},
    },
    baseline="item_knn",
    choices={
        "published, K preset": _PUBLISHED,
        "published, K preset, history known": tuple(f"{name}_repeats" for name in _PUBLISHED),
    },
    own=("adaptive", "adaptive_sequence"),
    judged_by=("recall@50", "recall@20", "recall@50:tail80"),
    rivals=("item_knn", "history_repeat", "repeat_then_item_knn"),
)
