"""What changes users."""

from django.core import signing
from django.db import transaction

from crm.api.errors import Refused
from crm.authentication.models import Team, User
from crm.metrics.business import USER_REGISTRATIONS

INVITATION_SALT = "authentication.invitation"
INVITATION_SECONDS = 7 * 24 * 3600


class InvitationInvalid(Refused):
    code = "invitation_invalid"
    status = 400


def register_user(*, username: str, email: str, password: str, invitation: str = "") -> User:
    """Create a user: in the inviting team, or in a team of their own.

    Raises InvitationInvalid if the invitation is forged, too old, or its team is gone.
    """
    with transaction.atomic():
        team = _invited_to(invitation) if invitation else Team.objects.create(name=username)
        user = User.objects.create_user(username=username, email=email, password=password, team=team)
        transaction.on_commit(USER_REGISTRATIONS.inc, robust=True)
    return user


def invite(*, by: User) -> str:
    """An invitation into the user's team, valid for a week."""
    return signing.dumps(by.team_id, salt=INVITATION_SALT)


def _invited_to(invitation: str) -> Team:
    try:
        team_id = signing.loads(invitation, salt=INVITATION_SALT, max_age=INVITATION_SECONDS)
        return Team.objects.get(pk=team_id)
    except (signing.BadSignature, Team.DoesNotExist) as error:
        raise InvitationInvalid(
            "The invitation is not valid or older than a week; ask for a new one."
        ) from error
