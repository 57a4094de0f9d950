"""Settings of a run behind the flags of a verb that decides on some of them itself: pairs `--key value`, and files."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml

from baselines.errors import BadInput
from experiments.cli.arguments import expand_short_flags, read_settings


class OpenParser(argparse.ArgumentParser):
    """The standard parser, since jsonargparse has no way to leave unknown flags to somebody else."""

    def error(self, message: str) -> NoReturn:
        """Raise BadInput instead of ending the process."""
        raise BadInput(f"{message}.")

    def parse(self, arguments: Sequence[str]) -> tuple[argparse.Namespace, list[Mapping[str, Any]]]:
        """Return the verb's own flags, and the settings among the others."""
        namespace, rest = self.parse_known_args(list(arguments))
        return namespace, parse_overrides(expand_short_flags(rest))


def parse_overrides(arguments: Sequence[str]) -> list[Mapping[str, Any]]:
    """Read `--key value` and `--key=value` pairs, values being YAML, over the files named by `--config FILE`.

    Returns:
        Settings, nested or with dotted keys; the later ones win.

    Raises:
        BadInput: something else.
    """
    files: list[Mapping[str, Any]] = []
    flags: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        if not flag.startswith("--") or (not equals and not rest):
            raise BadInput(f"expected pairs '--key value' of run settings, got '{flag}'.")
        value = value if equals else rest.pop(0)
        if flag == "--config":
            files.append(read_settings(Path(value)))
            continue
        try:
            flags[flag[2:]] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise BadInput(f"{flag}: '{value}' cannot be read as YAML.") from error
    return [*files, flags]
