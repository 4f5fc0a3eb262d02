"""`make bench-app`: does a list take as long with a million rows behind it as with ten thousand?

The CRM is served by gunicorn as in production, once on a database with 10,000 rows of every kind and once on one with
1,000,000, all of them one team's. Each list is asked for over 20 connections, of the one and then of the other, in
rounds of a second, so that a busy moment of the machine meets both. MANY=100000 takes fewer rows, for a first look.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from base64 import b64encode
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from urllib.parse import quote

import httpx
import psycopg

from pipeline import serving
from pipeline.errors import Refuses, gate

FEW, MANY = 10_000, 1_000_000
MOST = 1.3
"""How much longer the p95 may take with the many rows."""
CONNECTIONS = 20
ROUNDS, SECONDS = 10, 1
OWNER, NEWCOMER = "alice", "bob"
"""Whose all rows are, and somebody who has none beside them."""
PAGES = {
    "deals": (OWNER, "deals/"),
    "contacts": (OWNER, "contacts/"),
    "companies": (OWNER, "companies/"),
    "invitations": (OWNER, "auth/invitations/"),
    "deals, the last page that has a number": (OWNER, "deals/?page=400"),
    "deals, from the middle on": (OWNER, "deals/?cursor={middle}"),
    "deals of another team": (NEWCOMER, "deals/"),
    "invitations of another team": (NEWCOMER, "auth/invitations/"),
}

# What foreign keys point to is there, and is not looked for again a million times.
SEED = (
    "SET session_replication_role = replica",
    """INSERT INTO companies_company (name, website, phone, team_id, owner_id, created_at, updated_at)
    SELECT 'Company ' || n, '', '', team_id, id, now(), now()
    FROM authentication_user, generate_series(1, %(rows)s) n WHERE username = %(owner)s""",
    """INSERT INTO contacts_contact
        (first_name, last_name, email, phone, company_id, team_id, owner_id, created_at, updated_at)
    SELECT 'Jo', 'Doe ' || n, 'doe' || n || '@example.com', '', n, team_id, id, now(), now()
    FROM authentication_user, generate_series(1, %(rows)s) n WHERE username = %(owner)s""",
    """INSERT INTO deals_deal
        (title, amount, currency, pipeline_id, stage_id, contact_id, company_id, team_id, owner_id, created_at,
         updated_at)
    SELECT 'Deal ' || n, n, 'EUR', stage.pipeline_id, stage.id, n, n, team_id, authentication_user.id, now(), now()
    FROM authentication_user, deals_stage stage, generate_series(1, %(rows)s) n
    WHERE username = %(owner)s AND stage.position = 1""",
    """INSERT INTO authentication_invitation (digest, email, by_id, created_at)
    SELECT n, 'guest' || n || '@example.com', id, now()
    FROM authentication_user, generate_series(1, %(rows)s) n WHERE username = %(owner)s""",
    "VACUUM ANALYZE",  # as autovacuum does after so many new rows
)


@dataclass(frozen=True)
class Served:
    """The CRM on a database with so many rows of every kind, and its users' tokens."""

    rows: int
    api: str
    tokens: dict[str, str]

    def page(self, user: str, address: str) -> Page:
        """A page of a list, which is asked for once. Raises Refuses if it is none."""
        cursor = b64encode(f"p={self.rows // 2}".encode()).decode()
        page = Page(self.api + address.format(middle=quote(cursor)), self.tokens[user])
        body = httpx.get(page.address, headers={"Authorization": page.authorization}, timeout=30).json()
        expected = (25, self.rows > FEW) if user == OWNER else (0, False)
        if (len(body.get("results", ())), body.get("count_is_capped")) != expected:
            raise Refuses(
                f"{page.address} has answered {body}, which is not what {user} has of {self.rows} rows."
            )
        return page


@dataclass(frozen=True)
class Page:
    address: str
    token: str

    @property
    def authorization(self) -> str:
        return f"Bearer {self.token}"

    def ask(self, record: Path) -> None:
        """As fast as answers come over CONNECTIONS, for a moment."""
        attack = ["vegeta", "attack", "-rate=0", f"-max-workers={CONNECTIONS}", f"-workers={CONNECTIONS}"]
        attack += [f"-duration={SECONDS}s", "-max-body=0", f"-header=Authorization: {self.authorization}"]
        subprocess.run([*attack, f"-output={record}"], input=f"GET {self.address}\n".encode(), check=True)


