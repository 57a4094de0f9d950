"""Is iterative routing needed, or does one sparse pass tell a user's behaviours apart as well?

Open question 5.2 of Li et al. (arXiv 2506.15284): capsules route in rounds, each of which reads the history again. All
arms but the references have the same start of the item table, loss, negatives, similarity, bonus for items of the
history and settings of training, those of `adaptive`, with `--tuned` what its search found on the log; what differs is
how behaviours come to interests. Rounds: `comirec_dr` (3), with 1
(every interest pools the same behaviours alike) and 2, and `mind`. Without routing: `comirec_sa`, `mean_pooling`. One
sparse pass, where K bounds the interests and behaviours choose: `top2_of_32`, `sparsemax`, `entmax15`, `codebook`.
What could kill the claim, each differing in one thing from the arm it is named after:
    of `top2_of_32`     prototypes that stay at their random start (`frozen`); logits that know the position alone, at
                        random (`random`); the same with fewer prototypes, so that users have no more vectors than
                        with `top2_of_32` (`frozen_8`, `random_8`); content alone, without recency and gate, which
                        capsules have not (`content_alone`); positions besides the content (`positions`); even use by a
                        bias (`balanced`, whose steps of .001 are Wang et al.'s at this learning rate)
    of `top2_of_4`      as many interests as ComiRec's: competition without sparsity (`softmax_of_4`), without
                        competition (`uniform_of_4`: every interest is the mean), spread evenly over interests
                        (`sinkhorn_of_4`)
Is what the adaptive method has beside its clusters, a non-linear step of each interest that knows the user's other
ones, worth the same to all? `*_in_context` are the arms they are named after, with it.
Fine grain is `assignment_ari`, the recovery of planted interests, which synthetic data alone have; it is to be at least
`comirec_dr`'s. Steps are timed in the report's table of costs, and extractors alone by `adaptive-mi bench routing`.

Command: `adaptive-mi study routing --data D --seeds 3`, D a log or `synthetic`; a log with `--tuned`. Cost: 13 CPU
minutes a seed on amazon-beauty.
"""

from typing import Any

from experiments.studies.definition import StudyDefinition
from experiments.studies.like_adaptive import IN_CONTEXT, brief


def _iterated(n_rounds: int) -> dict[str, Any]:
    return {"method": "comirec_dr", "model": {"n_interests": 4, "n_rounds": n_rounds}}


def _sparse(n_interests: int = 32, **model: Any) -> dict[str, Any]:
    return {"method": "sparse_routing", "model": {"n_interests": n_interests, "n_selected": 2, **model}}


_REFERENCES = ("item_knn", "repeat_then_item_knn")
_ARMS: dict[str, dict[str, Any]] = {
    **{name: {"method": name} for name in (*_REFERENCES, "mean_pooling")},
    "comirec_sa": {"method": "comirec_sa", "model": {"n_interests": 4}},
    "mind": {"method": "mind", "model": {"n_interests": 4, "n_rounds": 3}},
    "comirec_dr_1_round": _iterated(1),
    "comirec_dr_2_rounds": _iterated(2),
    "comirec_dr": _iterated(3),
    "top2_of_32": _sparse(),
    "top2_of_4": _sparse(4),
    "sparsemax": _sparse(normalisation="sparsemax"),
    "entmax15": _sparse(normalisation="entmax15"),
    "codebook": {"method": "codebook_routing", "model": {"n_codes": 32}},
    "frozen": _sparse(prototypes="frozen"),
    "random": _sparse(prototypes="by_position"),
    "frozen_8": _sparse(8, prototypes="frozen"),
    "random_8": _sparse(8, prototypes="by_position"),
    "content_alone": _sparse(recency="none", gate=False),
    "positions": _sparse(positions="table"),
    "balanced": _sparse(balance_rate=0.3),
    "softmax_of_4": _sparse(4, normalisation="softmax"),
    "uniform_of_4": _sparse(4, normalisation="uniform"),
    "sinkhorn_of_4": _sparse(4, normalisation="sinkhorn"),
}
_MOVED = ("mean_pooling", "comirec_sa", "mind", "comirec_dr", "top2_of_32", "codebook", "frozen", "random", "frozen_8")

STUDY = StudyDefinition(
    name="routing",
    question="Is iterative routing needed, or does one sparse pass tell a user's behaviours apart as well?",
    columns=(
        "recall@20",
        "recall@50",
        "recall@50:novel",
        "recall@50:tail80",
        "coverage@50",
        "live_k",
        "mean_pairwise_cosine",
        "effective_rank",
        "assignment_ari",
    ),
    arms={
        **_ARMS,
        **{f"{name}_in_context": {**_ARMS[name], "scoring": IN_CONTEXT} for name in _MOVED},
    },
    baseline="comirec_dr",
    rivals=("comirec_sa", "comirec_dr", "uniform_of_4", "comirec_sa_in_context", "comirec_dr_in_context"),
    judged_by=("recall@20", "recall@50", "recall@50:tail80", "assignment_ari"),
    panels={
        "without the step": tuple(arm for arm in _ARMS if arm not in _REFERENCES),
        "with the step": tuple(f"{name}_in_context" for name in _MOVED),
    },
    plots=(("recall@50", "live_k"), ("recall@50:tail80", "live_k"), ("assignment_ari", "recall@50")),
    alike="adaptive",
    common=brief(),
    references=_REFERENCES,
)
