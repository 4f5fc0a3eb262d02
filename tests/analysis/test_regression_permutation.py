"""Of good releases that were played, with the requests of both versions exchanged at random, hardly one is aborted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pytest

from delivery.kubernetes.limits import VERDICT, Stream
from tests.analysis.arithmetic import Comparison
from tests.analysis.recording import Recording, recordings, streams

PERMUTATIONS = 10_000
_AT_ONCE = 1_000
Events = dict[
    tuple[str, str], tuple[Any, Any]
]  # of each stream and place: own and all, by permutation and moment
RECORDINGS = dict(recordings())


@dataclass(frozen=True)
class Exchanged:
    """Each array by permutation and moment; where nothing is exchanged there is one permutation."""

    requests: dict[
        tuple[str, str], tuple[Any, Any]
    ]  # of each exposure and place: the new version's, and the other's
    events: dict[tuple[str, str], tuple[Any, Any]]  # of each stream and place, likewise


def permuted(recording: Recording, random: np.random.Generator | None, times: int) -> Exchanged:
    """Each moment's requests, given to the versions at random; as they were where there is no `random`."""
    result = Exchanged({}, {})
    for exposed, some in groupby(
        sorted(streams(), key=lambda each: each.exposed), key=lambda each: each.exposed
    ):
        kinds = list(some)
        asked = {
            place: [recording.of(version, place, kinds[0])[0] for version in ("new", "old")]
            for place in recording.places
        }
        every = np.array([sum(each) for each in asked.values()])  # by place and moment
        new = np.array([each[0] for each in asked.values()])[:, np.newaxis]
        if random:
            new = np.stack(
                [
                    random.multivariate_hypergeometric(
                        every[:, moment], int(new[:, 0, moment].sum()), times
                    ).T
                    for moment in range(every.shape[1])
                ],
                axis=-1,
            )
        for index, place in enumerate(asked):
            result.requests[exposed, place] = new[index], every[index] - new[index]
            _give(result, recording, place, kinds, random)
    return result


def _give(
    result: Exchanged,
    recording: Recording,
    place: str,
    kinds: list[Stream],
    random: np.random.Generator | None,
) -> None:
    """The bad ones of a place: those slower than an edge are among those slower than the one before."""
    for kind, found in groupby(kinds, key=lambda each: each.name.partition("-")[0]):
        some = list(found)
        n, o = result.requests[kinds[0].exposed, place]
        mine, had = n, n + o
        for stream in some[:: -1 if kind == "fast" else 1]:
            own, others = (recording.of(version, place, stream)[1] for version in ("new", "old"))
            every = np.broadcast_to(own + others, n.shape)
            if random:
                drawn = random.hypergeometric(every, had - every, mine) if every.any() else np.zeros_like(n)
            else:
                drawn = own[np.newaxis]
            result.events[stream.name, place] = drawn, every - drawn
            if kind in ("slow", "fast"):
                mine, had = drawn, every


def evidence(exchanged: Exchanged) -> Iterator[tuple[Stream, str, Any]]:
    """The evidence of each stream, at each place and pooled, by permutation and moment."""
    for stream in streams():
        places = [place for name, place in exchanged.events if name == stream.name]
        requests = [exchanged.requests[stream.exposed, place] for place in places]
        events = [exchanged.events[stream.name, place] for place in places]
        n, o = (sum(each[side] for each in requests) for side in (0, 1))
        for place, of_place, bad in zip(places, requests, events, strict=True):
            if stream.each and (bad[0] + bad[1]).any():
                found = Comparison(stream, pooled=False).evidence(*of_place, *bad, asked=(n, o))
                yield stream, place, found
        if stream.pooled:
            own, others = (sum(each[side] for each in events) for side in (0, 1))
            yield stream, "all", Comparison(stream, pooled=True).evidence(n, o, own, others)


@pytest.mark.parametrize("name", RECORDINGS)
def test_no_good_release_that_was_played_is_accused(name: str) -> None:
    recording = RECORDINGS[name]
    for stream, place, found in evidence(permuted(recording, None, 1)):
        assert found.max() < VERDICT.proof, (stream.name, place)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDINGS)
def test_of_versions_that_are_exchanged_at_random_at_most_1_in_100_is_aborted(name: str) -> None:
    recording, random = RECORDINGS[name], np.random.default_rng(1)
    aborted = 0
    for _ in range(PERMUTATIONS // _AT_ONCE):
        accused = np.zeros(_AT_ONCE, bool)
        for _, _, found in evidence(permuted(recording, random, _AT_ONCE)):
            accused |= (found >= VERDICT.proof).any(axis=1)
        aborted += int(accused.sum())
    assert aborted <= PERMUTATIONS / 100


def test_the_permutation_finds_what_is_worse() -> None:
    """Of failures that are all the new version's, the recorded order is proven, and an exchanged one is not."""
    recording = next(iter(RECORDINGS.values()))
    place = recording.places[0]
    counts = {version: {place: dict(places[place])} for version, places in recording.counts.items()}
    counts["new"][place]["500"], counts["new"][place]["200"] = (
        counts["new"][place]["200"],
        [0] * len(counts["new"][place]["200"]),
    )
    broken = Recording(counts)
    (found,) = (
        found
        for stream, at, found in evidence(permuted(broken, None, 1))
        if (stream.name, at) == ("errors", "all")
    )
    assert found.max() >= VERDICT.proof
    exchanged = permuted(broken, np.random.default_rng(1), 50)
    (found,) = (found for stream, at, found in evidence(exchanged) if (stream.name, at) == ("errors", "all"))
    assert found.max() < VERDICT.proof
