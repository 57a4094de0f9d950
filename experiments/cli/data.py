"""`adaptive-mi data list|stats|prepare`: which datasets there are, what is in one, and raw file -> canonical folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from baselines.errors import BadInput, unknown_name
from experiments.cli.arguments import build, expand_short_flags
from experiments.cli.output import add_format, say, show, show_all
from experiments.cli.parser import Parser
from experiments.config import DataConfig

_VERBS = {
    "list": "the registered datasets, and which are here",
    "stats": "what is in a dataset, before and after filter and split",
    "prepare": "read a raw log in any supported format and write the canonical Parquet folder",
}
_KNOBS = {"list": {"root"}, "stats": {f.name for f in fields(DataConfig)}, "prepare": {"source", "root", "reader"}}
"""What of DataConfig each verb looks at."""


def run(arguments: Sequence[str]) -> int:
    """Run the verb."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: adaptive-mi data VERB [options]\n")
        print("\n".join(f"  {verb:<8} {what}" for verb, what in _VERBS.items()))
        return 0 if arguments else 2
    verb, rest = arguments[0], arguments[1:]
    if verb not in _VERBS:
        raise unknown_name("verb of data", verb, _VERBS)
    usage = {"list": "[--data-root FOLDER]", "stats": "--data NAME|PATH", "prepare": "--data NAME|PATH --out FOLDER"}
    prog = f"adaptive-mi data {verb}"
    parser = Parser(prog=prog, usage=f"{prog} {usage[verb]} [any setting below]", description=_VERBS[verb])
    add_format(parser)
    if verb == "prepare":
        parser.add_argument("--out", type=str, required=True, help="the folder to write; it must not exist")
    others = {f.name for f in fields(DataConfig)} - _KNOBS[verb]
    parser.add_class_arguments(DataConfig, "data", skip=others, instantiate=False)
    parser.hide_groups()
    namespace = parser.parse_args(expand_short_flags(rest))
    config = build(DataConfig, namespace.as_dict()["data"])
    return {"list": _list, "stats": _stats, "prepare": _prepare}[verb](config, namespace)


def _list(config: DataConfig, namespace: Any) -> int:
    from experiments.data.registry import DATA_VARIABLE, list_datasets, search_path

    root = Path(config.root) if config.root else None
    show(list_datasets(root), namespace.format)
    looked = " and ".join(map(str, search_path(root)))
    say(f"\nLooked in {looked}; set --data-root or ${DATA_VARIABLE} to look elsewhere.")
    return 0


def _stats(config: DataConfig, namespace: Any) -> int:
    from experiments.data.dataset import make_dataset
    from experiments.data.loading import load_source
    from experiments.data.statistics import statistics

    source = load_source(config)
    dataset = make_dataset(source.name, source.log, source.metadata, config.protocol, truth=source.truth)
    show_all(statistics(source.log, source.metadata, dataset), namespace.format)
    return 0


def _prepare(config: DataConfig, namespace: Any) -> int:
    from experiments.data.canonical import write_canonical
    from experiments.data.loading import load_source
    from experiments.data.readers.rows import RawData
    from experiments.reporting.table import Table

    out = Path(namespace.out)
    if out.exists():
        raise BadInput(f"{out} exists already and is not overwritten; choose another --out, or remove it.")
    source = load_source(config)
    write_canonical(RawData(log=source.log, metadata=source.metadata, name=source.name), out)
    log = source.log
    counts = {"users": log.n_users, "items": log.n_items, "behaviours": len(log), **log.repairs}
    rows = [[name.replace("_", " "), count] for name, count in counts.items()]
    show(Table(["written, and repaired before", "count"], rows, str(out)), namespace.format)
    say(f"\nUse it with --data {out}")
    return 0
