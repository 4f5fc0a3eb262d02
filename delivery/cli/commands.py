"""The commands that write to the branch, each of which returns what happened, and those of the pipeline."""

import re
from datetime import UTC, datetime

from delivery.errors import Refused, RegistryUnreachable
from delivery.gitops import freeze as freezing
from delivery.gitops import promoted, quarantine
from delivery.gitops.branch import (
    BRANCH,
    README,
    ROLLBACK_TRAILER,
    Change,
    EnvironmentsBranch,
    ReleaseRecord,
    fetch_existing,
    publish,
)
from delivery.gitops.changes import refuse_incomplete, refuse_unknown_commit, replacing, strategy_of
from delivery.gitops.git import Repository
from delivery.gitops.promoted import PromotionRecord
from delivery.gitops.release import Release, ReleasedImage, environment_name
from delivery.images import attestations, registry

_SHORT_COMMIT = re.compile(r"[0-9a-f]{7,40}")


def init(repository: Repository) -> str:
    """Make the branch, with a README and no release."""

    def decide(branch: EnvironmentsBranch) -> Change | None:
        return None if branch.tip else Change({"README.md": README}, f"start the branch {BRANCH}\n")

    published = publish(repository, decide)
    if published is None:
        return f"The branch {BRANCH} exists already; nothing was changed."
    return f"The branch {BRANCH} is made ({published.commit[:12]})."


def release(
    repository: Repository,
    *,
    image: str,
    to: str,
    revision: str | None = None,
    version: str | None = None,
    strategy: str | None = None,
    despite_freeze: str | None = None,
) -> str:
    """Give an environment an image and the commit that it was built from. Raises Refused."""
    environment_name(to)
    fetch_existing(repository).current(to)
    reference = registry.Reference.parse(image)
    found = registry.look_up(reference)
    repository.fetch_history()
    name = version or _label(found, registry.VERSION_LABEL, reference, "--version")
    released = ReleasedImage(found.repository, found.digest, name)
    commit = _commit(repository, revision or _label(found, registry.REVISION_LABEL, reference, "--revision"))

    def decide(branch: EnvironmentsBranch) -> Change | None:
        now = branch.current(to)
        wanted = Release(commit, released, strategy or strategy_of(now, to))
        Release.parse(wanted.to_yaml(), "The release")  # a version from a label can be anything
        quarantine.refuse(branch, released.digest)
        despite = freezing.passed(branch, to, _now(), despite_freeze)
        refuse_incomplete(repository, wanted, to)
        subject = f"release {released.version} to {to}"
        return replacing(now, wanted, to, subject, _trailers(f"By: {repository.author}", despite))

    return str(publish(repository, decide) or f"{to} has that release already; nothing was changed.")


def promote(repository: Repository, source: str, target: str, *, despite_freeze: str | None = None) -> str:
    """Copy revision and image of one environment to another, which keeps its own strategy. Raises Refused."""
    environment_name(source)
    environment_name(target)
    if source == target:
        raise Refused(f"{source} cannot be promoted to itself.")
    fetch_existing(repository)
    repository.fetch_history()
    seen: set[str] = set()

    def decide(branch: EnvironmentsBranch) -> Change | None:
        release = branch.current(source)
        if release is None:
            raise Refused(f"{source} has no release that could be promoted.")
        now = branch.current(target)
        wanted = release.with_strategy(strategy_of(now, target))
        quarantine.refuse(branch, wanted.image.digest)
        despite = freezing.passed(branch, target, _now(), despite_freeze)
        refuse_unknown_commit(repository, wanted)
        refuse_incomplete(repository, wanted, target)
        if wanted.image.digest not in seen:
            registry.look_up(registry.Reference(wanted.image.repository, None, wanted.image.digest))
            seen.add(wanted.image.digest)
        subject = f"promote {wanted.image.version} from {source} to {target}"
        return replacing(now, wanted, target, subject, _trailers(f"By: {repository.author}", despite))

    return str(publish(repository, decide) or f"{target} has that release already; nothing was changed.")


