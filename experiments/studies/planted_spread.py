"""Does what adapting K gains grow with how much true K differs between users?

On the built-in data, where every user's interests were planted: four of them in the mean, from four for everybody
(`spread_0`) to two or six (`spread_2`) and one or seven (`spread_3`), as a standard deviation of K. All arms are
clusters of the history, pooled alike, without the whole history beside them, so that nothing differs but K: preset to
each number from 1 to 8; read off by the rule's distance, or by chance, equally often.

The spread is a setting of the data, so each world is a dataset of its own. Histories are long, or not every interest
would show in them, and the worlds with more spread would have fewer interests in the mean (`planted_k` of the table
tells how many there are):

    adaptive-mi study planted_spread --data synthetic --seeds 3 \\
        --data.synthetic.min_length 30 --data.synthetic.median_length 60 \\
        --data.synthetic.name spread_0 --data.synthetic.interest_weights [0,0,0,1,0,0,0,0]
    ... --data.synthetic.name spread_2 --data.synthetic.interest_weights [0,1,0,0,0,1,0,0]
    ... --data.synthetic.name spread_3 --data.synthetic.interest_weights [1,0,0,0,0,0,1,0]

and the report tells, for each, the gain over the preset K that is best on validation. It has not been run yet.
"""

from typing import Any

from experiments.studies.definition import StudyDefinition
from experiments.studies.like_adaptive import brief

_PRESET = tuple(range(1, 9))


def _clusters(**model: Any) -> dict[str, Any]:
    return {"method": "adaptive", "model": {"whole_share": 0.0, **model}}


STUDY = StudyDefinition(
    name="planted_spread",
    question="Does what adapting K gains grow with how much true K differs between users?",
    columns=("recall@20", "recall@50", "recall@50:tail80", "live_k", "planted_k", "k_error", "mean_pairwise_cosine"),
    arms={
        **{f"fixed_k{k}": _clusters(rule="fixed", max_interests=k) for k in _PRESET},
        "adaptive": _clusters(),
        "by_chance": _clusters(rule="by_chance"),
    },
    baseline="adaptive",
    rivals=("adaptive",),
    judged_by=("recall@50",),
    choices={"preset K": tuple(f"fixed_k{k}" for k in _PRESET)},
    own=("adaptive", "by_chance"),
    x="preset K",
    curves={"preset K": {f"fixed_k{k}": k for k in _PRESET}},
    plots=(("recall@50", "live_k"),),
    alike="adaptive",
    common=brief(max_history=50, max_steps=1000),
)
