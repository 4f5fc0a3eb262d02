"""The four dashboards: what is wrong, where, since when; the most important first."""

from __future__ import annotations

from delivery.kubernetes.limits import VERDICT
from monitoring.objectives import AVAILABILITY, BURNS, LATENCY, LIMITS, Objective
from monitoring.panels import Dashboard, Panel, Query, Row

_HERE = 'namespace="crm-$environment"'
_USERS = f'{_HERE}, endpoint!~"health.*|metrics|probe"'
_HASH = "rollouts_pod_template_hash"
_BY_HASH = f"sum by ({_HASH})"
_RATE = "$__rate_interval"


def _share(bad: str, everything: str, by: str = "sum") -> str:
    """A share that is 0, and not missing, where nothing bad has happened yet."""
    return f"({by} ({bad}) or {by} ({everything}) * 0) / ({by} ({everything}) > 0)"


def _named(by_hash: str) -> str:
    """With the version's name, where the pods' hash tells one from the other."""
    names = f"max by ({_HASH}, version) (crm_build_info{{{_HERE}}})"
    return f"({by_hash}) * on ({_HASH}) group_left (version) {names}"


def _by_version(by_hash: str, more: str = "") -> tuple[Query, ...]:
    return (Query(_named(by_hash), f"{more}{{{{version}}}} ({{{{{_HASH}}}}})"),)


def _errors(by: str = "sum") -> str:
    requests = f"rate(django_requests_total{{{_USERS}}}[{_RATE}])"
    return _share(f'rate(django_requests_total{{{_USERS}, status=~"5.."}}[{_RATE}])', requests, by)


def _slow(by: str = "sum") -> str:
    count = f"{by} (rate(django_request_duration_seconds_count{{{_USERS}}}[{_RATE}]))"
    in_time = f'{by} (rate(django_request_duration_seconds_bucket{{{_USERS}, le="{VERDICT.slow}"}}[{_RATE}]))'
    return f"({count} - {in_time}) / ({count} > 0)"


def _by_endpoint(part: str) -> str:
    return f"sum by (endpoint) (rate(django_request_duration_seconds_{part}{{{_USERS}}}[{_RATE}]))"


def _burn(objective: Objective, limit: float) -> Panel:
    name = objective.name
    return Panel(
        f"{name.capitalize()}: burn of the budget",
        (
            Query(
                f'crm:slo_bad_share{{{_HERE}, slo="{name}", window=~"5m|1h|6h"}} / {objective.budget}',
                "{{window}}",
            ),
        ),
        "short",
        f"How many times faster than allowed; {limit:g} in 1h and 5m pages.",
        limit=limit,
        runbook=f"{name.capitalize()}BudgetBurn",
    )


def _rate_of(metric: str, window: str) -> str:
    return f"rate({metric}{{{_HERE}}}[{window}])"


def _evidence(analysis: str) -> tuple[Query, ...]:
    evidence = f'crm:verdict_evidence{{{_HERE}, question="{analysis}", window="total"}}'
    return _by_version(f"max by ({_HASH}) (clamp({evidence}, -10, 10))")


def _latency(quantile: float) -> str:
    buckets = f"sum by (le) (rate(django_request_duration_seconds_bucket{{{_USERS}}}[{_RATE}]))"
    return f"histogram_quantile({quantile}, {buckets})"


_ERRORS = Panel(
    "Requests that fail",
    (Query(_errors(), "5xx"),),
    "percentunit",
    "The share of the users' requests that is answered 5xx.",
    limit=VERDICT.limit,
    runbook="HighErrorRate",
)
_ERRORS_BY_VERSION = Panel(
    "Requests that fail, by version",
    _by_version(_errors(_BY_HASH)),
    "percentunit",
    "Whether it is the new version, which is taken back above the line, or all of them.",
    limit=VERDICT.limit,
    runbook="HighErrorRate",
)
_QUEUE_AGE = Panel(
    "Oldest waiting task",
    (Query(f"max(celery_queue_oldest_seconds{{{_HERE}}})", "oldest task"),),
    "s",
    "How late e-mails are.",
    limit=LIMITS.queue_seconds,
    runbook="QueueTooOld",
)

