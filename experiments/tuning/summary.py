"""What a search has found so far: the best settings beside the default ones, and how many trials it took."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.reporting.table import Table
from experiments.tuning.dimensions import Settings


@dataclass(frozen=True)
class Outcome:
    """A trial that ran to its end.

    Attributes:
        value: the best validation value of the monitored metric.
        best_step: the step it was found at; None for a method without steps.
        settings: what the search decides, by dotted key.
    """

    value: float
    best_step: int | None
    settings: Settings


@dataclass(frozen=True)
class Summary:
    """A search, finished or not.

    Attributes:
        method, dataset: what was tuned on which data.
        monitor: the validation metric.
        n_trials: how many trials the search is to have.
        n_complete, n_pruned, n_failed: trials that ran to their end; that were given up, being in the worse half of
            those that came as far; whose settings diverged or could not be borne.
        n_interrupted: trials that were killed and repeated; they count for nothing.
        seconds: wall time of the trials, the interrupted ones left out.
        default: the first trial, which is the method's default configuration; None where that failed.
        best: the best trial; None before any has run to its end.
    """

    method: str
    dataset: str
    monitor: str
    n_trials: int
    n_complete: int
    n_pruned: int
    n_failed: int
    n_interrupted: int
    seconds: float
    default: Outcome | None
    best: Outcome | None

    @property
    def n_done(self) -> int:
        """Trials that count."""
        return self.n_complete + self.n_pruned + self.n_failed

    def lines(self) -> list[str]:
        """Say it in a few lines, for the head of a file."""
        parts = {"complete": self.n_complete, "pruned": self.n_pruned, "failed": self.n_failed}
        told = ", ".join(f"{n} {what}" for what, n in parts.items())
        again = f"; {self.n_interrupted} interrupted and repeated" if self.n_interrupted else ""
        lines = [
            f"{self.method} on {self.dataset}: {self.n_done} of {self.n_trials} trials ({told}){again}, in "
            f"{self.seconds:.0f} s",
        ]
        if self.best is not None:
            default = f"{self.default.value:.4f}" if self.default else "failed"
            step = f", best step {self.best.best_step}" if self.best.best_step is not None else ""
            lines.append(f"validation {self.monitor}: {self.best.value:.4f}{step}; default settings: {default}")
        return lines

    def table(self) -> Table:
        """Return the default settings beside the best ones."""
        outcomes = [self.default, self.best]
        keys = dict.fromkeys(key for outcome in outcomes if outcome for key in outcome.settings)
        rows: list[list[object]] = [[self.monitor, *(o.value if o else None for o in outcomes)]]
        if self.best is not None and self.best.best_step is not None:
            rows.append(["best step", *(o.best_step if o else None for o in outcomes)])
        rows += [[key, *(o.settings.get(key) if o else None for o in outcomes)] for key in keys]
        return Table(["validation", "default", "best"], rows, title=self.lines()[0])
