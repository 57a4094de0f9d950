"""An argument parser whose every complaint is one BadInput: what was expected, what came, the nearest known key."""

from __future__ import annotations

import re
from argparse import SUPPRESS
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

import jsonargparse

from baselines.errors import BadInput, unknown_name

jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)

_UNKNOWN_KEY = (
    r"unrecognized arguments: (?P<flag>--\S+)",
    r"Group '(?P<group>\S+)' does not accept option '(?P<key>\S+)'",
    r"Option '(?P<key>\S+)' is not accepted",
)
_WRONG_VALUE = r'Parser key "(?P<key>[^"]+)":.*?(?:Got value:|Given value:|Unable to load config) (?P<value>.*)$'
_NO_CHOICE = r"argument --(?P<key>\S+): invalid choice: '?(?P<value>[^']*)'? \("
_MISSING = r"the following arguments are required: (?P<names>.+)$"
_SOME_MISSING_VALUE = r"argument (?P<flag>--\S+): expected one argument"

_WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    NoneType: "null",
}


class Parser(jsonargparse.ArgumentParser):
    """The parser of every verb; no key may be abbreviated.

    Args:
        elsewhere: groups of keys that other commands have -> why this one has not.
        options: those of jsonargparse's parser.
    """

    def __init__(self, *, elsewhere: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)
        self.elsewhere = elsewhere or {}

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise BadInput instead of printing the usage and ending the process."""
        text = " ".join(str(message).split())
        for pattern in _UNKNOWN_KEY:
            if found := re.search(pattern, text):
                parts = found.groupdict()
                flag = (parts.get("flag") or "").lstrip("-").split("=")[0]
                raise self._unknown(flag or ".".join(filter(None, (parts.get("group"), parts["key"])))) from ex
        if found := re.search(_WRONG_VALUE, text) or re.search(_NO_CHOICE, text):
            raise self._wrong(found["key"], found["value"].strip("'")) from ex
        if found := re.search(_MISSING, text):
            flags = {action.dest: action.option_strings for action in self._actions}
            names = [(flags.get(name) or [name.upper()])[0] for name in found["names"].split(", ")]
            raise BadInput(f"{' and '.join(names)} must be given; --help tells the options.") from ex
        if found := re.search(_SOME_MISSING_VALUE, text):
            raise BadInput(f"{found['flag']} needs a value after it.") from ex
        raise BadInput(text) from ex

    def keys(self) -> list[str]:
        """Return all keys by their dotted names, groups left out."""
        skipped = {"help"} | {action.dest for action in self._groups_as_flags()}
        return [action.dest for action in self._actions if action.dest not in skipped and action.option_strings]

    def check_groups(self, settings: Mapping[str, Any], prefix: str = "") -> None:
        """Refuse nested settings with a plain value where a group of keys belongs."""
        for key, value in settings.items():
            inside = [known for known in self.keys() if known.startswith(f"{prefix}{key}.")]
            if inside and not isinstance(value, Mapping):
                raise self._wrong(f"{prefix}{key}", "nothing" if value is None else str(value))
            if inside:
                self.check_groups(value, f"{prefix}{key}.")

    def hide_groups(self) -> None:
        """Leave out of the help that a group may be read from a file of its own: --config does as much."""
        for action in self._groups_as_flags():
            action.help = SUPPRESS

    def _groups_as_flags(self) -> list[Any]:
        return [action for action in self._actions if action.metavar == "CONFIG" and action.dest != "config"]

    def _unknown(self, key: str) -> BadInput:
        why = self.elsewhere.get(key.partition(".")[0])
        return BadInput(f"'{key}' cannot be set here: {why}.") if why else unknown_name("key", key, self.keys())

    def _wrong(self, key: str, value: str) -> BadInput:
        action = next((action for action in self._actions if action.dest == key), None)
        if action in self._groups_as_flags():
            inside = [known.removeprefix(f"{key}.") for known in self.keys() if known.startswith(f"{key}.")]
            names = ", ".join(dict.fromkeys(known.partition(".")[0] for known in inside))
            return BadInput(f"{key} must be a group of keys ({names}), got {value}.")
        hint = getattr(action, "_typehint", None) or getattr(action, "type", None)
        choices = list(action.choices) if action is not None and action.choices else list(get_args(hint))
        if get_origin(hint) is Literal or (action is not None and action.choices):
            return unknown_name(key, value, choices)
        return BadInput(f"{key} must be {in_words(hint)}, got {value}.")


def in_words(hint: Any) -> str:
    """Say a type to people.

    >>> in_words(tuple[int, ...] | None), in_words(Literal["a", "b"])
    ('a list such as [1, 2] or null', 'one of a, b')
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(map(in_words, inner))
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin in (tuple, list, Sequence):
        return f"a list such as {'[1, 2]' if inner[0] in (int, float) else '[a, b]'}"
    if origin is not None and issubclass(origin, Mapping):
        return "a group such as {name: 1}"
    return _WORDS.get(hint, str(getattr(hint, "__name__", hint)))