def rollback(
    repository: Repository,
    environment: str,
    *,
    to: str | None = None,
    seen: str | None = None,
    reason: str | None = None,
) -> str:
    """Give an environment its last fully promoted release that is not quarantined.

    Nothing is changed where the guard, or somebody else, has rolled back already. `seen`: the version or the
    image that the person saw there, which is checked; `to`: the commit of another release.

    Raises Refused.
    """
    environment_name(environment)
    fetch_existing(repository)
    repository.fetch_history()
    notes: list[str] = []

    def decide(branch: EnvironmentsBranch) -> Change | None:
        quarantined = quarantine.digests(branch)
        record = promoted.copies_of(branch).get(environment)
        try:
            now = branch.release(environment)
        except Refused:
            now = None
        if done := _rolled_back_already(environment, now, record, seen, to):
            notes[:] = [done]
            return None
        past = branch.at(environment, to) if to else _before(branch, environment, now, record, quarantined)
        wanted = past.release
        if wanted.image.digest in quarantined:
            quarantine.refuse(branch, wanted.image.digest)
        refuse_unknown_commit(repository, wanted)
        refuse_incomplete(repository, wanted, environment)
        notes[:] = _doubts_about_image(wanted)
        if record and not record.find(wanted):
            notes.append(
                f"{wanted.image.version} was never fully promoted in {environment}, or was rolled back since,"
                " so it takes the steps of its strategy."
            )
        subject = f"roll back {environment} to {wanted.image.version}"
        trailers = f"By: {repository.author}\n{ROLLBACK_TRAILER}: {past.commit}"
        change = replacing(now, wanted, environment, subject, trailers, reason=reason)
        if change is None:
            notes.append(f"{environment} has that release already; nothing was changed.")
        return change

    published = publish(repository, decide)
    return "\n".join([*notes, *([str(published)] if published else [])])


def _rolled_back_already(
    environment: str, now: Release | None, record: PromotionRecord | None, seen: str | None, to: str | None
) -> str:
    """The message where a rollback is done already; empty where one is to be made.

    Raises Refused where `seen` is neither what the environment has nor what it was just rolled back from.
    """
    if now is None:
        return ""
    seen = seen.rpartition("@")[2] if seen else None
    version = now.image.version
    further = f"To roll back further: delivery rollback {environment} --from {version}"
    left = record.rolled_back_for(now) if record else None
    if seen and seen in (version, now.image.digest):
        return ""
    if seen and not (left and seen in (left.version, left.digest)):
        raise Refused(f"{environment} has {version} in Git, not {seen}; nothing was changed. {further}")
    if left is None or (to and not seen):
        return ""
    return f"{environment} is rolled back from {left.version} to {version} already; nothing was changed. {further}"


def unquarantine(repository: Repository, digest: str, *, reason: str) -> str:
    """Let a quarantined image be released again. Raises Refused."""
    why = _one_line(
        reason,
        "Lifting a quarantine needs a reason: give in --reason why the image may be released after all.",
    )
    fetch_existing(repository)

    def decide(branch: EnvironmentsBranch) -> Change:
        known = quarantine.entries(branch)
        found = next((each for each in known if each.digest == digest), None)
        if found is None:
            listed = ", ".join(f"{each.version} ({each.digest})" for each in known) or "no image"
            raise Refused(f"{digest} is not quarantined; quarantined: {listed}.")
        message = (
            f"unquarantine {found.version}\n\n{why}\n\nimage: {digest}\nfailed: {found.reason}\n\n"
            f"By: {repository.author}\n"
        )
        return Change({quarantine.FILE: quarantine.text_without(known, digest)}, message)

    return str(publish(repository, decide))


def freeze(
    repository: Repository, environment: str, *, until: str, reason: str, since: str | None = None
) -> str:
    """Let an environment take no release for some time; rollbacks are never refused. Raises Refused."""
    environment_name(environment)
    why = _one_line(reason, "A freeze needs a reason: give in --reason why nothing may be released.")
    starts = freezing.moment(since, "--from") if since else _now()
    ends = freezing.moment(until, "--until")
    if ends <= max(starts, _now()):
        raise Refused(f"A freeze must end after its start and after now, not at {freezing.utc(ends)}.")
    fetch_existing(repository)
    window = freezing.Window((environment,), why, freezing.Once(starts, ends))

    def decide(branch: EnvironmentsBranch) -> Change:
        message = f"freeze {environment} until {freezing.utc(ends)}\n\n{why}\n\nBy: {repository.author}\n"
        return Change({freezing.FILE: freezing.text_with(branch, window)}, message)

    return str(publish(repository, decide))


