"""The command line as the tests call it: settings of small runs, what a command said, a process that may be killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SMALL = ["--data.synthetic.n_users=300", "--data.synthetic.n_items=200", "--tracking.mode=disabled"]
"""A log and a catalogue that a run is done with in a moment."""

BRIEF = [
    "--training.max_steps=12", "--training.evaluate_every=3", "--training.batch_size=16", "--loss.n_negatives=20",
    "--scoring.width=8", "--training.threads=1",
]  # fmt: skip
"""What makes training as short."""


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a refusal; fails where there is more, less, or a stack trace."""
        assert self.status != 0, self.out
        assert self.err.startswith("error: "), self.err
        assert self.err.count("\n") == 1, self.err
        assert self.out == ""
        return self.err


Command = Callable[..., Said]
Runs = Callable[[str], Path]


def process(*arguments: object, code: str = "", cwd: Path | None = None) -> subprocess.Popen[str]:
    """Start `adaptive-mi ARGUMENTS` in a process of its own; `code` is run there before."""
    program = f"{code}\nimport sys\nfrom experiments.__main__ import main\nsys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def ended(running: subprocess.Popen[str]) -> Said:
    """Wait for a process."""
    out, err = running.communicate(timeout=120)
    return Said(running.returncode, out, err)
