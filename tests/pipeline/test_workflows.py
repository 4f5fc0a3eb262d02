"""The workflows are the Makefile's targets on another machine, and nothing in them can be used against us."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = {path.name: path for path in sorted((ROOT / ".github/workflows").glob("*.yml"))}
ACTIONS = sorted((ROOT / ".github/actions").glob("*/action.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = {
    name: needed.split()
    for name, needed in re.findall(r"^([a-z0-9-]+):((?: [a-z0-9./-]+)*)", MAKEFILE, re.MULTILINE)
}
# The only words that a step may consist of: `sudo` for what installs, with the variables that it is to let through.
RUN = re.compile(r"(?:sudo (?:--preserve-env=[A-Z,]+ )?)?make ([a-z-]+)")
# A pinned action: the commit, and beside it the version that people and dependabot read.
PINNED = re.compile(r"uses: [\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+(\.\d+)*$")
OURS = re.compile(r"uses: \$/\.github/(actions|workflows)/[a-z/.-]+$")

CLOUD_ONLY = {
    "packages": "every target brings it about for itself",
    "integration": "unit runs these tests too, on the one PostgreSQL that is installed; the matrix has four",
    "image-check": "needs Docker; `make demo` builds the same file with buildah",
    "image": "needs Docker and a registry to push to",
    "sign": "needs an image in a registry; the drill `signed` calls it with a key of its own",
    "sbom": "needs an image in a registry; the drill `signed` calls it with a key of its own",
    "scanner": "only brings tools",
    "image-scan": "needs a vulnerability database, and an image",
    "check-scan": "needs an image that was scanned",
    "critical": "needs an image that was scanned",
    "current-image": "needs a release",
    "release": "needs an image, and changes an environment",
    "promote": "changes an environment",
    "verify": "needs an environment",
    "rollback": "changes an environment",
    "drills": "needs root for an hour and more; by hand it is the same target",
}
SCHEDULED = ("drills.yml", "rescan.yml")


def workflow(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(WORKFLOWS[name].read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506  # `on` stays a word
    return loaded


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in WORKFLOWS:
        for key, job in workflow(name)["jobs"].items():
            yield f"{name}: {key}", job


JOBS = dict(jobs())
OWN = {name: job for name, job in JOBS.items() if "uses" not in job}
each_job = pytest.mark.parametrize("name", JOBS)
each_own_job = pytest.mark.parametrize("name", OWN)
each_workflow = pytest.mark.parametrize("name", WORKFLOWS)


def runs() -> set[str]:
    """The targets that the workflows and the composite actions call."""
    steps = [step for job in OWN.values() for step in job["steps"]]
    for action in ACTIONS:
        steps += yaml.safe_load(action.read_text(encoding="utf-8"))["runs"]["steps"]
    lines = [step["run"] for step in steps if "run" in step]
    found = [RUN.fullmatch(line) for line in lines]
    assert [line for line, target in zip(lines, found, strict=True) if target is None] == []
    return {target[1] for target in found if target}


def needed(target: str) -> set[str]:
    """A target and all that it brings about."""
    return {target}.union(*(needed(each) for each in TARGETS.get(target, ()) if each in TARGETS))


def test_each_step_is_one_target_of_the_makefile() -> None:
    assert runs() <= set(TARGETS)


def test_what_runs_there_runs_here_too() -> None:
    assert runs() - needed("ci") == set(CLOUD_ONLY)


def test_what_runs_here_runs_there_too() -> None:
    stages = {"ci", "quality", "tests", "scan"}
    assert needed("ci") - stages <= runs()


def test_what_comes_from_outside_is_no_part_of_a_command() -> None:
    """A recipe reads it from its environment, in quotes: make would put the value itself into the shell's text."""
    recipes = "\n".join(line for line in MAKEFILE.splitlines() if line.startswith("\t"))
    given = "IMAGE|ENVIRONMENT|REASON|FROM|SOURCE|URL|PROMETHEUS|REPOSITORY|VERSION|SCAN_PUBLIC_KEY|GIT_TOKEN|BASE"
    assert re.findall(rf"(?<!\$)\$[({{](?:{given})[)}}]", recipes) == []
    assert re.findall(rf'(?<!["{{])\$\$(?:{given})\b', recipes) == []


