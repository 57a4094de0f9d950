"""The command line as the tests call it: settings of small runs, what a command said, processes that may be killed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from experiments.registry import METHODS

SMALL = ["--data.synthetic.n_users=300", "--data.synthetic.n_items=200", "--tracking.mode=disabled"]
"""A log and a catalogue that a run is done with in a moment."""

BRIEF = [
    "--training.max_steps=12", "--training.evaluate_every=3", "--training.batch_size=16", "--loss.n_negatives=20",
    "--scoring.width=4", "--training.threads=1",
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


ONE_OF_A_KIND = ("history_repeat", "ease", "comirec_sa", "adaptive", "diffusion_posterior")
"""Methods that learn nothing, a matrix, K interests, interests by clusters, and a generator of them."""

every_method_in_time = pytest.mark.parametrize(
    "method", [name if name in ONE_OF_A_KIND else pytest.param(name, marks=pytest.mark.slow) for name in METHODS]
)
"""Laws try every method; the command line is tried with one of each kind, by `make test-slow` with all."""

Command = Callable[..., Said]
Runs = Callable[[str], Path]

HEARING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""For processes that are to be interrupted: what a shell starts in the background hears no ctrl-C."""


class Apart:
    """`adaptive-mi ARGUMENTS` in a process of its own, which may be killed.

    Processes are forked from a server that has imported and compiled everything (see `warm.py`): they start at once.

    Args:
        folder: where the process works, and where what it says is kept.
        arguments: of the command line.
        code: run in the process before.
    """

    def __init__(self, folder: Path, *arguments: object, code: str = "") -> None:
        self._said = folder / ".stdout", folder / ".stderr"
        self._process = _server().Process(
            target=_work, args=(folder, self._said, [str(argument) for argument in arguments], code)
        )
        self._process.start()

    def kill(self) -> None:
        """Send SIGKILL, which no process survives."""
        self._process.kill()

    def end(self) -> Said:
        """Wait for the end; a negative status is the signal that ended the process."""
        self._process.join(timeout=100)
        assert self._process.exitcode is not None, "the process does not end"
        texts = [path.read_text() if path.exists() else "" for path in self._said]
        for path in self._said:
            path.unlink(missing_ok=True)
        return Said(self._process.exitcode, *texts)


@cache
def _server() -> ForkServerContext:
    """Start what processes are forked from."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["warm"])
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(Path(__file__).parent))
        environment.setenv("OMP_NUM_THREADS", "1")
        forkserver.ensure_running()
    return context


def _work(folder: Path, said: tuple[Path, Path], arguments: list[str], code: str) -> None:
    os.chdir(folder)
    for stream, path in zip((sys.stdout, sys.stderr), said, strict=True):
        stream.flush()
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream.fileno())
    sys.stdout, sys.stderr = (open(handle, "w", closefd=False) for handle in (1, 2))  # noqa: SIM115
    from experiments.__main__ import main

    exec(code, {})
    status = main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
