"""What changes users."""

import secrets
from hashlib import sha256
from typing import Any

from django.core import signing
from django.db import transaction
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone

from crm.api.errors import Refused
from crm.authentication.models import Invitation, Team, User
from crm.metrics.business import USER_REGISTRATIONS
from crm.notifications.services import EMAIL_PROOF_KEY, queue_email

INVITATION_SALT = "authentication.invitation"
INVITATION_SECONDS = 7 * 24 * 3600
INVITATION_REFUSED = (
    "The invitation is for another address, used, withdrawn or older than a week; ask for a new one."
)

EMAIL_PROOF_SALT = "authentication.email-proof"
EMAIL_PROOF_SECONDS = 3 * 24 * 3600
EMAIL_PROOF_REFUSED = (
    "The proof is forged, older than three days or of an address that has changed; ask for another one."
)
EMAIL_PROOF_TEXT = """\
Somebody signed up for the CRM with this e-mail address. If it was you, prove that the address is yours. Send this

{proof}

as "proof" to POST {path} within three days. If it was not you, do nothing.
"""


class InvitationInvalid(Refused):
    code = "invitation_invalid"
    status = 400


class EmailProofInvalid(Refused):
    code = "email_proof_invalid"
    status = 400


class EmailProven(Refused):
    code = "email_proven"


def register_user(*, username: str, email: str, password: str, invitation: str = "") -> User:
    """Create a user: in the inviting team, or in a team of their own.

    Raises InvitationInvalid if the invitation is forged, too old, for another address, used or withdrawn, or if its
    inviter or team is gone.
    """
    with transaction.atomic():
        team = _accept(invitation, email) if invitation else Team.objects.create(name=username)
        user = User.objects.create_user(username=username, email=email, password=password, team=team)
        ask_for_email_proof(user)
        transaction.on_commit(USER_REGISTRATIONS.inc, robust=True)
    return user


def ask_for_email_proof(user: User) -> None:
    """Queue an e-mail with what proves the user's address, at most one a minute.

    Nothing stands in it that the user has written: the address may be a stranger's. Raises EmailProven.
    """
    if user.email_proven_at is not None:
        raise EmailProven("The address is proven already.")
    queue_email(
        key=f"{EMAIL_PROOF_KEY}-{user.pk}-{timezone.now():%Y%m%d%H%M}",
        to=user.email,
        subject="Prove your e-mail address",
        body=EMAIL_PROOF_TEXT.format(
            proof=signing.dumps([user.pk, user.email], salt=EMAIL_PROOF_SALT),
            path=reverse("auth-email-proof"),
        ),
    )


def prove_email(proof: str) -> None:
    """Take an address for its user's, who has read what was sent there. Safe to do twice. Raises EmailProofInvalid."""
    try:
        pk, email = signing.loads(proof, salt=EMAIL_PROOF_SALT, max_age=EMAIL_PROOF_SECONDS)
    except signing.BadSignature as error:
        raise EmailProofInvalid(EMAIL_PROOF_REFUSED) from error
    theirs = User.objects.filter(pk=pk, email=email, is_active=True)
    if not theirs.update(email_proven_at=Coalesce("email_proven_at", timezone.now())):
        raise EmailProofInvalid(EMAIL_PROOF_REFUSED)


def invite(*, by: User, email: str) -> tuple[Invitation, str]:
    """An invitation into the user's team for whoever registers with that address, and what to give them.

    It is valid for a week. What is given is what the version before gave as well, so that it lets in there too.
    """
    given = signing.dumps(by.team_id, salt=INVITATION_SALT, serializer=_Unlike)
    return Invitation.objects.create(digest=_digest(given), email=email, by=by), given


def withdraw(invitation: Invitation) -> None:
    Invitation.objects.filter(pk=invitation.pk, ended_at=None).update(ended_at=timezone.now())


def _accept(given: str, email: str) -> Team:
    try:
        team_id = signing.loads(given, salt=INVITATION_SALT, max_age=INVITATION_SECONDS)
        team = Team.objects.get(pk=team_id)
    except (signing.BadSignature, Team.DoesNotExist) as error:
        raise InvitationInvalid(INVITATION_REFUSED) from error
    kept = Invitation.objects.select_related("by").select_for_update(of=("self",))
    invitation = kept.filter(digest=_digest(given)).first()
    if invitation is None:  # the version before kept none; these end by themselves a week after it
        return team
    if not invitation.lets_in(email, team.pk):
        raise InvitationInvalid(INVITATION_REFUSED)
    withdraw(invitation)
    return team


class _Unlike(signing.JSONSerializer):
    """JSON with blanks after it, by chance, which whoever reads it passes over: no two of one second are the same."""

    def dumps(self, obj: Any) -> bytes:
        return super().dumps(obj) + "".join(secrets.choice(" \t") for _ in range(64)).encode()


def _digest(given: str) -> str:
    return sha256(given.encode()).hexdigest()
