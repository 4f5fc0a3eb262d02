"""An AnalysisTemplate as Argo Rollouts v1.10.2 reads it: its arguments, its one metric, its conditions."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Any

# The conditions keep to what means the same in expr-lang and in Python once `&&`, `||`, `!` are translated:
# comparisons of numbers, len(), result[0], short-circuit `and` and `or`. Everything else is refused here, so
# that nobody trusts this for more.
ALLOWED = (
    ast.Expression,
    ast.BoolOp,
    ast.And,
    ast.Or,
    ast.UnaryOp,
    ast.Not,
    ast.USub,
    ast.Compare,
    ast.Gt,
    ast.GtE,
    ast.Lt,
    ast.LtE,
    ast.Eq,
    ast.NotEq,
    ast.Call,
    ast.Name,
    ast.Subscript,
    ast.Constant,
    ast.Load,
)


def holds(condition: str, result: list[float]) -> bool:
    """Evaluate a condition as Argo Rollouts does. An index out of range raises, which there is an Error."""
    translated = condition.replace("&&", " and ").replace("||", " or ")
    translated = re.sub(r"!(?!=)", " not ", translated)
    tree = ast.parse(translated.strip(), mode="eval")
    for node in ast.walk(tree):
        assert isinstance(node, ALLOWED), (
            f"{type(node).__name__} in `{condition}` may mean something else in expr-lang"
        )
    names = {"__builtins__": {}, "len": len, "result": result, "true": True, "false": False}
    return bool(eval(compile(tree, "condition", "eval"), names))  # noqa: S307 - our own file, names and syntax checked


@dataclass(frozen=True)
class Template:
    document: dict[str, Any]

    @property
    def args(self) -> set[str]:
        return {arg["name"] for arg in self.document["spec"].get("args", [])}

    @property
    def is_watch(self) -> bool:
        """Whether it goes on in the background, instead of ending a step."""
        return str(self.document["metadata"]["name"]).endswith("-watch")

    @property
    def metric(self) -> dict[str, Any]:
        (metric,) = self.document["spec"]["metrics"]
        assert isinstance(metric, dict)
        return metric

    @property
    def asks_prometheus(self) -> bool:
        return "prometheus" in self.metric["provider"]

    @property
    def query(self) -> str:
        return str(self.metric["provider"]["prometheus"]["query"])

    def query_for(self, canary: str, stable: str, release: str = "") -> str:
        query = self.query.replace("{{args.canary-hash}}", canary).replace("{{args.stable-hash}}", stable)
        return query.replace("{{args.release-hash}}", release)

    @property
    def limit_bad(self) -> float:
        return self._limit("failureCondition", r"result\[0\] >= (\d+\.\d+)$")

    @property
    def limit_fine(self) -> float:
        return self._limit("successCondition", r"result\[0\] <= (-\d+\.\d+)$")

    @property
    def limit_watched(self) -> float:
        return self._limit("successCondition", r"!\(result\[0\] >= (\d+\.\d+)\)$")

    @property
    def limits_in_query(self) -> list[float]:
        return [float(number) for number in re.findall(r"(?:>=|<) (\d+\.\d+)", self.query)]

    def _limit(self, condition: str, pattern: str) -> float:
        found = re.search(pattern, self.metric[condition])
        assert found, f"no limit in {condition}: {self.metric[condition]}"
        return float(found[1])

    def phase(self, result: list[float]) -> str:
        """The phase of one measurement."""
        success = holds(self.metric["successCondition"], result)
        failure = holds(self.metric["failureCondition"], result)
        return "Failed" if failure else "Successful" if success else "Inconclusive"

    def refusals(self) -> list[str]:
        """What Argo Rollouts v1.10.2 would refuse (utils/analysis/factory.go, ValidateMetric)."""
        metric = self.metric
        count, failures = metric.get("count", 0), metric.get("failureLimit", 0)
        inconclusive, successes = metric.get("inconclusiveLimit", 0), metric.get("consecutiveSuccessLimit", 0)
        checks = {
            "consecutiveSuccessLimit must be >= 0": successes >= 0,
            "failureLimit must be >= -1": failures >= -1,
            "failureLimit and consecutiveSuccessLimit cannot both be disabled": successes or failures != -1,
            "inconclusiveLimit must be >= 0": inconclusive >= 0,
            "consecutiveErrorLimit must be >= 0": metric.get("consecutiveErrorLimit", 4) >= 0,
            "count must be >= failureLimit + consecutiveSuccessLimit": not count
            or count >= max(failures, 0) + successes,
            "count must be >= inconclusiveLimit": not count or count >= inconclusive,
            "interval must be specified when count > 1": count <= 1 or metric.get("interval"),
            "exactly one provider": len(metric["provider"]) == 1,
        }
        return [rule for rule, kept in checks.items() if not kept]