@pytest.mark.parametrize("path", [*WORKFLOWS.values(), *ACTIONS], ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_commit(path: Path) -> None:
    lines = [line.strip().removeprefix("- ") for line in path.read_text(encoding="utf-8").splitlines()]
    used = [line for line in lines if line.startswith("uses:")]
    assert used
    assert [line for line in used if not PINNED.fullmatch(line) and not OURS.fullmatch(line)] == []


@each_workflow
def test_a_workflow_grants_nothing(name: str) -> None:
    assert workflow(name)["permissions"] == {}


@each_workflow
def test_two_runs_do_not_meet(name: str) -> None:
    concurrency = workflow(name)["concurrency"]
    assert concurrency["group"]
    assert "cancel-in-progress" in concurrency


@each_workflow
def test_every_right_has_its_reason(name: str) -> None:
    lines = WORKFLOWS[name].read_text(encoding="utf-8").splitlines()
    rights = [line for line in lines if re.match(r"\s+[a-z-]+: (read|write)\b", line)]
    assert rights
    assert [line for line in rights if not re.search(r" # \w", line)] == []


@each_own_job
def test_a_job_ends(name: str) -> None:
    assert int(OWN[name]["timeout-minutes"]) <= 350


@each_job
def test_a_job_says_what_it_may(name: str) -> None:
    assert JOBS[name]["permissions"]


@each_own_job
def test_secrets_are_in_environments_only(name: str) -> None:
    job = OWN[name]
    named = set(re.findall(r"secrets\.(\w+)", yaml.safe_dump(job))) - {"GITHUB_TOKEN"}
    assert not named or job.get("environment")


@each_job
def test_a_job_hands_no_secrets_on(name: str) -> None:
    assert "secrets" not in JOBS[name]


@each_own_job
def test_the_checkout_leaves_no_password_behind(name: str) -> None:
    checkouts = [step for step in OWN[name]["steps"] if step.get("uses", "").startswith("actions/checkout@")]
    assert [step["with"]["persist-credentials"] for step in checkouts] == ["false"]


@each_own_job
def test_a_way_to_git_is_only_where_a_commit_is_made(name: str) -> None:
    job = OWN[name]
    writes = job["permissions"].get("contents") == "write"
    commits = {"make release", "make promote", "make rollback"}
    assert writes == bool(commits & {step.get("run") for step in job["steps"]})


class TestPipeline:
    jobs = workflow("ci-cd-pipeline.yml")["jobs"]

    def before(self, job: str) -> set[str]:
        needs = self.jobs[job].get("needs", [])
        direct = {needs} if isinstance(needs, str) else set(needs)
        return direct.union(*(self.before(each) for each in direct))

    def test_nothing_reaches_an_environment_before_every_gate_and_the_environment_before(self) -> None:
        gates = set(self.jobs) - {"image", "dev", "staging", "production"}
        assert gates
        assert self.before("image") == gates
        assert self.before("production") == set(self.jobs) - {"production"}
        assert "staging" not in self.before("dev")

    def test_a_pull_request_ends_before_the_image(self) -> None:
        assert self.jobs["image"]["if"] == "github.event_name != 'pull_request'"

    def test_each_environment_is_asked_for_its_own_leave_and_verified(self) -> None:
        deploy = workflow("deploy.yml")["jobs"]["deploy"]
        assert deploy["environment"] == "${{ inputs.environment }}"
        assert deploy["steps"][-1]["run"] == "make verify"


@pytest.mark.parametrize("name", SCHEDULED)
def test_what_comes_every_day(name: str) -> None:
    (schedule,) = workflow(name)["on"]["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* \*", schedule["cron"])


def test_the_rescan_covers_every_environment_and_opens_a_rollback() -> None:
    job = workflow("rescan.yml")["jobs"]["environments"]
    assert job["strategy"]["matrix"]["environment"] == ["dev", "staging", "production"]
    rollback = workflow("rescan-environment.yml")["jobs"]["rollback"]
    assert rollback["uses"] == "$/.github/workflows/rollback.yml"
    assert rollback["if"] == "needs.scan.outputs.critical == 'true'"


def test_new_versions_wait_a_week() -> None:
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text(encoding="utf-8"))["updates"]
    assert {each["package-ecosystem"] for each in updates} == {"github-actions", "pip", "gomod", "docker"}
    assert [each for each in updates if each["cooldown"]["default-days"] < 7] == []
    folders = {folder for each in updates for folder in each["directories"]}
    assert [folder for folder in folders if not list(ROOT.parent.glob(f"{ROOT.name}{folder}"))] == []


def test_each_environment_has_its_owners() -> None:
    lines = (ROOT / ".github/CODEOWNERS").read_text(encoding="utf-8").splitlines()
    owned = dict(line.split() for line in lines if line and not line.startswith("#"))
    assert {f"/environments/{name}/" for name in ("dev", "staging", "production")} <= owned.keys()
    assert owned["/environments/production/"] == owned["/.github/"] != owned["/environments/dev/"]
    assert [path for path in owned if path != "*" and not (ROOT / path.strip("/")).exists()] == []


def test_actionlint_and_zizmor_find_nothing() -> None:
    done = subprocess.run(["make", "workflows"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_zizmor_is_told_no_exception() -> None:
    assert [path for name in ("zizmor.yml", "zizmor.yaml") for path in ROOT.glob(f"**/{name}")] == []
    texts = [path.read_text(encoding="utf-8") for path in [*WORKFLOWS.values(), *ACTIONS]]
    assert not [text for text in texts if "zizmor: ignore" in text]
