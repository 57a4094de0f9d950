"""Does one dominant interest decide what a user takes next?

The survey's third suggested experiment (arXiv 2506.15284): max pooling against concat + MLP on Hit@N. A maximum over
interests assumes that a single one explains a click; log-sum-exp, mean and target attention let several speak, and the
representation forms merge them before anything is scored, or move each of them by a non-linear step that knows all
(`in_context`: an MLP's gain without its merging). Training reads out as serving aggregates, but for the first
arm, which is ComiRec's own (the target picks its interest), and the second, which serves a maximum all the same after
the readout of the third: it tells what of that one's difference is due to training. Measured beforehand on Amazon
Beauty and RetailRocket: log-sum-exp above max at every K.

Command: `adaptive-mi study aggregation --data D --tuned --seeds 3`. Cost: 48 runs, half an hour of one
core on a dataset of the size of Amazon Beauty.
"""

from experiments.studies.definition import StudyDefinition
from experiments.training.config import HORIZON

_METHODS = ("comirec_sa", "comirec_dr")
_ONE = {"readout": "hard", "aggregation": "best_interest"}  # a merged vector is the only interest: all readouts agree
_SCORING = {
    "max": {**_ONE, "representation": "separate"},
    "soft_then_max": {"readout": "soft", "aggregation": "best_interest", "representation": "separate"},
    "log_sum_exp": {"readout": "soft", "aggregation": "soft_interests", "representation": "separate"},
    "mean": {"readout": "mean", "aggregation": "mean_interests", "representation": "separate"},
    "attention": {"readout": "attentive", "aggregation": "attentive_interests", "representation": "separate"},
    "concat_mlp": {**_ONE, "representation": "concat_mlp"},
    "base_attention": {**_ONE, "representation": "base_attention"},
    "in_context": {"readout": "soft", "aggregation": "soft_interests", "representation": "in_context"},
}
_AGGREGATOR = "aggregator"
_ACCURACY = ("hit_rate@20", "hit_rate@50", "recall@20", "recall@50", "ndcg@20")

STUDY = StudyDefinition(
    name="aggregation",
    question="Does one dominant interest decide what a user takes next, or do several speak together?",
    columns=(*_ACCURACY, "dominant_share", "mean_pairwise_cosine"),
    arms={
        f"{method}_{name}": {"method": method, "model": {"n_interests": 4}, "scoring": scoring}
        for method in _METHODS
        for name, scoring in _SCORING.items()
    },
    baseline="comirec_sa_max",
    x=_AGGREGATOR,
    curves={method: {f"{method}_{name}": name.replace("_", " ") for name in _SCORING} for method in _METHODS},
    plots=(("hit_rate@20", _AGGREGATOR), ("hit_rate@50", _AGGREGATOR)),
    rivals=tuple(f"{method}_max" for method in _METHODS),
    judged_by=("hit_rate@20", "hit_rate@50"),
    common={"training": {"max_steps": HORIZON}},
)
