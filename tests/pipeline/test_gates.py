"""Each gate of the pipeline refuses the commit that it is there for.

Those of a release's p95, error rate and vulnerabilities: delivery/cli/tests/test_{verify,check_scan}.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from monitoring import generated as made
from pipeline import audit, chart_readme, generated, migrations
from pipeline.errors import Refuses

ROOT = Path(__file__).resolve().parents[2]
Done = subprocess.CompletedProcess[str]


def run(*command: str, cwd: Path, **environment: str) -> Done:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("COV_", "GIT_", "DB_"))
    }
    return subprocess.run(
        command, cwd=cwd, env=inherited | environment, capture_output=True, text=True, check=False
    )


class Checkout:
    """A repository of a few files, checked by the project's own Makefile, scanners and rules."""

    def __init__(self, path: Path) -> None:
        self.path = path
        run("git", "init", "--quiet", cwd=path)
        for name in (".venv", "Makefile", "requirements", "policies", "pyproject.toml"):
            (path / name).symlink_to(ROOT / name)

    def add(self, name: str, text: str) -> None:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        run("git", "add", name, cwd=self.path)

    def make(self, target: str) -> Done:
        return run("make", target, cwd=self.path)


@pytest.fixture(scope="module")
def scanners() -> None:
    """Installed where they stay: their programs name the folder in which they were installed."""
    assert run("make", ".venv/scan/complete", cwd=ROOT).returncode == 0


@pytest.fixture
def checkout(tmp_path: Path, scanners: None) -> Checkout:
    return Checkout(tmp_path)


# Quality


def test_a_secret_in_git_is_refused(checkout: Checkout) -> None:
    checkout.add("settings.py", "TIMEOUT = 5\n")
    assert checkout.make("secrets").returncode == 0
    checkout.add("deploy.pem", "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow\n")
    checkout.add("push.sh", "git push https://ada:" + "letmein42@git.example.com/crm.git\n")
    refused = checkout.make("secrets")
    assert refused.returncode != 0
    assert "deploy.pem" in refused.stdout
    assert "push.sh" in refused.stdout


def test_there_is_none_in_this_repository(scanners: None) -> None:
    found = run("make", "--silent", "secrets", cwd=ROOT)
    assert found.returncode == 0, found.stdout


def test_stale_generated_files_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generated.main() == 0
    monkeypatch.setattr(made, "files", lambda: {made.REPOSITORY / "README.md": "another text"})
    monkeypatch.setattr(chart_readme, "text", lambda: "other values")
    assert generated.main() == 1
    said = "README.md, charts/crm/README.md would be made otherwise now: run make generated"
    assert said in capsys.readouterr().err


def test_without_helm_docs_a_check_says_how_it_comes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert generated.main() == 1
    assert "there is no helm-docs: run python -m cluster tools helm-docs" in capsys.readouterr().err


def test_the_charts_readme_has_every_value_with_its_default() -> None:
    listed = dict(re.findall(r"^\| ([\w.-]+) \| \w+ \| (.+?) \| ", chart_readme.text(), re.MULTILINE))
    assert (listed["environment"], listed["web.replicas"], listed["alerts.timeScale"]) == (
        '`"dev"`',
        "`nil`",
        "`nil`",
    )
    assert "database.secretKeys.uri" in listed


def test_code_that_a_security_lint_knows_is_refused(checkout: Checkout) -> None:
    for folder in ("app", "delivery", "drills", "cluster", "monitoring", "pipeline"):
        checkout.add(f"{folder}/fine.py", "TIMEOUT = 5\n")
    assert checkout.make("bandit").returncode == 0
    checkout.add(
        "app/keys.py",
        "import hashlib\n\n\ndef key(word: bytes) -> str:\n    return hashlib.md5(word).hexdigest()\n",
    )
    refused = checkout.make("bandit")
    assert refused.returncode != 0
    assert "app/keys.py:5" in refused.stdout


class TestAudit:
    fine = {"name": "django", "version": "5.2", "vulns": []}
    bad = {"name": "redis", "version": "1.0", "vulns": [{"id": "PYSEC-2026-1"}]}
    unknown = {"name": "kombu", "skip_reason": "Dependency not found"}

    def test_a_known_vulnerability_is_refused(self) -> None:
        with pytest.raises(
            Refuses, match=r"^Vulnerabilities are known of redis 1.0 \(PYSEC-2026-1\): take newer"
        ):
            audit.judged([self.fine, self.bad], in_ci=False)

    def test_what_was_not_checked_is_said_and_refused_in_ci(self) -> None:
        said = audit.judged([self.fine, self.unknown], in_ci=False)
        assert said.startswith("NOT CHECKED: the package index tells no vulnerabilities of 1 of 2 packages")
        with pytest.raises(Refuses, match="NOT CHECKED"):
            audit.judged([self.fine, self.unknown], in_ci=True)

    def test_all_checked_and_nothing_found(self) -> None:
        assert audit.judged([self.fine], in_ci=True) == "no vulnerability is known of 1 packages."

    def test_a_lock_that_cannot_be_read_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(ROOT)
        assert audit.main([str(tmp_path / "none.txt")]) == 1
        assert capsys.readouterr().err.startswith("audit: pip-audit could not look at ")


# Tests


def test_too_little_coverage_is_refused(tmp_path: Path) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["coverage"]
    assert settings["report"]["fail_under"] >= 80
    module = tmp_path / "app" / "half.py"
    module.parent.mkdir()
    module.write_text("import sys\n\nif len(sys.argv) > 5:\n    a = 1\n    b = 2\n    c = 3\n")
    (tmp_path / "pyproject.toml").symlink_to(ROOT / "pyproject.toml")
    coverage = (sys.executable, "-m", "coverage")
    assert run(*coverage, "run", "app/half.py", cwd=tmp_path).returncode == 0
    refused = run(*coverage, "report", cwd=tmp_path)
    assert (refused.returncode, "half.py" in refused.stdout) == (2, True), refused.stdout + refused.stderr