APPLICATION = Dashboard(
    "crm-application",
    "Application Overview",
    "Do users get answers, how fast, and which part does not?",
    (
        Row(
            "Users",
            (
                Panel(
                    "Requests",
                    (
                        Query(
                            f"sum by (status) (rate(django_requests_total{{{_USERS}}}[{_RATE}]))",
                            "{{status}}",
                        ),
                    ),
                    "reqps",
                    "What users ask, by the answer's status.",
                    kind="stack",
                ),
                _ERRORS,
                Panel(
                    "Time to an answer",
                    tuple(Query(_latency(share), f"p{100 * share:g}") for share in (0.5, 0.95, 0.99)),
                    "s",
                    "Half, 95 % and 99 % of the requests are faster.",
                    limit=VERDICT.slow,
                    runbook="LatencyBudgetBurn",
                ),
            ),
        ),
        Row(
            "Where",
            (
                Panel(
                    "Errors by endpoint",
                    (
                        Query(
                            f'sum by (endpoint) (rate(django_requests_total{{{_USERS}, status=~"5.."}}[{_RATE}]))',
                            "{{endpoint}}",
                        ),
                    ),
                    "reqps",
                    "Which part of the API fails.",
                    runbook="HighErrorRate",
                    may_be_empty=True,
                ),
                Panel(
                    "Slowest endpoints, mean",
                    (
                        Query(
                            f"topk(5, {_by_endpoint('sum')} / ({_by_endpoint('count')} > 0))",
                            "{{endpoint}}",
                        ),
                    ),
                    "s",
                    "Which part of the API is slow.",
                    limit=VERDICT.slow,
                    runbook="LatencyBudgetBurn",
                ),
                _ERRORS_BY_VERSION,
            ),
        ),
        Row(
            "Promises and tasks",
            (
                _burn(AVAILABILITY, BURNS[0].rate),
                _burn(LATENCY, BURNS[0].rate),
                Panel(
                    "Tasks",
                    (
                        Query(f"sum(rate(celery_tasks_started_total{{{_HERE}}}[{_RATE}]))", "begun"),
                        Query(f"sum(rate(celery_tasks_failed_total{{{_HERE}}}[{_RATE}]))", "failed"),
                    ),
                    "reqps",
                    "What the workers do, and what fails.",
                ),
                _QUEUE_AGE,
            ),
        ),
    ),
)

_PODS = f'{_HERE}, pod!=""'
_OF_COMPONENT = f'and on (namespace, pod) up{{{_HERE}, container=~"$component"}}'
INFRASTRUCTURE = Dashboard(
    "crm-infrastructure",
    "Infrastructure Health",
    "Do the pods have what they need, and do database, Redis, queue and scrapes work?",
    (
        Row(
            "Pods",
            (
                Panel(
                    "Pods that can be scraped",
                    (Query(f'sum by (container) (up{{{_HERE}, container=~"$component"}})', "{{container}}"),),
                    "short",
                    "How many of each role are there.",
                    runbook="ScrapeTargetDown",
                ),
                Panel(
                    "Processor",
                    (
                        Query(
                            f"max by (namespace, pod) (rate(container_cpu_usage_seconds_total{{{_PODS}}}[2m]))"
                            f" {_OF_COMPONENT}",
                            "{{pod}}",
                        ),
                    ),
                    "cores",
                    "Processors in use, by pod.",
                    runbook="HighCPUUsage",
                ),
                Panel(
                    "Memory, of its limit",
                    (
                        Query(
                            f"max by (namespace, pod) (container_memory_working_set_bytes{{{_PODS}}})"
                            f" / (max by (namespace, pod) (container_spec_memory_limit_bytes{{{_PODS}}}) > 0)"
                            f" {_OF_COMPONENT}",
                            "{{pod}}",
                        ),
                    ),
                    "percentunit",
                    "At 100 % the kernel ends the container.",
                    limit=LIMITS.memory,
                    runbook="HighMemoryUsage",
                ),
            ),
        ),
        Row(
            "Database and Redis",
            (
                Panel(
                    "Connections to the database",
                    (
                        Query(f"sum(db_pool_size{{{_HERE}}})", "open"),
                        Query(f"sum(db_pool_available{{{_HERE}}})", "free"),
                        Query(f"sum(db_pool_max{{{_HERE}}})", "most"),
                    ),
                    "short",
                    "The pools of all web pods.",
                    runbook="DatabasePoolExhausted",
                ),
                Panel(
                    "Time that requests wait for a connection",
                    (
                        Query(
                            f"sum(rate(db_pool_wait_seconds_total{{{_HERE}}}[2m]))"
                            f" / (sum(rate(django_request_duration_seconds_sum{{{_USERS}}}[2m])) > 0)",
                            "of their time",
                        ),
                    ),
                    "percentunit",
                    "The database or the pool is too small.",
                    limit=LIMITS.pool_waiting,
                    runbook="DatabasePoolExhausted",
                ),
                Panel(
                    "Cache: look-ups that find something",
                    (
                        Query(
                            f"sum({_rate_of('redis_cache_hits_total', '5m')})"
                            f" / (sum({_rate_of('redis_cache_hits_total', '5m')}"
                            f" + {_rate_of('redis_cache_misses_total', '5m')}) > 0)",
                            "found",
                        ),
                    ),
                    "percentunit",
                    "Redis keeps what it is given.",
                    limit=LIMITS.cache_hits,
                    too_little=True,
                    runbook="RedisHitRateLow",
                ),
            ),
        ),
        Row(
            "Queue, clock and cost of looking",
            (
                Panel(
                    "Waiting tasks",
                    (Query(f"max by (queue) (celery_queue_length{{{_HERE}}})", "{{queue}}"),),
                    "short",
                    "More come in than are done while this rises.",
                    limit=LIMITS.queue_length,
                    runbook="QueueTooLong",
                ),
                _QUEUE_AGE,
                Panel(
                    "Since beat last looked",
                    (Query(f"time() - max(celery_beat_last_tick_timestamp_seconds{{{_HERE}}})", "beat"),),
                    "s",
                    "The clock of the periodic tasks.",
                    limit=LIMITS.beat_seconds,
                    runbook="BeatSilent",
                ),
                Panel(
                    "Time of a scrape",
                    (
                        Query(
                            f'max by (container) (scrape_duration_seconds{{{_HERE}, container=~"$component"}})',
                            "{{container}}",
                        ),
                    ),
                    "s",
                    "What looking costs a pod.",
                    limit=LIMITS.scrape_seconds,
                ),
                Panel(
                    "Series of a pod",
                    (
                        Query(
                            f'max by (container) (scrape_samples_scraped{{{_HERE}, container=~"$component"}})',
                            "{{container}}",
                        ),
                    ),
                    "short",
                    "What a pod costs Prometheus.",
                    limit=LIMITS.scrape_series,
                ),
            ),
        ),
    ),
)


