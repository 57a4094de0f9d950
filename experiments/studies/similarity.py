"""How much do similarity and readout matter, the model being equal?

Measured beforehand by a prototype on RetailRocket views: mean pooling gets recall@20 .327 with the dot product and .466
with the cosine at temperature .07. ComiRec's own choice is dot product, hard readout and maximum.

Command: `adaptive-mi study similarity --data D --seeds 2`. Cost: about 10 minutes on retailrocket-sessions (2 cores).
"""

from experiments.studies.definition import COLUMNS, StudyDefinition

_DOT = {"similarity": "dot", "temperature": 1.0}
_COSINE = {"similarity": "cosine", "temperature": 0.07}
_HARD = {"readout": "hard", "aggregation": "best_interest"}
_SOFT = {"readout": "soft", "aggregation": "soft_interests"}

STUDY = StudyDefinition(
    name="similarity",
    question="How much do similarity (dot or cosine) and readout (hard or soft) matter, the model being equal?",
    columns=(*COLUMNS, "mean_pairwise_cosine"),  # several interests that are one show here
    arms={
        "item_knn": {"method": "item_knn"},
        "mean_pooling_dot": {"method": "mean_pooling", "scoring": _DOT},
        "mean_pooling_cosine": {"method": "mean_pooling", "scoring": _COSINE},
        "comirec_sa_dot_hard": {"method": "comirec_sa", "scoring": {**_DOT, **_HARD}},
        "comirec_sa_dot_soft": {"method": "comirec_sa", "scoring": {**_DOT, **_SOFT}},
        "comirec_sa_cosine_hard": {"method": "comirec_sa", "scoring": {**_COSINE, **_HARD}},
        "comirec_sa_cosine_soft": {"method": "comirec_sa", "scoring": {**_COSINE, **_SOFT}},
    },
    baseline="mean_pooling_cosine",
)