@dataclass(frozen=True)
class Load:
    """What a load has met: seconds that 95 % of the answers took at most, and answers a second."""

    p95: float
    rate: float

    @classmethod
    def met(cls, address: str, records: list[Path]) -> Load:
        """Raises Refuses if an answer was not 200."""
        report = ["vegeta", "report", "-type=json", *map(str, records)]
        found = json.loads(subprocess.run(report, capture_output=True, check=True).stdout)
        if set(found["status_codes"]) != {"200"}:
            raise Refuses(
                f"{address} has answered {found['status_codes']} {found['errors'][:3]}, not 200 alone."
            )
        return cls(p95=found["latencies"]["95th"] / 1e9, rate=found["requests"] / len(records) / SECONDS)


@gate("bench-app")
def main() -> int:
    started = monotonic()
    many = int(os.environ.get("MANY") or MANY)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crm-bench-")))
        measured = measure(*serve(stack, many, folder), folder)
    print(table(measured, many), flush=True)
    judge(measured)
    print(f"bench-app: none above {MOST}, in {monotonic() - started:.0f} s")
    return 0


def serve(stack: ExitStack, many: int, folder: Path) -> tuple[Served, Served]:
    """The CRM on two databases, until the stack is left."""
    serving.prepare(stack, folder)
    from django.db import connection  # noqa: PLC0415

    from crm.authentication.models import User  # noqa: PLC0415

    users = [
        User.objects.create_user(name, f"{name}@example.com", "correct horse") for name in (OWNER, NEWCOMER)
    ]
    tokens = {user.username: serving.token_of(user) for user in users}
    connection.close()
    with psycopg.connect(_address_of("postgres"), autocommit=True) as database:
        database.execute(f"CREATE DATABASE many TEMPLATE {serving.DATABASE}")  # with the user in it
    return _served(stack, folder, serving.DATABASE, FEW, tokens), _served(stack, folder, "many", many, tokens)


def _served(stack: ExitStack, folder: Path, name: str, rows: int, tokens: dict[str, str]) -> Served:
    began = monotonic()
    with psycopg.connect(_address_of(name), autocommit=True) as database:
        for statement in SEED:
            database.execute(statement, {"rows": rows, "owner": OWNER} if "%(rows)s" in statement else None)
    print(f"{rows:,} rows of every kind, in {monotonic() - began:.0f} s", flush=True)
    address, _ = serving.web(stack, folder, name)
    return Served(rows, f"{address}/api/v1/", tokens)


def _address_of(database: str) -> str:
    return (
        "host={DB_HOST} port={DB_PORT} user={DB_USER} password={DB_PASSWORD} dbname=".format_map(os.environ)
        + database
    )


Measured = dict[str, tuple[Load, Load]]
"""What each page has met with few rows and with many."""


def measure(few: Served, many: Served, records: Path) -> Measured:
    """Raises Refuses if an answer is not a page."""
    pairs = {name: (few.page(*page), many.page(*page)) for name, page in PAGES.items()}
    taken: dict[Page, list[Path]] = {page: [] for pair in pairs.values() for page in pair}
    for number in range(ROUNDS + 1):
        for each, (page, files) in enumerate(taken.items()):
            page.ask(file := records / f"{each}-{number}")
            if number:  # the first answers of a process take longer
                files.append(file)
    met = {page: Load.met(page.address, files) for page, files in taken.items()}
    return {name: (met[less], met[more]) for name, (less, more) in pairs.items()}


def ratio(few: Load, many: Load) -> float:
    """How much longer the p95 takes with the many rows."""
    return many.p95 / few.p95


def table(measured: Measured, many: int) -> str:
    """The result for people."""
    width = max(map(len, measured))
    lines = [
        f"{f'p95 over {CONNECTIONS} connections':{width}}  {FEW:>10,} rows  {many:>10,} rows  ratio  answers/s"
    ]
    for name, loads in measured.items():
        p95s = "  ".join(f"{1000 * load.p95:12.0f} ms" for load in loads)
        rates = " and ".join(f"{load.rate:.0f}" for load in loads)
        lines.append(f"{name:{width}}  {p95s}  {ratio(*loads):5.2f}  {rates}")
    return "\n".join(lines)


def judge(measured: Measured) -> None:
    """Raises Refuses if a list takes too long with many rows."""
    slow = [f"{name} ({ratio(*loads):.2f})" for name, loads in measured.items() if ratio(*loads) > MOST]
    if slow:
        raise Refuses(
            f"With the many rows the p95 is more than {MOST} times that with few: {', '.join(slow)}."
        )


if __name__ == "__main__":
    sys.exit(main())
