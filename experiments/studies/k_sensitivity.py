"""Does accuracy depend on K, preset for all users?

The survey's first suggested experiment (arXiv 2506.15284, section 5.1): K in {1, 2, 4, 8}, everything else equal; the
single-vector reference and two references without a gradient are drawn as lines. Published for ComiRec-SA on Amazon
Books, recall@50 over K = 2 / 4 / 6 / 8: 8.84 / 8.47 / 8.90 / 8.55 %, flat within noise.

Command: `adaptive-mi study k_sensitivity --data D --seeds 2`. Cost: about 15 minutes on MovieLens-1M (2 cores).
"""

from experiments.studies.definition import COLUMNS, StudyDefinition

STUDY = StudyDefinition(
    name="k_sensitivity",
    question="Does accuracy depend on the number of interests K, preset for all users?",
    columns=(*COLUMNS, "mean_pairwise_cosine"),  # several interests that are one show here
    arms={
        "most_popular": {"method": "most_popular"},
        "item_knn": {"method": "item_knn"},
        "mean_pooling": {"method": "mean_pooling"},
        **{f"comirec_sa_k{k}": {"method": "comirec_sa", "model": {"n_interests": k}} for k in (1, 2, 4, 8)},
    },
    baseline="comirec_sa_k4",
    x="n_interests",
)