def _events(title: str, metric: str, about: str, by: str = "") -> Panel:
    grouped = f"sum by ({by})" if by else "sum"
    return Panel(
        title,
        (Query(f"{grouped} (rate({metric}{{{_HERE}}}[5m])) * 60", f"{{{{{by}}}}}" if by else "a minute"),),
        "short",
        about,
    )


def _per_request(count: str) -> str:
    window = "sum_over_time(crm:business_moment{" + _HERE + ', count="COUNT"}[5m])'
    event, requests = (f"{_BY_HASH} ({window.replace('COUNT', each)})" for each in (count, "requests"))
    return f"{event} / ({requests} > 0)"


BUSINESS = Dashboard(
    "crm-business",
    "Business Metrics",
    "What users achieve with the CRM, and whether a new version keeps it so.",
    (
        Row(
            "What users do",
            (
                _events("Registrations", "user_registrations_total", "New users, a minute."),
                _events("Sign-ins", "sign_ins_total", "Users who come, a minute."),
                _events("Deals created", "deals_created_total", "A minute, once they are committed."),
                _events("Deals won", "deal_conversions_total", "A minute, by pipeline.", "pipeline"),
            ),
        ),
        Row(
            "By version, a request",
            (
                Panel(
                    "Deals a request",
                    _by_version(_per_request("deals")),
                    "percentunit",
                    "Writes that are lost behind a 201 show here.",
                    runbook="RolloutAborted",
                ),
                Panel(
                    "Sign-ins a request",
                    _by_version(_per_request("sign-ins")),
                    "percentunit",
                    "A version in which nobody can sign in shows here.",
                    runbook="RolloutAborted",
                ),
                Panel(
                    "Won deals a request",
                    _by_version(_per_request("conversions")),
                    "percentunit",
                    "In an A/B test: whether the group beta wins as many.",
                    runbook="RolloutAborted",
                ),
                Panel(
                    "Evidence that less is kept",
                    _by_version(
                        f'max by (count, {_HASH}) (clamp(crm:business_evidence{{{_HERE}, window="10m"}}, -10, 10))',
                        "{{count}} ",
                    ),
                    "short",
                    "From the line on a version is proven to keep less than half of what all other pods keep.",
                    limit=VERDICT.proof,
                    runbook="RolloutAborted",
                ),
            ),
        ),
    ),
)

