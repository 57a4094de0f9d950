"""`adaptive-mi bench NAME`: measure speed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines.errors import BadInput, unknown_name
from experiments.cli.arguments import parse_run
from experiments.cli.output import add_format, say, show
from experiments.registry import find_method

if TYPE_CHECKING:
    from experiments.config import RunConfig
    from experiments.reporting.table import Table

BENCHES = {
    "evaluation": "users evaluated a second, beside the usual public loop and the bare matrix product",
    "training": "training examples a second of every method (or of --methods), and where the time goes",
    "clustering": "whether rules of `adaptive` find planted interests, and what clustering costs: by user, in a step",
    "routing": "what extractors cost alone, for several K and L: time beside ComiRec-SA's, memory, growth",
    "sampling": "users a second for whom diffusion generates interests, by steps, samples and guidance",
}
_DEFAULTS = {
    "evaluation": ["--method=comirec_sa", "--training.max_steps=300", "--training.evaluate_every=300"],
    "training": ["--method=comirec_sa"],
    "clustering": ["--method=adaptive", "--training.threads=1", "--device=cpu"],
    "routing": ["--method=comirec_sa", "--training.threads=1", "--device=cpu"],
    "sampling": ["--method=comirec_sa", "--training.threads=2", "--device=cpu"],
}
_SIZES = (
    ("lengths", [50, 20, 200, 2000], "L, of which the first is the one at which K varies: [50,2000]"),
    ("interests", [4, 2, 8, 16, 32, 64], "K, of which the first is the one at which L varies: [4,64]"),
    ("widths", [64, 128], "d: [64]"),
)
_FIXED = (  # beside the methods' own knobs, wherever training is timed
    "--method",
    "--training.batch_size",
    "--training.min_history",
    "--training.positions",
    "--scoring.max_history",
)


def run(arguments: Sequence[str]) -> int:
    """Run the verb."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: adaptive-mi bench NAME [settings of a run]\n")
        print("\n".join(f"  {name:<11} {what}" for name, what in BENCHES.items()))
        print("\nWithout --data: amazon-beauty where it is present, else a synthetic log of about its size")
        print("(clustering: else no log).")
        return 0 if arguments else 2
    name = arguments[0]
    if name not in BENCHES:
        raise unknown_name("bench", name, BENCHES)
    if name != "evaluation":
        _refuse_fixed(arguments[1:])
    given = [*_DEFAULTS[name], *_data(name, arguments[1:]), *arguments[1:]]
    config, _, namespace = parse_run(f"adaptive-mi bench {name}", given, partial(_add_flags, name))
    tables = []
    for table in _tables(name, config, namespace):
        show(table, namespace.format)
        say("")
        tables.append(table)
    if namespace.keep:
        from experiments.methods import resolve_device
        from experiments.reporting.benchmarks import keep_benchmark
        from experiments.run_record import code_version

        command = shlex.join(["adaptive-mi", "bench", *arguments])
        made = {"command": command, "code": code_version(), "device": resolve_device(config)}
        say(f"Kept: {keep_benchmark(name, tables, Path(namespace.keep), **made)}")
    return 0


def _tables(name: str, config: RunConfig, namespace: Any) -> Iterator[Table]:
    if name == "evaluation":
        from experiments.bench.evaluation import bench_evaluation

        yield bench_evaluation(config)
        return
    if name == "clustering":
        from experiments.bench.clustering import bench_clustering

        yield from bench_clustering(config)
        return
    if name == "sampling":
        from experiments.bench.sampling import bench_sampling

        yield bench_sampling(config.training.threads or 1)
        return
    methods = namespace.methods
    if name == "routing":
        from experiments.bench.routing import bench_routing
        from experiments.methods import resolve_device

        yield from bench_routing(
            namespace.lengths,
            namespace.interests,
            namespace.widths,
            methods=methods or (),
            device=resolve_device(config),
            n_threads=config.training.threads or 1,
            compiled=config.training.compile,
        )
        return
    from experiments.bench.training import bench_grid, bench_public, trained_methods

    for method in methods or ():
        if find_method(method).kind != "extractor":
            raise BadInput(f"--methods: {method} is fitted without a gradient; there is no training to time.")
    yield bench_public(config, methods or trained_methods())
    yield bench_grid(config, methods or trained_methods())


def _add_flags(name: str, parser: Any) -> Sequence[str]:
    parser.usage = f"adaptive-mi bench {name} [--data NAME|PATH] [any setting below] ..."
    parser.description = f"Measure {BENCHES[name]}."
    own = ["format", "keep"]
    if name in ("training", "routing"):
        text = "time these methods only: [mind,sasrec]"
        parser.add_argument("--methods", type=list[str] | None, default=None, help=text)
        own.append("methods")
    if name == "routing":
        for flag, default, text in _SIZES:
            parser.add_argument(f"--{flag}", type=list[int], default=default, help=text)
            own.append(flag)
    parser.add_argument("--keep", type=str | None, default=None, help="keep the tables in this folder of results")
    add_format(parser)
    return own


def _refuse_fixed(arguments: Sequence[str]) -> None:
    """Refuse what a benchmark of training decides itself, rather than leave it unheard."""
    for flag in (argument.partition("=")[0] for argument in arguments):
        if flag in _FIXED or flag.startswith("--model."):
            raise BadInput(
                f"{flag} cannot be set here: every method is timed with its own defaults, on batches that the "
                "benchmark chooses."
            )


def _data(name: str, arguments: Sequence[str]) -> list[str]:
    """The data to measure on, where the caller names none."""
    if any(argument.startswith("--data") or argument in ("-h", "--help") for argument in arguments):
        return []
    from experiments.data.registry import locate

    try:
        locate("amazon-beauty", None)
    except BadInput:
        if name == "clustering":  # real lengths are what it wants a log for
            return ["--data=synthetic"]
        return ["--data=synthetic", "--data.synthetic.n_users=22000", "--data.synthetic.n_items=12000"]
    return ["--data=amazon-beauty"]
