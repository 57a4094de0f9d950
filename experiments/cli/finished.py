"""A finished run directory, opened to be used again: its configuration, its data and its fitted method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from baselines.config import RerankingConfig, ServingConfig
from baselines.errors import BadInput
from baselines.ranker import Ranker
from experiments.cli.arguments import load_run
from experiments.config import RunConfig
from experiments.data.loading import load_dataset
from experiments.methods import AnyMethod, load_method
from experiments.reporting.runs import Run, load_runs
from experiments.run_file import packed
from experiments.run_folder import CONFIG, MODEL, settings_digest
from experiments.runs import Workbench
from experiments.serving import served


@dataclass(frozen=True)
class FinishedRun:
    """A run directory's content, ready to rank."""

    record: Run
    config: RunConfig
    bench: Workbench
    method: AnyMethod

    def ranker(self, serving: ServingConfig, reranking: RerankingConfig) -> Ranker:
        """Return the method as it is to be served and re-ranked, which need not be as it was in the run."""
        config = replace(self.config, serving=serving, reranking=reranking)
        return served(self.method, config, self.bench.dataset)


def open_run(folder: Path, data: str | None) -> FinishedRun:
    """Load a run's configuration, data and model.

    Args:
        folder: the run directory.
        data: where its data lie now; None = where they lay when it was trained.

    Raises:
        BadInput: no finished run there, or the data have changed since.
    """
    runs = load_runs(folder)
    if len(runs) != 1 or runs[0].folder.resolve() != folder.resolve():
        raise BadInput(f"{folder} is not a run directory but a folder of {len(runs)} runs; name one of them.")
    if not (folder / CONFIG).exists() and packed(folder / CONFIG).exists():
        raise BadInput(
            f"{folder} is a kept copy, without a model: name the run itself, or train it again "
            f"(gunzip -c {packed(folder / CONFIG)} > run.yaml; adaptive-mi train --config run.yaml --out NEW)."
        )
    config = load_run(folder / CONFIG)
    if settings_digest(folder) != runs[0].record.get("settings"):
        raise BadInput(f"{folder / CONFIG} is not what the run was made with; restore the file, or train again.")
    if data is not None:
        config = replace(config, data=replace(config.data, source=data))
    try:
        dataset = load_dataset(config.data)
    except BadInput as error:
        raise BadInput(f"{str(error).removesuffix('.')}; where {folder}'s data lie now is said with --data.") from error
    expected = runs[0].record["data"]["fingerprint"]
    if dataset.fingerprint() != expected:
        raise BadInput(
            f"{config.data.source}: fingerprint {dataset.fingerprint()}, but {folder} was trained on {expected}; "
            "the data have changed since. Restore them, or train again."
        )
    method = load_method(config, dataset.train, folder / MODEL, dataset.metadata)
    return FinishedRun(runs[0], config, Workbench.of(dataset), method)
