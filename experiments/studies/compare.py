"""How do the methods compare, under one protocol, against references that cost nothing?

Command: `adaptive-mi study compare --data D --seeds 3`. Cost: 1-2 minutes on the synthetic data (2 cores, one seed).
"""

from experiments.studies.definition import StudyDefinition

STUDY = StudyDefinition(
    name="compare",
    question="How do the methods compare, under one protocol, against references without a gradient?",
    arms={
        name: {"method": name}
        for name in (
            "most_popular",
            "history_repeat",
            "item_knn",
            "repeat_then_item_knn",
            "ease",
            "mean_pooling",
            "comirec_sa",
        )
    },
    baseline="item_knn",
)