_ROLLOUT = f"rollout_info{{{_HERE}}} or rollout_info{{exported_{_HERE}}}"
_BADLY = 'phase=~"Failed|Inconclusive|Error"'
_OF_ENVIRONMENT = 'environment="$environment"'
DELIVERY = Dashboard(
    "crm-delivery",
    "Delivery",
    "Which versions users have, what is proven of them, and how well is delivered.",
    (
        Row(
            "The release on its way",
            (
                Panel(
                    "Share of the requests, by version",
                    _by_version(
                        f"{_BY_HASH} (rate(django_requests_total{{{_USERS}}}[15s]))"
                        f" / on () group_left () (sum(rate(django_requests_total{{{_USERS}}}[15s])) > 0)"
                    ),
                    "percentunit",
                    "The canary's weight, as measured.",
                    kind="stack",
                    runbook="RolloutStuck",
                ),
                Panel(
                    "Evidence, errors",
                    _evidence("error-rate"),
                    "short",
                    f"From {VERDICT.proof} on proven bad, from -{VERDICT.proof} down proven fine; cut off at ±10.",
                    limit=VERDICT.proof,
                    runbook="RolloutAborted",
                ),
                Panel(
                    "Evidence, latency",
                    _evidence("latency"),
                    "short",
                    f"From {VERDICT.proof} on proven bad, from -{VERDICT.proof} down proven fine; cut off at ±10.",
                    limit=VERDICT.proof,
                    runbook="RolloutAborted",
                ),
            ),
        ),
        Row(
            "Stable and canary side by side",
            (
                _ERRORS_BY_VERSION,
                Panel(
                    "Requests that are slow, by version",
                    _by_version(_slow(_BY_HASH)),
                    "percentunit",
                    f"Slower than {VERDICT.slow:g} s.",
                    limit=VERDICT.limit,
                    runbook="RolloutAborted",
                ),
                Panel(
                    "Analyses that failed",
                    (
                        Query(
                            f"sum by (metric, phase) (analysis_run_metric_phase{{{_HERE}, {_BADLY}}} == 1"
                            f" or analysis_run_metric_phase{{exported_{_HERE}, {_BADLY}}} == 1)",
                            "{{metric}} {{phase}}",
                        ),
                    ),
                    "short",
                    "In the analysis runs that are kept: metrics that failed, were undecided or could not be measured.",
                    runbook="RolloutAborted",
                    may_be_empty=True,
                ),
                Panel(
                    "State of the Rollout",
                    (Query(f"max by (phase) ({_ROLLOUT})", "{{phase}}"),),
                    "short",
                    "1 where it is so.",
                    kind="stack",
                    runbook="RolloutStuck",
                ),
            ),
        ),
        Row(
            "How well is delivered",
            (
                Panel(
                    "Releases a day",
                    (
                        Query(
                            f"round(sum(increase(delivery_deployments_total{{{_OF_ENVIRONMENT}}}[1d])))",
                            "releases",
                        ),
                    ),
                    "short",
                    "Releases and promotions of the last day.",
                    kind="number",
                ),
                Panel(
                    "Releases that failed",
                    (
                        Query(
                            f"sum(delivery_failed_deployments_total{{{_OF_ENVIRONMENT}}})"
                            f" / (sum(delivery_deployments_total{{{_OF_ENVIRONMENT}}}) > 0)",
                            "failed",
                        ),
                    ),
                    "percentunit",
                    "Of all; they were rolled back.",
                    kind="number",
                ),
                Panel(
                    "Time to restore",
                    (
                        Query(
                            f"sum(delivery_time_to_restore_seconds_sum{{{_OF_ENVIRONMENT}}})"
                            f" / (sum(delivery_time_to_restore_seconds_count{{{_OF_ENVIRONMENT}}}) > 0)",
                            "mean",
                        ),
                    ),
                    "s",
                    "How long a failed one was in Git.",
                    kind="number",
                    may_be_empty=True,
                ),
                Panel(
                    "Lead time",
                    (Query(f"max(delivery_lead_time_seconds{{{_OF_ENVIRONMENT}}})", "of what runs"),),
                    "s",
                    "From the commit to its full promotion.",
                    kind="number",
                    may_be_empty=True,
                ),
                Panel(
                    "Since the guard last looked",
                    (
                        Query(
                            f"time() - max(delivery_guard_last_look_timestamp_seconds{{{_OF_ENVIRONMENT}}})",
                            "guard",
                        ),
                    ),
                    "s",
                    "It puts Git back after an abort.",
                    limit=LIMITS.guard_seconds,
                    runbook="GuardSilent",
                ),
            ),
        ),
    ),
)

DASHBOARDS = (APPLICATION, INFRASTRUCTURE, BUSINESS, DELIVERY)
