"""`adaptive-mi data list|stats|prepare`: which datasets there are, what is in one, and raw file -> canonical folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from baselines.errors import BadInput, unknown_name
from experiments.cli.arguments import Parser, build, expand_short_flags
from experiments.cli.output import add_format, show
from experiments.config import DataConfig

_VERBS = {
    "list": "the registered datasets, and which are here",
    "stats": "what is in a dataset, before and after filter and split",
    "prepare": "read a raw log in any supported format and write the canonical Parquet folder",
}


def run(arguments: Sequence[str]) -> int:
    """Run the verb."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: adaptive-mi data VERB [options]\n")
        print("\n".join(f"  {verb:<8} {what}" for verb, what in _VERBS.items()))
        return 0 if arguments else 2
    verb, rest = arguments[0], arguments[1:]
    if verb not in _VERBS:
        raise unknown_name("verb of data", verb, _VERBS)
    parser = Parser(prog=f"adaptive-mi data {verb}", description=_VERBS[verb])
    add_format(parser)
    if verb == "prepare":
        parser.add_argument("--out", type=str, required=True, help="the folder to write; it must not exist")
    parser.add_class_arguments(DataConfig, "data", instantiate=False)
    namespace = parser.parse_args(expand_short_flags(rest))
    config = build(DataConfig, namespace.as_dict()["data"])
    return {"list": _list, "stats": _stats, "prepare": _prepare}[verb](config, namespace)


def _list(config: DataConfig, namespace: Any) -> int:
    from experiments.data.registry import list_datasets

    show(list_datasets(Path(config.root) if config.root else None), namespace.format)
    return 0


def _stats(config: DataConfig, namespace: Any) -> int:
    from experiments.data.dataset import make_dataset
    from experiments.data.loading import load_source
    from experiments.data.statistics import statistics

    source = load_source(config)
    dataset = make_dataset(source.name, source.log, source.metadata, config.protocol, truth=source.truth)
    for table in statistics(source.log, source.metadata, dataset):
        show(table, namespace.format)
        print()
    return 0


def _prepare(config: DataConfig, namespace: Any) -> int:
    from experiments.data.canonical import write_canonical
    from experiments.data.loading import load_source
    from experiments.data.readers.rows import RawData

    out = Path(namespace.out)
    if out.exists():
        raise BadInput(f"{out} exists already and is not overwritten; choose another --out, or remove it.")
    source = load_source(config)
    write_canonical(RawData(log=source.log, metadata=source.metadata, name=source.name), out)
    log = source.log
    print(f"{out}: {log.n_users:,} users, {log.n_items:,} items, {len(log):,} behaviours.")
    for repair, count in log.repairs.items():
        print(f"  {repair.replace('_', ' ')}: {count:,}")
    print(f"Use it with --data {out}")
    return 0
