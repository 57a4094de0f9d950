"""Imported by the server that test processes are forked from: whatever is slow the first time is done here once.

One thread and no gradient, since a process that has had either cannot be forked.
"""

from __future__ import annotations

import contextlib
import io
import tempfile

import torch
from command_line import BRIEF, SMALL

import experiments.reporting.report
import experiments.studies.runner  # noqa: F401
from experiments.__main__ import main
from experiments.cli.arguments import parse_run
from experiments.data.loading import load_dataset
from experiments.evaluation.evaluator import evaluate
from experiments.runs import Workbench, prepare

torch.set_num_threads(1)
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
    main(["train", "--method=most_popular", *SMALL, f"--out={folder}/run"])
config, _, _ = parse_run("warm", ["--method=comirec_sa", *SMALL, *BRIEF], lambda _: ())
bench = Workbench.of(load_dataset(config.data))
evaluate(prepare(config, bench), bench.dataset.test, bench.context, config.evaluation)
