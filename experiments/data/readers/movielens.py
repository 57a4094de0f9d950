"""MovieLens: `ratings.dat` with `movies.dat` (1M, 10M: fields separated by `::`), `u.data` with `u.item` (100K).

Harper and Konstan, "The MovieLens Datasets: History and Context", TiiS 2015; layouts from the README of each archive.
Item files are latin-1 up to 1M and UTF-8 from 10M on; what does not decode as UTF-8 is latin-1.
"""

from __future__ import annotations

from pathlib import Path

from baselines.errors import BadInput
from experiments.data.readers.catalogue import Catalogue, CatalogueBuilder, ItemFacts
from experiments.data.readers.columns import shown
from experiments.data.readers.config import ReaderConfig
from experiments.data.readers.delimited import Delimited
from experiments.data.readers.rows import Rows
from experiments.data.readers.text import first_bytes, open_bytes, reading, sibling

GENRES_100K = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)


def read_movielens(path: Path, options: ReaderConfig) -> Rows:
    """Read ratings, with titles and genres where the file of movies lies beside them."""
    if b"::" not in first_bytes(path):
        return _read_100k(path, options)
    expected = "UserID::MovieID::Rating::Timestamp"
    table = Delimited(path=path, separator=":", n_fields=7, expected=expected)  # every second field is empty
    user, gap1, item, gap2, rating, gap3, time = table.columns(range(7))
    _demand_empty(table, gap1, gap2, gap3)
    movies = sibling(path, "movies.dat")
    catalogue = None if movies is None else _movies(movies)
    return Rows(path, user, item, time, None, rating, table.place, catalogue)


def _read_100k(path: Path, options: ReaderConfig) -> Rows:
    del options
    table = Delimited(path=path, separator="\t", n_fields=4, expected="user, item, rating, timestamp with tabulators")
    user, item, rating, time = table.columns(range(4))
    movies = sibling(path, "u.item")
    return Rows(path, user, item, time, None, rating, table.place, None if movies is None else _movies_100k(movies))


def _demand_empty(table: Delimited, *gaps: object) -> None:
    """Raise for the first row with something between the two colons of a separator."""
    import pyarrow.compute as pc

    for gap in gaps:
        filled = pc.index(pc.equal(gap, ""), False).as_py()
        if filled >= 0:
            raise BadInput(f"{table.place(filled)}: expected {table.expected}")


def _movies(path: Path) -> Catalogue:
    """Read `MovieID::Title::Genre|Genre`."""
    builder = CatalogueBuilder()
    for number, line in _lines(path):
        fields = line.split("::")
        if len(fields) < 3:
            raise BadInput(f"{path}, line {number}: expected MovieID::Title::Genres, found {shown(line)}")
        genres = () if fields[-1] == "(no genres listed)" else tuple(g for g in fields[-1].split("|") if g)
        builder.add(fields[0].strip(), ItemFacts("::".join(fields[1:-1]).strip(), genres))
    return builder.build()


def _movies_100k(path: Path) -> Catalogue:
    """Read `id|title|released|video released|URL|19 genre flags`."""
    builder = CatalogueBuilder()
    for number, line in _lines(path):
        fields = line.split("|")
        if len(fields) != 5 + len(GENRES_100K):
            raise BadInput(f"{path}, line {number}: expected 24 fields separated by |, found {shown(line)}")
        genres = tuple(genre for genre, flag in zip(GENRES_100K, fields[5:], strict=True) if flag.strip() == "1")
        builder.add(fields[0].strip(), ItemFacts(fields[1].strip(), genres))
    return builder.build()


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return the numbered lines that are not blank."""
    with reading(path), open_bytes(path) as file:
        content = file.read()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = text.replace("\r\n", "\n").split("\n")
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
