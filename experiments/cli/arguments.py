"""Command line over YAML over defaults -> typed configuration; every unknown key is an error that names the nearest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml
from jsonargparse import ActionConfigFile, Namespace  # type: ignore[attr-defined]

from baselines.config import LossConfig, RerankingConfig, ScoringConfig, ServingConfig
from baselines.errors import BadInput
from experiments.cli.parser import Parser
from experiments.config import DataConfig, RunConfig
from experiments.evaluation.config import EvaluationConfig
from experiments.knobs import knobs
from experiments.registry import METHODS, find_method
from experiments.tracking import TrackingConfig
from experiments.training.config import TrainingConfig

T = TypeVar("T")

_GROUPS = {
    "data": DataConfig,
    "reranking": RerankingConfig,
    "evaluation": EvaluationConfig,
    "tracking": TrackingConfig,
}
_TRAINED_GROUPS = {"scoring": ScoringConfig, "loss": LossConfig, "training": TrainingConfig, "serving": ServingConfig}
_SHORT = {"--data": "--data.source", "--data-root": "--data.root"}


def run_parser(prog: str, method: str | None) -> Parser:
    """Return the parser of everything that says a run; with `method`, also the keys that method has."""
    entry = find_method(method) if method else None
    own = knobs(entry) if entry else None
    trained = entry is None or entry.kind == "extractor"
    elsewhere = {} if own else {"model": f"{method} has no knobs of its own" if method else "--method is not given"}
    elsewhere |= {} if trained else dict.fromkeys(_TRAINED_GROUPS, f"{method} is fitted without a gradient")
    parser = Parser(
        prog=prog,
        usage=f"{prog} --method NAME [--data NAME|PATH] [--config YAML] [any setting below] ...",
        description="Fit one method on one dataset and evaluate it on validation and test. With --method NAME, this "
        "help tells that method's own knobs too.",
        print_config=None,
        elsewhere=elsewhere,
    )
    parser.add_argument("--config", action=ActionConfigFile, help="YAML file of the keys below; a later file wins")
    parser.add_argument("--method", type=str, required=True, help=f"one of: {', '.join(METHODS)}")
    parser.add_argument("--seed", type=int, default=0, help="seed of parameters, batches and negatives")
    parser.add_argument("--device", type=get_type_hints(RunConfig)["device"], default="auto", help="where to train")
    for name, group in (_GROUPS | (_TRAINED_GROUPS if trained else {})).items():
        parser.add_class_arguments(group, name, instantiate=False)
    if own is not None:
        parser.add_function_arguments(own, "model")
    parser.hide_groups()
    if entry is not None:
        parser.set_defaults(dict(entry.settings))
    return parser


def parse_run(
    prog: str, arguments: Sequence[str], add_own: Callable[[Any], Sequence[str]]
) -> tuple[RunConfig, str, Any]:
    """Parse flags into a RunConfig.

    Args:
        prog: how the command is called.
        arguments: the flags; `--data NAME` and `--data-root PATH` are short for `--data.source` and `--data.root`.
        add_own: adds the verb's own flags to the parser and returns their names.

    Returns:
        The configuration, the YAML that reloads to it, and the namespace with the verb's own flags.
    """
    ordered = _config_first(expand_short_flags(arguments))
    files = [read_settings(Path(path)) for path in _values(ordered, "config")]
    parser = run_parser(prog, _method(ordered, files))
    for settings in files:
        parser.check_groups(settings)
    parser.add_argument(
        "--print_config", action="store_true", help="print the resolved settings, which reload to the same run, and end"
    )
    own = add_own(parser)
    namespace = parser.parse_args(ordered)
    config, text = _resolved(namespace.as_dict(), own)
    if namespace.print_config:
        print(text, end="")
        raise SystemExit(0)
    return config, text, namespace


def make_run(settings: Mapping[str, Any]) -> tuple[RunConfig, str]:
    """Build a RunConfig from nested settings (a study's arm), with the same checks as the command line."""
    return _resolved(_parsed(settings))


def make_runs(settings: Mapping[str, Any], seeds: Iterable[int]) -> list[tuple[RunConfig, str]]:
    """Build runs that differ in nothing but the seed; what they share is parsed once."""
    values = _parsed(settings)
    return [_resolved({**values, "seed": seed}) for seed in seeds]


def _parsed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return all values of a run, defaults included, by the settings that are given."""
    parser = _settings_parser(str(settings["method"]))
    parser.check_groups(settings)
    start = _defaults(str(settings["method"])).clone()
    values: dict[str, Any] = parser.parse_object(dict(settings), namespace=start, defaults=False).as_dict()
    return values


def _resolved(values: Mapping[str, Any], own: Sequence[str] = ()) -> tuple[RunConfig, str]:
    """Return the configuration and the YAML that reloads to it, without the verb's own flags."""
    return to_run_config(values), _dump(values, own)


def load_run(path: Path) -> RunConfig:
    """Read a run's config.yaml."""
    settings = read_settings(path)
    if "method" not in settings:
        raise BadInput(f"{path} names no method: it is not the config.yaml of a run, or it is damaged.")
    try:
        return make_run(settings)[0]
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error


def accepted(settings: Mapping[str, Any]) -> set[str]:
    """Return the dotted keys that a run of `settings['method']` accepts."""
    return set(_settings_parser(str(settings["method"])).keys()) - {"config"}


@cache
def _settings_parser(method: str) -> Parser:
    """Return the parser of nested settings; making one takes a tenth of a second."""
    return run_parser("adaptive-mi", method)


@cache
def _defaults(method: str) -> Namespace:
    """Return all values of a run of which nothing but the method is said; parsing them is most of parsing an arm."""
    return _settings_parser(method).get_defaults()


def _dump(values: Mapping[str, Any], own: Sequence[str]) -> str:
    """Return the YAML that reloads to the same run, without the verb's own flags."""
    plain = {key: _plain(value) for key, value in values.items() if key not in ("config", "print_config", *own)}
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    return text


def _plain(value: Any) -> Any:
    """Tuples become lists."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


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
    parted = (argument.partition("=") for argument in arguments)
    return [_SHORT.get(flag, flag) + equals + value for flag, equals, value in parted]


def read_settings(path: Path) -> dict[str, Any]:
    """Read a YAML file of nested settings.

    Raises:
        BadInput: it is missing or broken, or holds something else.
    """
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read as YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(settings, dict):
        found = "nothing" if settings is None else f"a {type(settings).__name__}"
        raise BadInput(f"{path} must hold settings, such as 'method: ease', found {found}.")
    return settings


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


def _method(arguments: Sequence[str], files: Sequence[Mapping[str, Any]]) -> str | None:
    """Find the method among the flags, else in the files; the last word counts."""
    named = [str(settings["method"]) for settings in files if "method" in settings] + _values(arguments, "method")
    return named[-1] if named else None


def _values(arguments: Sequence[str], key: str) -> list[str]:
    """Find the values of `--key` among the flags."""
    found = []
    for argument, following in zip_longest(arguments, arguments[1:]):
        flag, equals, attached = argument.partition("=")
        if flag == f"--{key}" and (equals or following is not None):
            found.append(attached if equals else following)
    return found
