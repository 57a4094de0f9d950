"""torch.compile around the extractor, where a compiler is at hand and the extractor can be compiled."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable

import torch

from baselines.extractors.causal import CausalExtractor
from baselines.recommender import Recommender


def compile_extractor(model: Recommender, tell: Callable[[str], None] | None = None) -> bool:
    """Let torch compile the extractor's forward and backward pass, in place; return whether it will.

    Parameters and their names stay as they are, and histories of every length share a compilation. Where there is no
    C++ compiler, or torch cannot compile this extractor, it is left as it was written, and `tell` hears why: results
    are the same but for rounding.
    """
    say = tell or (lambda line: print(line, file=sys.stderr))
    extractor = model.extractor
    device = next(model.parameters()).device
    compiler = os.environ.get("CXX", "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:  # a GPU's kernels come from Triton, which torch brings
        say(f"note: training.compile is left undone: there is no C++ compiler '{compiler}' (CXX names another).")
        return False
    written = "states" if isinstance(extractor, CausalExtractor) else "forward"  # what training calls
    setattr(extractor, written, torch.compile(getattr(extractor, written), dynamic=True))
    try:
        with torch.random.fork_rng():
            for B, L in ((3, 2), (4, 3)):  # two sizes, so that the general code is tried too
                history = torch.randn(B, L, model.scoring.width, device=device, requires_grad=True)
                found = extractor(history, torch.ones(B, L, dtype=torch.bool, device=device))
                found.vectors.square().sum().backward()
    except Exception as error:  # whatever the compiler's many layers raise, the way out is the same
        delattr(extractor, written)
        name = type(extractor).__name__
        say(f"note: training.compile is left undone: torch cannot compile {name} ({type(error).__name__}).")
        return False
    finally:
        model.zero_grad(set_to_none=True)
    return True
