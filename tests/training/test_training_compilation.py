"""Compiling is an offer: where it cannot be had training goes on as it is written."""

from __future__ import annotations

import shutil

import pytest
import torch

from baselines.config import LossConfig, ScoringConfig
from baselines.extractors.comirec import ComiRecSA
from baselines.interests import InterestExtractor, Interests
from baselines.recommender import Recommender
from experiments.training.compilation import compile_extractor


def make(extractor: InterestExtractor | None = None) -> Recommender:
    torch.manual_seed(0)
    scoring = ScoringConfig(width=8, max_history=5)
    return Recommender(20, extractor or ComiRecSA(8, 5, n_interests=2), scoring, LossConfig()).train()


def read(model: Recommender) -> Interests:
    of = torch.Generator().manual_seed(1)
    history, mask = torch.randn(6, 5, 8, generator=of), torch.arange(5) < torch.tensor([[5], [1], [2], [3], [4], [5]])
    found: Interests = model.extractor(history, mask)
    return found


def test_without_a_compiler_the_extractor_stays_as_it_is_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    said: list[str] = []
    model = make()
    before = read(model).vectors
    assert not compile_extractor(model, said.append)
    assert torch.equal(read(model).vectors, before)
    assert said == [
        "note: training.compile is left undone: there is no C++ compiler 'no-such-compiler' (CXX names another)."
    ]


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_what_torch_cannot_compile_stays_as_it_is_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    model, said = make(), []
    before, random = read(model).vectors, torch.get_rng_state()

    def cannot(*_: object, **__: object) -> object:
        def fail(*_: object) -> None:
            raise RuntimeError("of all things")

        return fail

    monkeypatch.setattr(torch, "compile", cannot)
    assert not compile_extractor(model, said.append)
    assert torch.equal(read(model).vectors, before)
    assert torch.equal(torch.get_rng_state(), random)
    assert said == ["note: training.compile is left undone: torch cannot compile ComiRecSA (RuntimeError)."]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_a_compiled_extractor_says_what_the_written_one_says() -> None:
    model = make()
    before, names = read(model).vectors, list(model.state_dict())
    assert compile_extractor(model)
    torch.testing.assert_close(read(model).vectors, before)
    assert list(model.state_dict()) == names
    assert all(p.grad is None for p in model.parameters())
