"""Do regularizers keep interests apart, and does it help?

The survey's second suggested experiment (arXiv 2506.15284): with and without the disagreement loss, reading the mean
pairwise cosine. Each regularizer alone, at three weights, from one that changes next to nothing to one that costs
accuracy, as a short training on MovieLens-100K told. REMI's weight of 100 is about 3 here (`baselines.regularization`).

Command: `adaptive-mi study regularization --data D --tuned --seeds 3`. Cost: 39 runs, half an hour of one
core on a dataset of the size of Amazon Beauty.
"""

from experiments.studies.definition import StudyDefinition
from experiments.training.config import HORIZON

_WEIGHTS = {
    "cosine": (0.01, 0.1, 1.0),
    "contrastive": (0.01, 0.1, 1.0),
    "elementwise": (0.1, 1.0, 10.0),
    "routing": (0.1, 1.0, 10.0),
}
_CURVES = {name: {f"{name}_{weight:g}": weight for weight in weights} for name, weights in _WEIGHTS.items()}
_WEIGHT = "weight of the regularizer"
_BASE = {"method": "comirec_sa", "model": {"n_interests": 4}}

STUDY = StudyDefinition(
    name="regularization",
    question="Do regularizers keep a user's interests apart, and what does that do to accuracy?",
    columns=("recall@20", "recall@50", "recall@50:tail80", "mean_pairwise_cosine", "effective_rank"),
    arms={
        "no_regularizer": {**_BASE, "loss": {"weights": {}}},
        **{
            arm: {**_BASE, "loss": {"weights": {name: weight}}}
            for name, arms in _CURVES.items()
            for arm, weight in arms.items()
        },
    },
    baseline="no_regularizer",
    x=_WEIGHT,
    curves=_CURVES,
    plots=(("recall@50", _WEIGHT), ("mean_pairwise_cosine", _WEIGHT), ("recall@50", "mean_pairwise_cosine")),
    judged_by=("recall@50",),
    common={"training": {"max_steps": HORIZON}},
)
