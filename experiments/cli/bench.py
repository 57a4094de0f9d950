"""`adaptive-mi bench NAME`: measure speed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from baselines.errors import unknown_name
from experiments.cli.arguments import parse_run
from experiments.cli.output import add_format, show

BENCHES = {
    "evaluation": "users evaluated a second, beside the usual public loop and the bare matrix product",
    "training": "training steps a second, and where the time goes",
}
_DEFAULTS = {
    "evaluation": ["--training.max_steps=300", "--training.evaluate_every=300"],
    "training": ["--training.max_steps=200", "--training.evaluate_every=200"],
}


def run(arguments: Sequence[str]) -> int:
    """Run the verb."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: adaptive-mi bench NAME [settings of a run]\n")
        print("\n".join(f"  {name:<11} {what}" for name, what in BENCHES.items()))
        print("\nWithout --data: amazon-beauty where it is present, else a synthetic log of about its size.")
        return 0 if arguments else 2
    name = arguments[0]
    if name not in BENCHES:
        raise unknown_name("bench", name, BENCHES)
    given = ["--method=comirec_sa", *_DEFAULTS[name], *_data(arguments[1:]), *arguments[1:]]
    config, _, namespace = parse_run(f"adaptive-mi bench {name}", given, _add_flags)
    if name == "evaluation":
        from experiments.bench.evaluation import bench_evaluation as bench
    else:
        from experiments.bench.training import bench_training as bench
    show(bench(config), namespace.format)
    return 0


def _add_flags(parser: Any) -> Sequence[str]:
    add_format(parser)
    return ("format",)


def _data(arguments: Sequence[str]) -> list[str]:
    """The data to measure on, where the caller names none."""
    from baselines.errors import BadInput
    from experiments.data.registry import locate

    if any(argument.startswith("--data") for argument in arguments):
        return []
    try:
        locate("amazon-beauty", None)
    except BadInput:
        return ["--data=synthetic", "--data.synthetic.n_users=22000", "--data.synthetic.n_items=12000"]
    return ["--data=amazon-beauty"]
