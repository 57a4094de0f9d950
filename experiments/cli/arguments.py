"""Command line over YAML over defaults -> typed configuration; every unknown key is an error that names the nearest."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_type_hints

import jsonargparse
import yaml
from jsonargparse import ActionConfigFile

from baselines.config import LossConfig, ScoringConfig
from baselines.errors import BadInput, unknown_name
from experiments.config import DataConfig, RunConfig
from experiments.evaluation.config import EvaluationConfig
from experiments.registry import find_method
from experiments.tracking import TrackingConfig
from experiments.training.config import TrainingConfig

T = TypeVar("T")

_GROUPS = {"data": DataConfig, "evaluation": EvaluationConfig, "tracking": TrackingConfig}
_TRAINED_GROUPS = {"scoring": ScoringConfig, "loss": LossConfig, "training": TrainingConfig}
_GIVEN_BY_RECOMMENDER = {"width", "max_history"}

_UNKNOWN_KEY = (
    r"unrecognized arguments: (?P<flag>--\S+)",
    r"Group '(?P<group>\S+)' does not accept option '(?P<key>\S+)'",
    r"Option '(?P<key>\S+)' is not accepted",
)

jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)


class Parser(jsonargparse.ArgumentParser):
    """An argument parser whose every complaint is one BadInput that names the nearest known key."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise BadInput instead of printing the usage and ending the process."""
        text = str(message)
        for pattern in _UNKNOWN_KEY:
            if found := re.search(pattern, text):
                parts = found.groupdict()
                flag = (parts.get("flag") or "").lstrip("-").split("=")[0]
                key = flag or ".".join(filter(None, (parts.get("group"), parts["key"])))
                raise unknown_name("key", key, self.keys()) from ex
        raise BadInput(re.sub(r"\s*\n\s*", " ", text)) from ex

    def keys(self) -> list[str]:
        """All configuration keys by their dotted names."""
        skipped = {"help", "print_config"}
        return [action.dest for action in self._actions if action.dest not in skipped and action.option_strings]


def run_parser(prog: str, method: str | None) -> Parser:
    """Return the parser of everything that says a run; with `method`, also the keys that method has."""
    parser = Parser(prog=prog, description="Fit one method on one dataset and evaluate it on validation and test.")
    parser.add_argument("--config", action=ActionConfigFile, help="YAML file with any of the keys below")
    parser.add_argument("--method", type=str, required=method is None, help="a name of the registry")
    parser.add_argument("--seed", type=int, default=0, help="seed of parameters, batches and negatives")
    parser.add_argument("--device", type=get_type_hints(RunConfig)["device"], default="auto", help="where to train")
    entry = find_method(method) if method else None
    groups = _GROUPS | (_TRAINED_GROUPS if entry is None or entry.kind == "extractor" else {})
    for name, group in groups.items():
        parser.add_class_arguments(group, name, instantiate=False)
    if entry is not None:
        own = inspect.signature(entry.load()).parameters
        parser.add_class_arguments(
            entry.load(), "model", skip=_GIVEN_BY_RECOMMENDER & set(own), instantiate=False, fail_untyped=False
        )
    return parser


def parse_run(prog: str, arguments: Sequence[str], parser_hook: Any = None) -> tuple[RunConfig, str, Any]:
    """Parse flags into a RunConfig.

    Args:
        prog: how the command is called.
        arguments: the flags; `--data NAME` and `--data-root PATH` are short for `--data.source` and `--data.root`.
        parser_hook: adds the verb's own flags to the parser.

    Returns:
        The configuration, the YAML that reloads to it, and the namespace with the verb's own flags.
    """
    ordered = _config_first(expand_short_flags(arguments))
    method = _peek(ordered, "method")
    parser = run_parser(prog, method)
    own = parser_hook(parser) if parser_hook else ()
    namespace = parser.parse_args(ordered)
    values = namespace.as_dict()
    return to_run_config(values), dump(parser, namespace, own), namespace


def make_run(settings: Mapping[str, Any]) -> tuple[RunConfig, str]:
    """Build a RunConfig from nested settings (a study's arm), with the same checks as the command line."""
    parser = run_parser("study", settings["method"])
    namespace = parser.parse_object(dict(settings))
    return to_run_config(namespace.as_dict()), dump(parser, namespace, ())


def load_run(path: Path) -> RunConfig:
    """Read a run's config.yaml."""
    return make_run(read_yaml(path))[0]


def accepted(settings: Mapping[str, Any]) -> set[str]:
    """Return the dotted keys that a run of `settings['method']` accepts."""
    return set(run_parser("study", settings["method"]).keys())


def dump(parser: Parser, namespace: Any, own: Sequence[str]) -> str:
    """Return the YAML that reloads to the same run, without the verb's own flags."""
    clone = namespace.clone()
    for key in ("config", *own):
        clone.pop(key, None)
    text: str = parser.dump(clone, skip_validation=True)
    return text


def to_run_config(values: Mapping[str, Any]) -> RunConfig:
    """Turn nested plain values into dataclasses."""
    known = {f.name for f in fields(RunConfig)}
    return build(RunConfig, {key: value for key, value in values.items() if key in known})


def build(cls: type[T], values: Mapping[str, Any]) -> T:
    """Instantiate a dataclass and the dataclasses inside it; lists become tuples."""
    hints = get_type_hints(cls)
    made: dict[str, Any] = {}
    for key, value in values.items():
        hint = hints[key]
        if isinstance(value, Mapping) and is_dataclass(hint) and isinstance(hint, type):
            made[key] = build(hint, value)
        else:
            made[key] = tuple(value) if isinstance(value, list) else value
    return cls(**made)


def expand_short_flags(arguments: Sequence[str]) -> list[str]:
    """Spell out `--data NAME` (`--data.source`) and `--data-root PATH` (`--data.root`)."""
    short = {"--data": "--data.source", "--data-root": "--data.root"}
    parted = (argument.partition("=") for argument in arguments)
    return [short.get(flag, flag) + equals + value for flag, equals, value in parted]


def _config_first(arguments: Sequence[str]) -> list[str]:
    """Move `--config FILE` to the front, so that flags win over files wherever they stand."""
    first: list[str] = []
    rest: list[str] = []
    waiting = False
    for argument in arguments:
        if waiting or argument == "--config" or argument.startswith("--config="):
            first.append(argument)
            waiting = argument == "--config"
        else:
            rest.append(argument)
    return first + rest


def _peek(arguments: Sequence[str], key: str) -> str | None:
    """Find the value of `--key` among the flags, else in the YAML files they name."""
    found: str | None = None
    for argument, following in zip_longest(arguments, arguments[1:]):
        flag, equals, attached = argument.partition("=")
        value = attached if equals else following
        if flag == "--config" and value and Path(value).is_file():
            content = read_yaml(Path(value))
            found = content.get(key, found) if isinstance(content, dict) else found
        elif flag == f"--{key}":
            found = value
    return found


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Raises:
        BadInput: it is missing or broken.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as YAML ({' '.join(str(error).split())}).") from error
