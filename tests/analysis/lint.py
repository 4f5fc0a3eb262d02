"""What is wrong with an AnalysisTemplate that Argo Rollouts would take, or refuse only in the middle of a release."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from tests.analysis.templates import Template, holds

if TYPE_CHECKING:
    from collections.abc import Iterator

# What charts/crm/templates/web/_rollout.tpl tells every analysis.
GIVEN = {"canary-hash", "stable-hash", "release-hash", "image", "weight"}
CONDITIONS = ("successCondition", "failureCondition")
MATCHING = re.compile(r"^\s*(?:(?:on|ignoring|group_left|group_right)\s*\([^()]*\)\s*)+")
ARGUMENT = re.compile(r"\{\{\s*args\.([\w-]+)\s*\}\}")


def defects(document: dict[str, Any]) -> list[str]:
    """Each defect in a sentence that says what to change; none for a template that is as it should be."""
    spec = document["spec"]
    each = [Template({**document, "spec": {**spec, "metrics": [metric]}}) for metric in spec["metrics"]]
    return [
        *_arguments(Template(document)),
        *(defect for template in each for defect in _of_metric(template)),
    ]


def _of_metric(template: Template) -> list[str]:
    missing = [condition for condition in CONDITIONS if not template.metric.get(condition)]
    if missing:
        # Argo Rollouts takes a metric without conditions for Successful, whatever it finds.
        return [f"{condition} is missing: say what is good and what is bad." for condition in missing]
    found = [*template.refusals(), *_counts(template)]
    if template.asks_prometheus:
        found += [*_divisions(template.query), *_conditions(template)]
    return found


def _arguments(template: Template) -> Iterator[str]:
    used = set(ARGUMENT.findall(str(template.document)))
    for name in sorted(used - template.args):
        yield f"The argument {name} is used and not declared: add it to spec.args."
    for name in sorted(template.args - used):
        yield f"The argument {name} is declared and not used: remove it from spec.args."
    for name in sorted(template.args - GIVEN):
        yield f"The argument {name} is given by nobody: use {', '.join(sorted(GIVEN))}."


def _counts(template: Template) -> Iterator[str]:
    metric = template.metric
    count, undecided = metric.get("count"), metric.get("inconclusiveLimit", 0)
    if template.is_watch:
        if count:
            yield "A watch lasts as long as the rollout: remove count."
    elif not count:
        yield "A gate without count runs for ever: set count."
    elif template.asks_prometheus and undecided != count - 1:
        yield f"inconclusiveLimit is {undecided}: set it to count - 1, so that the last look pauses for a person."


def _divisions(query: str) -> Iterator[str]:
    """A divisor has to be a number, or be compared, so that there is no answer where it would be 0."""
    text = re.sub(r"\{[^{}]*\}|\[[^\]]*\]|\"[^\"]*\"", "", ARGUMENT.sub("1", query))
    for division in re.finditer("/", text):
        divisor = _operand(MATCHING.sub("", text[division.end() :], count=1).lstrip())
        if not re.fullmatch(r"[\d.]+", divisor) and not re.search(r">=?\s*(?!bool|[=\s])", divisor):
            shown = " ".join(divisor.split())
            yield f"The division by `{shown}` is unguarded: let it be empty below a number, as in (… >= 50)."


def _operand(text: str) -> str:
    """The first operand of an expression: a number, a name, or everything up to a closing bracket."""
    name = re.match(r"[\w.:]*\s*", text)
    start = name.end() if name else 0
    if text[start : start + 1] != "(":
        return text[:start].strip()
    depth = 0
    for position, letter in enumerate(text[start:], start):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0:
            return text[: position + 1]
    return text


def _conditions(template: Template) -> Iterator[str]:
    metric = template.metric
    for condition in CONDITIONS:
        try:
            holds(metric[condition], [])
        except IndexError:
            yield f"{condition} does not guard an empty result: ask for len(result) first."
            return
    limits = [float(limit) for each in CONDITIONS for limit in re.findall(r"-?\d+\.\d+", metric[each])]
    values = [0.0, math.nan, *(limit + by for limit in limits for by in (-0.001, 0.0, 0.001))]
    answers: list[list[float]] = [[], *([value] for value in values)]
    for answer in answers:
        success, failure = (holds(metric[condition], answer) for condition in CONDITIONS)
        if success and failure:
            yield f"{answer} is a success and a failure: let the conditions exclude each other."
        if template.is_watch and not success and not failure:
            yield f"{answer} is Inconclusive, which pauses: let a watch succeed with whatever is no failure."
        unknown = answer == [] or math.isnan(answer[0])
        if unknown and failure:
            yield f"{answer} is a failure: not knowing is no proof."
        if unknown and success and not template.is_watch:
            yield f"{answer} is a success: a gate must not promote what it does not know."
