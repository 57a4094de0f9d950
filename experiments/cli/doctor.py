"""`adaptive-mi doctor`: look whether this machine is ready."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from experiments.cli.output import add_format, show
from experiments.cli.parser import Parser


def run(arguments: Sequence[str]) -> int:
    """Run the verb; status 1 where a check failed."""
    parser = Parser(prog="adaptive-mi doctor", description="Look at Python, packages, device, disk, data and tracking.")
    parser.add_argument("--data-root", type=str | None, default=None, help="folder of the registered datasets")
    add_format(parser)
    namespace = parser.parse_args(arguments)
    from experiments.doctor import doctor

    diagnosis = doctor(Path(namespace.data_root) if namespace.data_root else None)
    show(diagnosis.table(), namespace.format)
    return 0 if diagnosis.healthy else 1
