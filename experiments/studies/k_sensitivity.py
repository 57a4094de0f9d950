"""Where do returns diminish as K grows, preset for all users?

The survey's first suggested experiment (arXiv 2506.15284, section 5.1), in two readings. Equal tuning: K varies and
everything else stays, so that more interests are also more vectors, hence more chances under a maximum. Equal vector
budget: K x D = 256 throughout, so that more interests are narrower ones. At K = 4, D = 64 the two meet. Whether K or
the narrow table makes a difference there, one vector of each width tells (`mean_pooling`, on the axis by 256 / D).
Published for ComiRec-SA on Amazon Books, recall@50 over K = 2 / 4 / 6 / 8: 8.84 / 8.47 / 8.90 / 8.55 %, flat within
noise.

Command: `adaptive-mi study k_sensitivity --data D --tuned --seeds 3`. Cost: about 25 CPU minutes a seed on
amazon-beauty.
"""

from collections.abc import Mapping

from experiments.studies.definition import COLUMNS, StudyDefinition
from experiments.training.config import HORIZON

_METHODS = ("mind", "comirec_dr", "comirec_sa")
_EQUAL_BUDGET = {1: 256, 2: 128, 4: 64, 8: 32, 16: 16}  # K -> D at K x D = 256
_K = "number of interests K"


def _name(method: str, k: int, width: int) -> str:
    return f"{method}_k{k}" if width == 64 else f"{method}_k{k}_width_{width}"


def _curve(method: str, width_of: Mapping[int, int]) -> dict[str, float | str]:
    return {_name(method, k, width): k for k, width in width_of.items()}


_EQUAL_WIDTH = dict.fromkeys(_EQUAL_BUDGET, 64)

STUDY = StudyDefinition(
    name="k_sensitivity",
    question="Does accuracy depend on the number of interests K, preset for all users?",
    columns=(*COLUMNS, "mean_pairwise_cosine"),  # several interests that are one show here
    arms={
        **{name: {"method": name} for name in ("item_knn", "repeat_then_item_knn", "mean_pooling")},
        **{
            f"mean_pooling_width_{width}": {"method": "mean_pooling", "scoring": {"width": width}}
            for width in (256, 128, 32, 16)
        },
        **{
            _name(method, k, width): {"method": method, "model": {"n_interests": k}, "scoring": {"width": width}}
            for method in _METHODS
            for k, width in [*_EQUAL_WIDTH.items(), *_EQUAL_BUDGET.items()]  # one arm where they meet
        },
    },
    baseline="item_knn",
    x=_K,
    curves={
        **{method: _curve(method, _EQUAL_WIDTH) for method in _METHODS},
        **{f"{method}, K × D = 256": _curve(method, _EQUAL_BUDGET) for method in _METHODS},
        "one vector of 256 / K": {
            "mean_pooling" if width == 64 else f"mean_pooling_width_{width}": k for k, width in _EQUAL_BUDGET.items()
        },
    },
    plots=(("recall@50", _K), ("recall@50:tail80", _K), ("mean_pairwise_cosine", _K)),
    rivals=("item_knn", *(_name(method, 1, width) for method in _METHODS for width in (64, 256))),
    judged_by=("recall@50",),
    choices={
        f"{method}{words}": tuple(_curve(method, width_of))
        for words, width_of in (("", _EQUAL_WIDTH), (", K × D = 256", _EQUAL_BUDGET))
        for method in _METHODS
    },
    own=("mean_pooling", "mean_pooling_width_256"),
    common={"training": {"max_steps": HORIZON}},
)
