"""What changes users."""

from hashlib import sha256

from django.core import signing
from django.db import transaction
from django.utils import timezone

from crm.api.errors import Refused
from crm.authentication.models import Invitation, Team, User
from crm.metrics.business import USER_REGISTRATIONS

INVITATION_SALT = "authentication.invitation"
INVITATION_SECONDS = 7 * 24 * 3600
INVITATION_REFUSED = (
    "The invitation is for another address, used, withdrawn or older than a week; ask for a new one."
)


class InvitationInvalid(Refused):
    code = "invitation_invalid"
    status = 400


def register_user(*, username: str, email: str, password: str, invitation: str = "") -> User:
    """Create a user: in the inviting team, or in a team of their own.

    Raises InvitationInvalid if the invitation is forged, too old, for another address, used or withdrawn, or if its
    inviter or team is gone.
    """
    with transaction.atomic():
        team = _accept(invitation, email) if invitation else Team.objects.create(name=username)
        user = User.objects.create_user(username=username, email=email, password=password, team=team)
        transaction.on_commit(USER_REGISTRATIONS.inc, robust=True)
    return user


def invite(*, by: User, email: str) -> tuple[Invitation, str]:
    """An invitation into the user's team for whoever registers with that address, and what to give them.

    It is valid for a week. What is given is what the version before gave as well, so that it lets in there too.
    """
    given = signing.dumps(by.team_id, salt=INVITATION_SALT)
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


def _digest(given: str) -> str:
    return sha256(given.encode()).hexdigest()
