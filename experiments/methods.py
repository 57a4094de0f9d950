"""RunConfig + Dataset -> a method ready to be fitted; and the one way to fit, save and load it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save as serialised

from baselines.errors import BadInput
from baselines.heuristics.heuristic import Heuristic
from baselines.recommender import Recommender
from baselines.samplers import make_proposal
from baselines.sequences import Sequences
from baselines.spectral import spectral_table
from experiments.config import RunConfig
from experiments.data.metadata import ItemMetadata
from experiments.files import replacing, write_json
from experiments.item_aspects import item_aspects
from experiments.registry import find_method
from experiments.training.fit import FitResult, Row, fit

AnyMethod = Heuristic | Recommender


def make_method(
    config: RunConfig, train: Sequences, metadata: ItemMetadata | None = None, *, fresh: bool = True
) -> AnyMethod:
    """Build the method that `config` names, not yet fitted; initial parameters follow from `config.seed`.

    Args:
        config: the run.
        train: the training users' behaviours.
        metadata: what is known of the items; needed where `scoring.side_information` is asked for.
        fresh: False = its parameters will be loaded: no need to compute what the item table would start from.

    Raises:
        BadInput: settings that the method or the data cannot bear.
    """
    entry = find_method(config.method)
    if entry.kind == "heuristic":
        heuristic: Heuristic = entry.load()(**config.model)
        return heuristic
    torch.manual_seed(config.seed)
    scoring = config.scoring
    extractor = entry.load()(scoring.width, scoring.max_history, **entry.load_given(), **config.model)
    aspects = None
    if scoring.side_information:
        assert metadata is not None, "side information comes from the dataset's metadata"
        aspects = item_aspects(metadata, scoring.side_information)
    spectral = fresh and scoring.initialisation == "spectral"
    model = Recommender(
        train.n_items,
        extractor,
        scoring,
        config.loss,
        make_proposal(config.loss.proposal, train) if config.loss.kind == "sampled_softmax" else None,
        initial=torch.from_numpy(spectral_table(train, scoring.width, scoring.init_std)) if spectral else None,
        aspects=aspects,
    )
    if config.training.positions == "every":
        model.prefix_reader()
    return model.to(resolve_device(config))


def fit_method(
    method: AnyMethod,
    train: Sequences,
    validate: Callable[[], float],
    config: RunConfig,
    *,
    checkpoint: Path | None = None,
    on_row: Callable[[Row], None] | None = None,
) -> FitResult | None:
    """Fit in place; None where there was nothing to iterate."""
    if isinstance(method, Heuristic):
        method.fit(train)
        return None
    return fit(
        method,
        train,
        validate,
        config.training,
        seed=config.seed,
        checkpoint=checkpoint,
        on_row=on_row,
        device=resolve_device(config),
    )


def save_method(method: AnyMethod, folder: Path) -> None:
    """Write `folder`/model.safetensors, and model.json: class and shapes for people, a checksum for `load_method`."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(method, Heuristic):
        arrays = method.state()
    else:
        arrays = {name: tensor.cpu().numpy() for name, tensor in method.state_dict().items()}
    with replacing(folder / "model.safetensors") as temporary:
        temporary.write_bytes(serialised({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
    shapes = {name: list(array.shape) for name, array in arrays.items()}
    about = {"class": type(method).__name__, "arrays": shapes, "blake2b": _digest(folder / "model.safetensors")}
    write_json(folder / "model.json", about)


def load_method(config: RunConfig, train: Sequences, folder: Path, metadata: ItemMetadata | None = None) -> AnyMethod:
    """Build the method of `config` and give it the saved arrays; ready to rank.

    Raises:
        BadInput: the file is missing, corrupt, or of another method or catalogue.
    """
    path = folder / "model.safetensors"
    method = make_method(config, train, metadata, fresh=False)
    try:
        if _digest(path) != json.loads((folder / "model.json").read_text(encoding="utf-8"))["blake2b"]:
            raise ValueError("its checksum is not the one in model.json")
        arrays = load_arrays(str(path))
        if isinstance(method, Heuristic):
            method.load_state(arrays)
            if method.n_items != train.n_items:
                raise ValueError(f"it knows {method.n_items} items, the dataset has {train.n_items}")
        else:
            method.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    except Exception as error:  # safetensors and torch raise many kinds, all meaning the same to the caller
        raise BadInput(
            f"{path}: the saved model cannot be read ({' '.join(str(error).split())[:200]}). "
            "Train the run again, or restore the file."
        ) from error
    if isinstance(method, Recommender):
        method.eval()
    return method


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def resolve_device(config: RunConfig) -> str:
    """Return `cpu` or `cuda`.

    Raises:
        BadInput: `cuda` was asked for and there is none.
    """
    if config.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if config.device == "cuda" and not torch.cuda.is_available():
        raise BadInput("device=cuda was asked for, but torch sees no GPU; use --device cpu.")
    return config.device