class TestMigrations:
    """On a clone of this checkout, hence of what is committed here."""

    @pytest.fixture
    def clone(self, tmp_path: Path) -> Path:
        assert run("git", "clone", "--quiet", "--shared", str(ROOT), "clone", cwd=tmp_path).returncode == 0
        return tmp_path / "clone"

    def commit(self, clone: Path, operation: str) -> None:
        text = (
            "from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n"
            f'    dependencies = [("companies", "0001_initial")]\n    operations = [{operation}]\n'
        )
        (clone / "app/crm/companies/migrations/0002_change.py").write_text(text, encoding="utf-8")
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        run("git", "add", "--all", cwd=clone)
        assert run("git", *who, "commit", "--quiet", "--message", "change", cwd=clone).returncode == 0

    def check(self, clone: Path) -> None:
        # The second needs a database beside the one that has the new schema.
        files = ("app/crm/records/tests/test_who_may_what.py", "app/crm/schema/tests/test_migrate_schema.py")
        some = (*files, "-k", "companies or two_at_once")
        migrations.check(migrations.base_of("HEAD~1", clone), some, clone)

    def test_one_that_takes_away_what_the_base_uses_is_refused(self, clone: Path) -> None:
        self.commit(clone, 'migrations.RemoveField("company", "website")')
        with pytest.raises(Refuses, match="does not work on the new schema: keep what it uses"):
            self.check(clone)

    def test_one_that_only_adds_passes(self, clone: Path) -> None:
        self.commit(clone, 'migrations.AddField("company", "branch", models.TextField(null=True))')
        self.check(clone)

    def test_one_that_cannot_be_applied_is_refused(self, clone: Path) -> None:
        self.commit(clone, 'migrations.RemoveField("company", "no_such_field")')
        with pytest.raises(Refuses, match=r"^The migrations of this commit cannot be applied"):
            self.check(clone)

    def test_the_command_refuses_in_one_sentence(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("BASE", "deadbeef")
        assert migrations.main([]) == 1
        assert capsys.readouterr().err.count("\n") == 1

    def test_the_base_is_the_commit_before(self, clone: Path) -> None:
        self.commit(clone, "")
        before = run("git", "rev-parse", "HEAD~1", cwd=clone).stdout.strip()
        run("git", "update-ref", "-d", "refs/remotes/origin/main", cwd=clone)
        assert migrations.base_of("", clone) == migrations.base_of("0" * 40, clone) == before
        assert migrations.base_of("HEAD~1", clone) == before
        with pytest.raises(Refuses, match="BASE names deadbeef, which is no commit"):
            migrations.base_of("deadbeef", clone)


# Scanning


def test_every_rule_of_ours_refuses_what_it_is_about(checkout: Checkout) -> None:
    bad = {
        "migration-takes-away": "migrations.RemoveField('deal', 'title')",
        "migration-cannot-go-back": "migrations.RunPython(seed)",
        "sql-made-of-strings": "cursor.execute(f'SELECT {name}')",
        "shell": "subprocess.run(words, shell=True)",
        "certificate-not-checked": "httpx.get(url, verify=False)",
        "no-time-limit": "httpx.Client(timeout=None)",
    }
    rules = (ROOT / "policies/semgrep.yaml").read_text(encoding="utf-8")
    assert {line.split(": ")[1] for line in rules.splitlines() if line.startswith("  - id: ")} == bad.keys()
    for folder in ("delivery", "drills", "cluster"):
        checkout.add(f"{folder}/fine.py", "TIMEOUT = 5\n")
    checkout.add("app/crm/deals/migrations/0003_late_contract.py", f"{bad['migration-takes-away']}\n")
    for rule, line in bad.items():
        folder = "app/crm/deals/migrations" if rule.startswith("migration") else "app"
        checkout.add(f"{folder}/{rule.replace('-', '_')}.py", f"{line}\n")
    refused = checkout.make("semgrep")
    assert refused.returncode != 0
    found = refused.stdout + refused.stderr
    assert [rule for rule in bad if f"{rule.replace('-', '_')}.py" not in found] == []
    assert "0003_late_contract.py" not in found


def test_a_chart_that_fails_policy_is_refused_and_ours_passes(tmp_path: Path) -> None:
    chart = tmp_path / "crm"
    shutil.copytree(ROOT / "charts/crm", chart)  # what links point to goes along
    pods = chart / "templates/_pods.tpl"
    safe = pods.read_text(encoding="utf-8")
    assert "allowPrivilegeEscalation: false" in safe
    pods.write_text(safe.replace("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"))
    refused = run("make", "policies", f"CHART={chart}", cwd=ROOT)
    assert refused.returncode != 0
    assert "Containers should not run with allowPrivilegeEscalation" in refused.stdout
    passed = run("make", "policies", cwd=ROOT)
    assert passed.returncode == 0, passed.stdout


def test_a_workflow_that_trusts_a_tag_is_refused(checkout: Checkout) -> None:
    shutil.copytree(ROOT / ".github", checkout.path / ".github")
    drills = checkout.path / ".github/workflows/drills.yml"
    text = drills.read_text(encoding="utf-8")
    drills.write_text(
        text.replace("de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2", "v6"), encoding="utf-8"
    )
    refused = checkout.make("workflows")
    assert refused.returncode != 0
    assert "unpinned-uses" in refused.stdout
