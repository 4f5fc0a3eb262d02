"""Of good releases that were played, with the requests of both versions exchanged at random, hardly one is aborted."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
import pytest

from delivery.kubernetes.limits import REGRESSION, VERDICT, Stream
from tests.analysis.arithmetic import Comparison
from tests.analysis.recording import Recording, recordings, streams

PERMUTATIONS = 10_000
_AT_ONCE = 1_000
Events = dict[
    tuple[str, str], tuple[Any, Any]
]  # of each stream and place: own and all, by permutation and moment
RECORDINGS = dict(recordings())


def permuted(recording: Recording, random: np.random.Generator | None, times: int) -> Events:
    """Each moment's bad requests, given to its requests at random; as they were where there is no `random`."""
    events: Events = {}
    kinds = groupby(streams(), key=lambda each: each.name.partition("-")[0])
    for kind, some in ((kind, list(found)) for kind, found in kinds):
        for place in recording.places:
            # What is slower than an edge is slower than those before it: drawn from those.
            drawn: Any = None
            for stream in some if kind != "fast" else some[::-1]:
                (n, own), (o, others) = (recording.of(version, place, stream) for version in ("new", "old"))
                every = own + others
                if random is None:
                    events[stream.name, place] = own[np.newaxis], every
                    continue
                if kind in ("slow", "fast") and drawn is not None:
                    before, had = drawn
                    mine = random.hypergeometric(every, had - every, before) if every.any() else 0 * before
                else:
                    shape = (times, len(every))
                    mine = (
                        random.hypergeometric(every, n + o - every, n, shape)
                        if every.any()
                        else np.zeros(shape, int)
                    )
                drawn = mine, every
                events[stream.name, place] = mine, every
    return events


def evidence(recording: Recording, events: Events) -> Iterator[tuple[Stream, str, Any]]:
    """The evidence of each stream, at each place and pooled, by permutation and moment."""
    for stream in streams():
        requests = {
            place: [recording.of(version, place, stream)[0] for version in ("new", "old")]
            for place in recording.places
        }
        for place, (n, o) in requests.items():
            own, every = events[stream.name, place]
            if stream.each and every.any():
                yield stream, place, Comparison(stream, pooled=False).evidence(*_whole(own, n, o, every))
        if stream.pooled:
            n, o = (sum(each[version] for each in requests.values()) for version in (0, 1))
            own, every = (sum(events[stream.name, place][part] for place in requests) for part in (0, 1))
            yield stream, "all", Comparison(stream, pooled=True).evidence(*_whole(own, n, o, every))


def _whole(own: Any, n: Any, o: Any, every: Any) -> tuple[Any, Any, Any, Any]:
    n, o, every = (np.broadcast_to(each, own.shape) for each in (n, o, every))
    return n, o, own, every - own


@pytest.mark.parametrize("name", RECORDINGS)
def test_no_good_release_that_was_played_is_accused(name: str) -> None:
    recording = RECORDINGS[name]
    for stream, place, found in evidence(recording, permuted(recording, None, 1)):
        assert found.max() < VERDICT.proof, (stream.name, place)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDINGS)
def test_of_versions_that_are_exchanged_at_random_at_most_1_in_100_is_aborted(name: str) -> None:
    recording, random = RECORDINGS[name], np.random.default_rng(1)
    aborted = 0
    for _ in range(PERMUTATIONS // _AT_ONCE):
        accused = np.zeros(_AT_ONCE, bool)
        for _, _, found in evidence(recording, permuted(recording, random, _AT_ONCE)):
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
        for stream, at, found in evidence(broken, permuted(broken, None, 1))
        if (stream.name, at) == ("errors", "all")
    )
    assert found.max() >= VERDICT.proof
    exchanged = permuted(broken, np.random.default_rng(1), 50)
    (found,) = (
        found for stream, at, found in evidence(broken, exchanged) if (stream.name, at) == ("errors", "all")
    )
    assert found.max() < VERDICT.proof
    assert REGRESSION.find("errors").pooled == 0.5
