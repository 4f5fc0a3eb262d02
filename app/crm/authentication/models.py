"""Teams and the people in them."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.db.models.functions import Lower, Upper


class Team(models.Model):
    """People who see each other's records. Everyone is in exactly one team."""

    name = models.CharField(max_length=150)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class TeamUserManager(UserManager["User"]):
    """Who joins no team gets a new one."""

    def _create_user(self, username: str, email: str | None, password: str | None, **extra: Any) -> "User":
        if "team" not in extra:
            extra["team"] = Team.objects.create(name=username)
        return super()._create_user(username, email, password, **extra)  # type: ignore[misc,no-any-return]


class User(AbstractUser):
    email = models.EmailField()
    # When its owner proved that this address is theirs. Whoever lets it be changed sets this to null with it.
    # Users from before it was asked for have proven nothing.
    email_proven_at = models.DateTimeField(null=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="members")

    objects: ClassVar[TeamUserManager] = TeamUserManager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                Lower("email"),
                name="user_email_unique",
                violation_error_message="A user with this e-mail address exists already.",
            ),
            # As a look-up by iexact asks, which finds it by this index.
            models.UniqueConstraint(
                Upper("username"),
                name="user_username_unique",
                violation_error_message="A user with that username already exists.",
            ),
        )


class Invitation(models.Model):
    """Lets one person, known by an e-mail address, into the team of whoever invites, once.

    Rows stay: a signed invitation without one is taken for one of the version that kept none.
    """

    digest = models.CharField(max_length=64, unique=True)  # of what the invited person was given
    email = models.EmailField()
    # Without a constraint: the version before removes users, and does not know of this table.
    by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+", db_constraint=False)
    created_at = models.DateTimeField(auto_now_add=True)
    # Accepted or withdrawn.
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return self.email

    def lets_in(self, email: str, team_id: int) -> bool:
        """Whether it lets that address into that team, as long as the inviter is in it."""
        inviter = self.by
        membership = inviter is not None and inviter.is_active and inviter.team_id == team_id
        return membership and self.ended_at is None and self.email.lower() == email.lower()
