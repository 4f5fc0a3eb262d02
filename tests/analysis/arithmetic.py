"""The verdict's arithmetic once more, in Python, with the bets that the rules file itself names."""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from delivery.kubernetes import limits as compared
from delivery.kubernetes.limits import REGRESSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.kubernetes.limits import Stream

Counts = Any  # whole numbers: an int, or an array of them
Evidence = Any  # a float, or an array of them

LIMIT = 0.05  # more than 1 bad request in 20
HALF = 0.5  # less than half as many events as the others
EVENTS = 3  # deals, sign-ins, conversions


def rules_named(rules_text: str, record: str) -> Iterator[dict[str, Any]]:
    """The recording rules that write this series, in file order."""
    for group in yaml.safe_load(rules_text)["groups"]:
        yield from (rule for rule in group["rules"] if rule["record"] == record)


def numbers(expression: str) -> list[float]:
    """The plain numbers of an expression, without those in names and durations."""
    return [float(number) for number in re.findall(r"(?<![\w.\"])\d+(?:\.\d+)?(?![\w.\"])", expression)]


@dataclass(frozen=True)
class Bets:
    against: tuple[str, ...]  # λ, the bets that a version is bad, as the rules' labels write them
    in_favour: tuple[str, ...]  # μ, the bets that it is fine
    budget: int  # requests from which on the measured rate decides

    @classmethod
    def read_from(cls, rules_text: str) -> Bets:
        def of(record: str) -> tuple[str, ...]:
            return tuple(rule["labels"]["bet"] for rule in rules_named(rules_text, record))

        (measured,) = rules_named(rules_text, "crm:verdict_measured")
        return cls(of("crm:verdict_bet_bad"), of("crm:verdict_bet_fine"), int(numbers(measured["expr"])[-1]))

    def bet_bad(self, bet: str, n: Counts, s: Counts) -> Evidence:
        each_bad, each_good = math.log1p(float(bet) * (1 - LIMIT)), math.log1p(-float(bet) * LIMIT)
        return s * each_bad + (n - s) * each_good

    def bet_fine(self, bet: str, n: Counts, s: Counts) -> Evidence:
        each_bad, each_good = math.log1p(-float(bet) * (1 - LIMIT)), math.log1p(float(bet) * LIMIT)
        return s * each_bad + (n - s) * each_good

    def proof_bad(self, n: Counts, s: Counts) -> Evidence:
        best = functools.reduce(np.maximum, (self.bet_bad(bet, n, s) for bet in self.against))
        return best - math.log(len(self.against))

    def proof_fine(self, n: Counts, s: Counts) -> Evidence:
        best = functools.reduce(np.maximum, (self.bet_fine(bet, n, s) for bet in self.in_favour))
        return best - math.log(len(self.in_favour))

    def evidence(self, n: Counts, s: Counts) -> Evidence:
        """By the bets alone: as in the windows, and in total below the budget."""
        return np.maximum(self.proof_bad(n, s), 0.0) - np.maximum(self.proof_fine(n, s), 0.0)

    def total(self, n: int, s: int) -> float:
        if n >= self.budget:
            return 100.0 if s > LIMIT * n else -100.0
        return float(self.evidence(n, s))


@dataclass(frozen=True)
class Odds:
    """The bets that a version's requests lead to fewer events than the others' do."""

    rates: tuple[str, ...]  # r, as the rules' labels write them: the version's rate as a share of theirs

    @classmethod
    def read_from(cls, rules_text: str) -> Odds:
        return cls(tuple(rule["labels"]["bet"] for rule in rules_named(rules_text, "crm:business_bet")))

    @property
    def price(self) -> float:
        return math.log(len(self.rates) * EVENTS)

    def bet(self, rate: str, n: Counts, o: Counts, own: Counts, others: Counts) -> Evidence:
        """Of one moment: requests and events of the version and of all others."""
        r = float(rate)
        return (own + others) * np.log((HALF * n + o) / (r * n + o)) + own * math.log(r / HALF)

    def evidence(self, n: Counts, o: Counts, own: Counts, others: Counts) -> Evidence:
        """After each of many moments (along the last axis), since the first of them."""
        bets = (np.cumsum(self.bet(rate, n, o, own, others), axis=-1) for rate in self.rates)
        return functools.reduce(np.maximum, bets) - self.price


@dataclass(frozen=True)
class Comparison:
    """The bets that a version's events are more of its requests than the others' are, or fewer of what is fast."""

    stream: Stream
    pooled: bool

    @property
    def bets(self) -> compared.Bets:
        return REGRESSION.bets[self.stream.side]

    @property
    def price(self) -> float:
        return REGRESSION.price(self.stream, pooled=self.pooled)

    def bet(self, rate: str, n: Counts, o: Counts, own: Counts, others: Counts) -> Evidence:
        """Of one moment: requests and events of the version and of all others."""
        r, ratio = float(rate), self.bets.ratio
        return own * math.log(r / ratio) + (own + others) * np.log((ratio * n + o) / (r * n + o))

    def evidence(
        self,
        n: Counts,
        o: Counts,
        own: Counts,
        others: Counts,
        *,
        asked: tuple[Counts, Counts] | None = None,
    ) -> Evidence:
        """After each of many moments (along the last axis), since the first of them; -inf where it does not matter.

        `asked`: all requests of the version and of all others, where n and o are those of one endpoint.
        """
        all_n, all_o = asked or (n, o)
        both = (all_n > 0) & (all_o > 0)
        n, o, own, others = (np.where(both, each, 0) for each in (n, o, own, others))
        all_n, all_o = (np.where(both, each, 1) for each in (all_n, all_o))
        added = (self.bet(rate, all_n, all_o, own, others) for rate in self.bets.rates)
        best = functools.reduce(np.maximum, (np.cumsum(each, axis=-1) for each in added))
        n, o, own, others = (np.cumsum(each, axis=-1) for each in (n, o, own, others))
        more = own / np.maximum(n, 1) - others / np.maximum(o, 1)
        less = self.stream.side == "less"
        matters = (-more if less else more) >= self.stream.floor
        return np.where(matters & (less | (own >= REGRESSION.least)), best - self.price, -np.inf)
