"""Ranks against a loop over all pairs, and what guessing comes to."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from train.downstream import retrieval
from train.downstream.retrieval import VideoRetrieval, ranks


def by_loop(sounds: torch.Tensor, videos: torch.Tensor) -> list[int]:
    found = []
    for i, sound in enumerate(sounds.tolist()):
        scores = [sum(a * b for a, b in zip(sound, video, strict=True)) for video in videos.tolist()]
        before = sum(score > scores[i] for score in scores)
        equal = sum(score == scores[i] for score in scores) - 1
        found.append(1 + before + equal // 2)
    return found


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 12), st.integers(0, 10**6), st.integers(1, 5))
def test_ranks_are_what_a_loop_says_with_ties(count, seed, block):
    draw = torch.Generator().manual_seed(seed)
    sounds, videos = (torch.randint(-1, 2, (count, 3), generator=draw).float() for _ in range(2))  # exact, and full of ties
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "BLOCK", block)
        assert ranks(sounds, videos).tolist() == by_loop(sounds, videos)


def figures(sounds: torch.Tensor, videos: torch.Tensor) -> dict[str, float]:
    return VideoRetrieval.figures(None, {"sounds": sounds, "videos": videos})


def test_perfect_is_a_hundred_percent_and_rank_one():
    one = torch.eye(40)
    assert figures(one, one) == {"recall_at_10": 100, "recall_at_5": 100, "recall_at_1": 100, "median_rank": 1, "gallery": 40}


def test_a_constant_ranks_in_the_middle():
    one = torch.zeros(41, 3)
    assert figures(one, one) == {"recall_at_10": 0, "recall_at_5": 0, "recall_at_1": 0, "median_rank": 21, "gallery": 41}


def test_guessing_comes_to_what_chance_says():
    draw = torch.Generator().manual_seed(0)
    sounds, videos = (torch.randn(2000, 8, generator=draw) for _ in range(2))
    found = figures(sounds, videos)
    assert abs(found["recall_at_10"] - 0.5) < 0.6  # 10 of 2000, ± four standard deviations
    assert abs(found["median_rank"] - 1000) < 60


def test_the_median_of_an_even_number_lies_between():
    sounds, videos = torch.tensor([[1.0], [1.0]]), torch.tensor([[1.0], [2.0]])
    assert figures(sounds, videos)["median_rank"] == 1.5
