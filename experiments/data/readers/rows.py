"""What a format's reader hands over, and how it becomes a log. R rows, N items."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from baselines.errors import BadInput
from experiments.data.log import InteractionLog
from experiments.data.metadata import ItemMetadata
from experiments.data.readers.catalogue import Catalogue
from experiments.data.readers.columns import Place, identifiers, positions, ratings, seconds
from experiments.data.readers.config import ReaderConfig


@dataclass(frozen=True)
class RawData:
    """A raw log, read and validated.

    Attributes:
        log: the behaviours.
        metadata: what is known of the items, aligned with `log.item_ids`.
        name: what to call it: the folder's or file's name.
    """

    log: InteractionLog
    metadata: ItemMetadata
    name: str


@dataclass(frozen=True, eq=False)
class Rows:
    """The columns of a file as they stand, before anything is believed.

    Attributes:
        path: the file or folder.
        user, item: [R] pyarrow chunked arrays of text or numbers.
        time, position, rating: the same, or None where the source has none (or `rating` was not asked for).
        place: says where row r came from.
        catalogue: what the source says of its items, or None where it says nothing.
    """

    path: Path
    user: Any
    item: Any
    time: Any
    position: Any
    rating: Any
    place: Place
    catalogue: Catalogue | None = None

    def interpreted(self, options: ReaderConfig, name: str) -> RawData:
        """Validate and encode the columns; count what had to be repaired."""
        if len(self.user) == 0:
            raise BadInput(f"{self.path} holds no rows: expected at least one behaviour")
        repairs: dict[str, int] = {}
        kept = self
        if options.min_rating is not None:
            kept = self._rated_at_least(options.min_rating)
            if len(kept.user) == 0:
                raise BadInput(f"no row of {self.path} has a rating of at least {options.min_rating}")
            if len(kept.user) < len(self.user):
                repairs["rows_below_min_rating"] = len(self.user) - len(kept.user)
        log = InteractionLog.from_encoded(
            identifiers(kept.user, "user", options.id_type, kept.place),
            identifiers(kept.item, "item", options.id_type, kept.place),
            None if kept.time is None else seconds(kept.time, options.time_unit, kept.place),
            None if kept.position is None else positions(kept.position, kept.place),
            repairs,
        )
        if self.catalogue is None:
            return RawData(log, ItemMetadata.empty(log.n_items), name)
        metadata, n_unlisted = self.catalogue.aligned(log.item_ids)
        counted = {"items_without_metadata": n_unlisted, "duplicate_metadata_rows": self.catalogue.n_duplicates}
        repairs = {**log.repairs, **{repair: n for repair, n in counted.items() if n}}
        return RawData(replace(log, repairs=repairs), metadata, name)

    def _rated_at_least(self, threshold: float) -> Rows:
        """Return the rows with a rating of at least `threshold`."""
        import numpy as np
        import pyarrow as pa

        if self.rating is None:
            raise BadInput(f"{self.path} has no ratings: `min_rating` cannot be applied to it")
        kept = np.flatnonzero(ratings(self.rating, self.place) >= threshold)  # [R'] rows of the file

        def chosen(column: Any) -> Any:
            return None if column is None else column.take(pa.array(kept))

        return replace(
            self,
            user=chosen(self.user),
            item=chosen(self.item),
            time=chosen(self.time),
            position=chosen(self.position),
            rating=chosen(self.rating),
            place=lambda row: self.place(int(kept[row])),
        )
