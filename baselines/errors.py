"""Bad input: one clear error that says what was expected, what came, and how to mend it."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

_MANY = 40  # names; more would bury the hint


class BadInput(ValueError):
    """Input from outside (a file, a flag, a key, a name) that cannot be used.

    The command line prints its message as one line and ends with status 2; nothing else is caught silently.
    """


class Refused(BadInput):
    """A method declines data that it cannot serve (too many items, say); a study goes on without that arm."""


def require_number(
    name: str,
    value: float,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    below: float = math.inf,
    at_most: float = math.inf,
) -> None:
    """Refuse a setting that is not finite, or does not lie between its bounds, of which any may be given.

    >>> require_number("training.batch_size", 0, above=0)
    Traceback (most recent call last):
    baselines.errors.BadInput: training.batch_size must be a finite number greater than 0, got 0.
    """
    if not (math.isfinite(value) and value > above and at_least <= value <= at_most and value < below):
        bound = f" greater than {above:g}" if above > -math.inf else ""
        bound += f" of at least {at_least:g}" if at_least > -math.inf else ""
        bound += f" and less than {below:g}" if below < math.inf else ""
        bound += f" and at most {at_most:g}" if at_most < math.inf else ""
        raise BadInput(f"{name} must be a finite number{bound}, got {value}.")


def unknown_name(kind: str, name: str, known: Iterable[str]) -> BadInput:
    """Build the error for an unknown `kind` (method, metric, dataset, key), naming the nearest known one.

    >>> print(unknown_name("method", "comirec_as", ["comirec_sa", "ease"]))
    unknown method 'comirec_as': did you mean 'comirec_sa'? Known: comirec_sa, ease.
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=6, cutoff=0.5)
    hint = f" did you mean '{near[0]}'?" if near else ""
    few = len(known) <= _MANY
    listed = known if few else sorted(near) or known[:6]
    return BadInput(f"unknown {kind} '{name}':{hint} {'Known' if few else 'Near it'}: {', '.join(listed)}.")
