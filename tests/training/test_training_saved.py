"""A saved method is whole, or it is one clear error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from baselines.errors import BadInput
from experiments.config import RunConfig
from experiments.data.dataset import Dataset
from experiments.data.dataset import make_dataset as filter_and_divide
from experiments.data.protocol import ProtocolConfig
from experiments.methods import AnyMethod, load_method, save_method

two_methods = pytest.mark.parametrize("name", ["item_knn", "mean_pooling"])


@two_methods
@pytest.mark.parametrize("damage", ["one byte", "truncated", "empty", "gone", "no json", "of another"])
def test_a_damaged_model_is_never_loaded(
    name: str,
    damage: str,
    fitted: Callable[[str], AnyMethod],
    dataset: Dataset,
    configure: Callable[..., RunConfig],
    tmp_path: Path,
) -> None:
    save_method(fitted(name), tmp_path)
    file = tmp_path / "model.safetensors"
    whole = bytearray(file.read_bytes())
    if damage == "one byte":
        whole[-5] ^= 1
        file.write_bytes(whole)
    elif damage == "of another":
        save_method(fitted("comirec_sa"), tmp_path)
    elif damage == "gone":
        file.unlink()
    elif damage == "no json":
        (tmp_path / "model.json").unlink()
    else:
        file.write_bytes(whole[: len(whole) // 2] if damage == "truncated" else b"")
    with pytest.raises(BadInput, match=r"model.safetensors: the saved model cannot be read .* Train the run again"):
        load_method(configure(name), dataset.train, tmp_path)


@two_methods
def test_a_model_of_another_catalogue_is_refused(
    name: str,
    fitted: Callable[[str], AnyMethod],
    dataset: Dataset,
    configure: Callable[..., RunConfig],
    tmp_path: Path,
) -> None:
    save_method(fitted(name), tmp_path)
    stricter = filter_and_divide("fewer", dataset.log, dataset.metadata, ProtocolConfig(min_item_interactions=30))
    assert stricter.n_items < dataset.n_items
    with pytest.raises(BadInput, match="the saved model cannot be read"):
        load_method(configure(name), stricter.train, tmp_path)
