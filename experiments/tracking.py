"""Weights & Biases mirrors a run; the run directory is the truth, and a failing mirror never fails a run."""

from __future__ import annotations

import netrc
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from baselines.errors import unknown_name

Mode = Literal["online", "offline", "disabled"]


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Where a run is mirrored."""

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    """`auto` = what $WANDB_MODE says, else `online` where a key is configured, else `offline` (files inside the run
    directory)."""

    project: str = "adaptive-mi"
    """Weights & Biases project."""


def key_is_configured() -> bool:
    """Whether wandb would find an API key: in the environment or in the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def automatic_mode() -> Mode:
    """Return the mode that `auto` stands for.

    Raises:
        BadInput: an unknown $WANDB_MODE.
    """
    asked = os.environ.get("WANDB_MODE")
    if not asked:
        return "online" if key_is_configured() else "offline"
    if asked not in get_args(Mode):
        raise unknown_name("$WANDB_MODE", asked, get_args(Mode))
    return cast(Mode, asked)


class Mirror:
    """Passes configuration, metrics and results on to Weights & Biases.

    Every failure is said once on standard error, after which the mirror is silent.

    Args:
        config: mode and project.
        folder: where wandb keeps its files.
        name, group: what the run is called there.
        settings: the run's resolved configuration.
    """

    def __init__(
        self, config: TrackingConfig, folder: Path, *, name: str, group: str, settings: Mapping[str, Any]
    ) -> None:
        self.mode = automatic_mode() if config.mode == "auto" else config.mode
        self._run: Any = None
        if self.mode != "disabled":
            self._attempt(lambda: self._start(config, folder, name, group, settings))

    def log(self, row: Mapping[str, float]) -> None:
        """Mirror one row of metrics.jsonl; `step` is its step."""
        if self._run is not None:
            values = {key: value for key, value in row.items() if key != "step"}
            self._attempt(lambda: self._run.log(values, step=int(row["step"])))

    def finish(self, summary: Mapping[str, Any] | None = None) -> None:
        """Mirror the final results and close; without a summary the run is marked as failed."""
        if self._run is not None:
            self._attempt(lambda: self._run.summary.update(dict(summary or {})))
        if self._run is not None:
            self._attempt(lambda: self._run.finish(exit_code=0 if summary is not None else 1))
            self._run = None

    def _start(self, config: TrackingConfig, folder: Path, name: str, group: str, settings: Mapping[str, Any]) -> None:
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        self._run = wandb.init(
            project=config.project,
            mode=self.mode,
            dir=str(folder),
            name=name,
            group=group,
            config=dict(settings),
            settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
        )

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # whatever the mirror's trouble, the run goes on
            self._run = None
            print(
                f"warning: Weights & Biases ({self.mode}) stopped mirroring this run: {type(error).__name__}: "
                f"{error}; the run directory is complete without it",
                file=sys.stderr,
            )
