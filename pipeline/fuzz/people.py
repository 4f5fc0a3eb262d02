"""Who asks: nobody, Alice and Bob of one team, Charlie of another; and what the two teams have."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline import serving

KINDS = ("companies", "contacts", "deals", "auth/invitations")
EACH = 3
"""So many of every kind has each team, with keys from 1 on in turn, which a guesser meets soon."""


@dataclass(frozen=True)
class Caller:
    name: str
    headers: dict[str, str] = field(default_factory=dict)
    teammates: frozenset[int] = frozenset()
    """The keys of the users of the caller's team."""


@dataclass(frozen=True)
class Team:
    members: tuple[Caller, ...]
    keys: dict[str, list[int]]
    """Of what it has, by kind."""


def teams() -> tuple[Team, Team]:
    """Two teams with records, written by the CRM's own services into the database that is prepared."""
    from django.db import connection  # noqa: PLC0415

    from crm.authentication.models import Invitation, User  # noqa: PLC0415
    from crm.companies.models import Company  # noqa: PLC0415
    from crm.contacts.models import Contact  # noqa: PLC0415
    from crm.deals.models import Pipeline  # noqa: PLC0415
    from crm.deals.services import create_deal  # noqa: PLC0415

    alice, charlie = (
        User.objects.create_user(name, f"{name}@example.com", "correct horse")
        for name in ("alice", "charlie")
    )
    bob = User.objects.create_user("bob", "bob@example.com", "correct horse", team=alice.team)
    keys: dict[int, dict[str, list[int]]] = {
        user.team_id: {kind: [] for kind in KINDS} for user in (alice, charlie)
    }
    for number in range(EACH):
        for user in (alice, charlie):
            owned = {"team": user.team, "owner": user}
            company = Company.objects.create(name=f"Company {number}", **owned)
            contact = Contact.objects.create(last_name=f"Doe {number}", company=company, **owned)
            deal = create_deal(
                by=user,
                pipeline=Pipeline.objects.get(),
                title="Deal",
                amount=1,
                contact=contact,
                company=company,
            )
            digest = f"{user.username} {number}"
            invitation = Invitation.objects.create(digest=digest, email="guest@example.com", by=user)
            for kind, row in zip(KINDS, (company, contact, deal, invitation), strict=True):
                keys[user.team_id][kind].append(row.pk)
    tokens = {user: serving.token_of(user) for user in (alice, bob, charlie)}
    connection.close()

    def caller(user: User, *teammates: User) -> Caller:
        headers = {"Authorization": f"Bearer {tokens[user]}"}
        return Caller(user.username, headers, frozenset(mate.pk for mate in (user, *teammates)))

    return (
        Team((caller(alice, bob), caller(bob, alice)), keys[alice.team_id]),
        Team((caller(charlie),), keys[charlie.team_id]),
    )
