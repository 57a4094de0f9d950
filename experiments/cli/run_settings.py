"""The settings of a finished run that a verb takes up, and that its flags may change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.cli.arguments import build, load_run
from experiments.cli.parser import Parser
from experiments.run_folder import CONFIG


def parse_beside_run(
    parser: Parser, arguments: Sequence[str], groups: Mapping[str, type[Any]]
) -> tuple[Any, dict[str, Any]]:
    """Parse flags over what the run said.

    Args:
        parser: of a verb that names a run directory by `run`; gets the flags of the groups.
        arguments: the flags.
        groups: group of settings -> its class, both as in RunConfig.

    Returns:
        The namespace with the verb's own flags, and the groups by name.
    """
    for name, group in groups.items():
        parser.add_class_arguments(group, name, instantiate=False)
    parser.hide_groups()
    path = Path(parser.parse_args(arguments).run) / CONFIG
    if path.is_file():
        its_own = load_run(path)
        for name in groups:
            parser.set_defaults({f"{name}.{key}": value for key, value in asdict(getattr(its_own, name)).items()})
    namespace = parser.parse_args(arguments)
    values = namespace.as_dict()
    return namespace, {name: build(group, values[name]) for name, group in groups.items()}
