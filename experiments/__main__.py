"""The command line: `adaptive-mi VERB ...`, the same as `python -m experiments VERB ...`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

VERBS = {
    "data": "list, describe or convert datasets",
    "train": "fit one method, evaluate it, write a run directory",
    "evaluate": "evaluate a finished run again",
    "recommend": "recommend items to one user with a finished run",
    "tune": "search a method's settings on validation users",
    "study": "run a question's arms x seeds on a dataset, and report",
    "report": "run directories -> tables and plots",
    "bench": "measure speed: evaluation, training, clustering, routing, sampling",
    "doctor": "look whether this machine is ready",
}

_KEPT = dict.fromkeys(("train", "study"), "; what was finished before is kept, --resume goes on from there")
_KEPT["tune"] = "; the trials that were finished are kept, the same command goes on from there"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit status is 0, or 1: a check failed or training diverged, 2: bad input, 130: Ctrl-C."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads slow each other down on a busy machine
    from baselines.errors import BadInput, unknown_name

    verb = arguments[0]
    try:
        if verb not in VERBS:
            raise unknown_name("verb", verb, VERBS)
        status: int = importlib.import_module(f"experiments.cli.{verb}").run(arguments[1:])
        sys.stdout.flush()
        return status
    except BadInput as error:
        return _complain(str(error))
    except BrokenPipeError:  # the reader of a table, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _complain(f"{what}{_KEPT.get(verb, '')}")
    except KeyboardInterrupt:
        return _complain(f"interrupted{_KEPT.get(verb, '')}", status=130)
    except RuntimeError as error:
        if type(error).__name__ != "DivergedError":
            raise
        return _complain(str(error), status=1)


def _complain(message: str, status: int = 2) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return status


def _usage() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {what}" for verb, what in VERBS.items()]
    return "\n".join(
        ["usage: adaptive-mi VERB [options]", "", "Multi-interest recommendation, honestly compared.", "", *lines, "",
         "adaptive-mi VERB --help tells a verb's options."]
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
