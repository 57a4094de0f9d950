"""A source's name or path -> Dataset: what ties registry, readers, generator and protocol together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.config import DataConfig
from experiments.data.dataset import Dataset, make_dataset
from experiments.data.log import InteractionLog
from experiments.data.metadata import ItemMetadata

if TYPE_CHECKING:
    from experiments.data.synthetic.truth import PlantedTruth


@dataclass(frozen=True)
class Source:
    """A log as it was read or generated, before filter and split."""

    name: str
    log: InteractionLog
    metadata: ItemMetadata
    truth: PlantedTruth | None = None


def load_source(config: DataConfig) -> Source:
    """Read, download or generate the log that `config.source` names.

    Raises:
        BadInput: unknown name, missing or broken file.
    """
    if config.source == "synthetic":
        from experiments.data.synthetic.generate import generate

        made = generate(config.synthetic)
        return Source(config.synthetic.name, made.log, made.metadata, made.truth)
    from experiments.data.readers.read import read_log
    from experiments.data.registry import locate

    raw = read_log(locate(config.source, Path(config.root) if config.root else None), config.reader)
    return Source(raw.name, raw.log, raw.metadata)


def load_dataset(config: DataConfig) -> Dataset:
    """Load a source and apply its protocol."""
    source = load_source(config)
    return make_dataset(source.name, source.log, source.metadata, config.protocol, truth=source.truth)
