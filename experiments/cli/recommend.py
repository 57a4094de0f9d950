"""`adaptive-mi recommend RUN --user ID`: what a finished run would show one user, and by which interest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from baselines.config import RerankingConfig, ServingConfig
from baselines.errors import BadInput, unknown_name
from experiments.cli.output import add_format, show_all
from experiments.cli.parser import Parser
from experiments.cli.run_settings import parse_beside_run
from experiments.reporting.table import Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from baselines.interests import Interests
    from baselines.ranker import Answer
    from experiments.cli.finished import FinishedRun
    from experiments.data.dataset import Dataset


def run(arguments: Sequence[str]) -> int:
    """Run the verb."""
    parser = Parser(prog="adaptive-mi recommend", description="Recommend items to one user of the log.")
    parser.add_argument("run", type=str, help="a run directory")
    parser.add_argument("--user", type=str, required=True, help="the user's original id")
    parser.add_argument("--n", type=int, default=10, help="how many items")
    parser.add_argument("--data", type=str | None, default=None, help="where the run's data lie, if they have moved")
    add_format(parser)
    namespace, settings = parse_beside_run(parser, arguments, {"serving": ServingConfig, "reranking": RerankingConfig})
    if namespace.n < 1:
        raise BadInput(f"--n must be at least 1, got {namespace.n}.")
    import numpy as np
    import torch

    from baselines.batch import Batch
    from experiments.cli.finished import open_run

    finished = open_run(Path(namespace.run), namespace.data)
    history = _history(finished.bench.dataset, namespace.user)
    ranker = finished.ranker(settings["serving"], settings["reranking"])
    longest = ranker.max_history or len(history)
    answer = ranker.answer(Batch.of(torch.from_numpy(history[-longest:].astype(np.int64))[None]), namespace.n)
    tables = [_history_table(finished.bench.dataset, history)]
    if answer.interests is not None:
        tables.append(_interests_table(finished, answer.interests, history[-longest:]))
    show_all([*tables, _ranking_table(finished, answer, history)], namespace.format)
    return 0


def _history(dataset: Dataset, user_id: str) -> NDArray[np.int32]:
    """All behaviours of the user, oldest first."""
    import numpy as np

    known = dataset.log.user_ids.astype(str)
    found = np.flatnonzero(known == user_id)
    if len(found) == 0:
        error = unknown_name("user", user_id, known[:5].tolist())
        raise BadInput(f"{str(error).removesuffix('.')}, ...; users that the filter dropped have no history.")
    start, stop = dataset.log.user_offsets[found[0] : found[0] + 2]
    return dataset.log.item[start:stop]


def _history_table(dataset: Dataset, history: NDArray[np.int32]) -> Table:
    latest = history[::-1][:10]
    rows = [[age, *_describe(dataset, item)] for age, item in enumerate(latest.tolist())]
    title = f"Latest {len(rows)} of {len(history)} behaviours, newest first"
    return Table(["age", "item", "title", "categories"], rows, title)


def _interests_table(finished: FinishedRun, interests: Interests, read: NDArray[np.int32]) -> Table:
    from baselines.recommender import Recommender
    from experiments.cli.interests_table import interests_table

    assert isinstance(finished.method, Recommender)
    dataset = finished.bench.dataset
    vectors = finished.method.item_vectors().detach()
    return interests_table(interests, read, vectors, dataset.metadata, dataset.log.item_ids)


def _ranking_table(finished: FinishedRun, answer: Answer, history: NDArray[np.int32]) -> Table:
    import numpy as np

    ranking, interests = answer.ranking, answer.interests
    places = np.flatnonzero(ranking.items[0] > 0)
    seen = set(history.tolist())
    rows = []
    for place in places.tolist():
        item = int(ranking.items[0, place])
        by = _closest(finished, interests, item) if interests is not None else None
        score, known = float(ranking.scores[0, place]), "yes" if item in seen else ""
        rows.append([place + 1, *_describe(finished.bench.dataset, item), score, by, known])
    columns = ["rank", "item", "title", "categories", "score", "interest", "in history"]
    return Table(columns, rows, f"Top {len(rows)} items", digits={"score": 4})


def _closest(finished: FinishedRun, interests: Interests, item: int) -> int:
    """The live interest, counted from 1, that matches the item best."""
    import torch

    from baselines.aggregation import matches
    from baselines.recommender import Recommender

    assert isinstance(finished.method, Recommender)
    with torch.no_grad():
        vector = finished.method.item_vectors(torch.tensor([item], device=interests.vectors.device))
        return int(matches(interests, vector)[0, :, 0].argmax()) + 1


def _describe(dataset: Dataset, item: int) -> list[object]:
    """Original id, title and categories of an item."""
    metadata = dataset.metadata
    return [str(dataset.log.item_ids[item]), metadata.titles[item], ", ".join(metadata.categories[item])]