def thaw(repository: Repository, environment: str, *, reason: str) -> str:
    """Let an environment take releases again. Raises Refused."""
    environment_name(environment)
    why = _one_line(reason, "A thaw needs a reason: give in --reason why releases may go on.")
    fetch_existing(repository)

    def decide(branch: EnvironmentsBranch) -> Change:
        text = freezing.text_without(branch, environment, _now())
        if text is None:
            raise Refused(
                f"{environment} has no freeze that could end before its time;"
                f" weekly ones are taken out of {freezing.FILE} by hand."
            )
        message = f"thaw {environment}\n\n{why}\n\nBy: {repository.author}\n"
        return Change({freezing.FILE: text}, message)

    return str(publish(repository, decide))


def current(repository: Repository, environment: str) -> Release:
    """The release that an environment has in Git. Raises Refused."""
    environment_name(environment)
    found = fetch_existing(repository).release(environment)
    if found is None:
        raise Refused(f"{environment} has no release.")
    return found


def current_image(repository: Repository, environment: str) -> str:
    """The image, by its digest, that an environment has in Git. Raises Refused."""
    image = current(repository, environment).image
    return f"{image.repository}@{image.digest}"


def check_scan(_: Repository, *, image: str, key: str, critical: bool) -> str:
    """The newest valid scan result, signed by the key in that file.

    Raises Refused if there is none, Vulnerable if it has critical or, unless `critical`, high ones.
    """
    trusted = attestations.public_key_of(key)
    reference = registry.Reference.parse(image)
    if reference.digest is None:
        raise Refused(f"The image {image!r} needs a digest: a tag may mean another image tomorrow.")
    try:
        found = registry.attestations(reference)
        scan = attestations.newest(found, digest=reference.digest, key=trusted, now=_now())
    except attestations.Uncounted as why:
        raise Refused(f"{reference} has no valid scan result: {why}.") from why
    if scan.critical or (scan.high and not critical):
        raise attestations.Vulnerable(f"{reference} must not be released: {scan}.")
    return f"{reference}: {scan}"


def _one_line(reason: str, otherwise: str) -> str:
    """Raises Refused where no reason is given."""
    if why := " ".join(reason.split()):
        return why
    raise Refused(otherwise)


def _now() -> datetime:
    return datetime.now(tz=UTC)


def _before(
    branch: EnvironmentsBranch,
    environment: str,
    now: Release | None,
    record: PromotionRecord | None,
    quarantined: frozenset[str],
) -> ReleaseRecord:
    """The release to roll back to: by the guard's record, and by the branch alone where there is none."""
    if record is None:
        past = branch.before(environment, leaving_out=quarantined)
        known = branch.before(environment)
    else:
        others = [each for each in record.targets if now is None or each.identity != promoted.identity(now)]
        if now and (here := record.find(now)):
            others = [each for each in others if record.entries.index(each) < record.entries.index(here)]
        pasts = [promoted.release_record(branch, environment, each) for each in reversed(others)]
        known = next(filter(None, pasts), None)
        past = next((each for each in pasts if each and each.release.image.digest not in quarantined), None)
    if past is None:
        raise Refused(
            f"{environment} has no earlier release"
            + (" that was fully promoted" if record is not None else "")
            + f" to roll back to{' that is not quarantined' if known else ''}."
        )
    return past


def _trailers(*lines: str) -> str:
    return "\n".join(line for line in lines if line)


def _label(found: registry.FoundImage, label: str, reference: registry.Reference, option: str) -> str:
    value = found.labels.get(label)
    if not value:
        raise Refused(f"The image {reference} has no label {label}; build it with one or give {option}.")
    return value


def _commit(repository: Repository, name: str) -> str:
    if not _SHORT_COMMIT.fullmatch(name):
        raise Refused(f"A revision is a commit's 7 to 40 hexadecimal digits, not {name!r}.")
    commit = repository.commit_on_remote(name)
    if commit is None:
        raise Refused(f"{repository.remote} has no branch with the commit {name}; push it first.")
    return commit


def _doubts_about_image(wanted: Release) -> list[str]:
    """An image that is gone refuses a rollback; a registry that is down must not hold one up."""
    try:
        registry.look_up(registry.Reference(wanted.image.repository, None, wanted.image.digest))
    except RegistryUnreachable as error:
        return [f"Not checked whether the image is still there: {error}"]
    return []
