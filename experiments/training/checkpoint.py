"""The state of a training run in one file, replaced atomically."""

from __future__ import annotations

import io
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from baselines.errors import BadInput
from experiments.files import replacing

if TYPE_CHECKING:
    from experiments.training.fit import FitState


def save_checkpoint(
    path: Path, state: FitState, parts: dict[str, Any], negatives: torch.Generator, rng: np.random.Generator
) -> None:
    """Write state, the parts' `state_dict`s and all random states; a crash leaves the former file whole."""
    content = {
        "state": {f.name: getattr(state, f.name) for f in fields(state)},
        "parts": {name: part.state_dict() for name, part in parts.items()},
        "random": {
            "negatives": negatives.get_state(),
            "torch": torch.get_rng_state(),
            "numpy": rng.bit_generator.state,
        },
    }
    packed = io.BytesIO()  # torch.save says RuntimeError where the disk is full; writing bytes says what happened
    torch.save(content, packed)
    with replacing(path) as temporary:
        temporary.write_bytes(packed.getbuffer())


def load_checkpoint(
    path: Path, state: FitState, parts: dict[str, Any], negatives: torch.Generator, rng: np.random.Generator
) -> None:
    """Restore in place what `save_checkpoint` wrote.

    Raises:
        BadInput: the file is corrupt or belongs to another model.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch writes checksums and does not read them
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} is damaged")
        content = torch.load(path, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(content["parts"][name])
        negatives.set_state(content["random"]["negatives"])
        torch.set_rng_state(content["random"]["torch"])
        rng.bit_generator.state = content["random"]["numpy"]
        for name, value in content["state"].items():
            setattr(state, name, value)
    except Exception as error:  # torch.load raises whatever the broken bytes lead to
        raise BadInput(
            f"{path}: the checkpoint cannot be read ({type(error).__name__}: {' '.join(str(error).split())[:200]}). "
            "Remove that file to train this run from its start; nothing else was touched."
        ) from error
