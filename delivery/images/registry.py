"""Images in a container registry, by the OCI distribution API."""

import base64
import contextlib
import hashlib
import ipaddress
import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from delivery import web
from delivery.errors import Refused, RegistryUnreachable
from delivery.gitops.release import DIGEST, REPOSITORY
from delivery.texts import one_line

REVISION_LABEL = "org.opencontainers.image.revision"
VERSION_LABEL = "org.opencontainers.image.version"
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_ENVELOPE = "application/vnd.dsse.envelope.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PREDICATE_ANNOTATION = "dev.sigstore.bundle.predicateType"
_ATTEMPTS = 2  # a dropped connection is tried once more
SECONDS = 30.0  # for all requests about an image; in a cluster they take less than one
_MOST_MANIFEST = 4 * 1024 * 1024  # what registries take themselves, by OCI's specification
# Of what is attached to an image, all together: a list of a thousand packages has 2 MB.
_MOST_ATTACHED = 16 * 1024 * 1024
_MOST_LAYERS = 50
_MOST_PAGES = 10


@dataclass(frozen=True)
class Reference:
    """REPOSITORY[:TAG][@DIGEST] with at least one of the two."""

    repository: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises Refused."""
        name, _, digest = text.partition("@")
        repository, tag = name, ""
        if ":" in name.rsplit("/", 1)[-1]:
            repository, _, tag = name.rpartition(":")
        if not REPOSITORY.fullmatch(repository):
            raise Refused(
                f"An image is HOST/NAME:TAG or HOST/NAME@sha256:… with the registry's host, not {text!r}."
            )
        if "@" in text and not DIGEST.fullmatch(digest):
            raise Refused(f"A digest is sha256: and 64 hexadecimal digits, not {digest!r}.")
        if tag and not _TAG.fullmatch(tag):
            raise Refused(f"{tag!r} cannot be a tag.")
        if not tag and not digest:
            raise Refused(
                f"The image {text!r} needs a digest or a tag: without one it is open what would run."
            )
        return cls(repository, tag or None, digest or None)

    @property
    def host(self) -> str:
        return self.repository.split("/", 1)[0]

    @property
    def name(self) -> str:
        return self.repository.split("/", 1)[1]

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"


@dataclass(frozen=True)
class FoundImage:
    """An image that the registry has: its digest and its labels."""

    repository: str
    digest: str
    labels: dict[str, str]


def look_up(reference: Reference) -> FoundImage:
    """Ask the registry for an image.

    Raises Refused if it has none, RegistryUnreachable if it does not answer.
    """
    with contextlib.closing(_Registry(reference)) as registry:
        body = registry.manifest(reference.digest or str(reference.tag))
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        if reference.digest and digest != reference.digest:
            raise Refused(f"The registry answered for {reference} with another content, {digest}.")
        manifest = _json(body)
        if manifest.get("mediaType") in _INDEXES or "manifests" in manifest:
            manifest = _json(registry.manifest(_runnable(manifest, reference)))
        config = _json(registry.blob(str(manifest.get("config", {}).get("digest"))))
        labels = (config.get("config") or {}).get("Labels") or {}
        texts = {str(key): str(value) for key, value in labels.items()}
        return FoundImage(reference.repository, digest, texts)


def attestations(reference: Reference, *, address: str | None = None) -> list[bytes]:
    """The envelopes that cosign has attached to the image of a digest in its older form, unverified; often none.

    address: where the registry is reached from here, if that is not its name, such as http://registry.forge.svc:5000.

    Raises Refused, RegistryUnreachable.
    """
    with contextlib.closing(_Registry(reference, address)) as registry:
        try:
            manifest = _json(registry.manifest(f"{_as_tag(reference)}.att"))
        except _NotThere:
            return []
        layers = [each for each in _objects(manifest.get("layers")) if each.get("mediaType") == _ENVELOPE]
        return registry.attached(layers)


def bundles(reference: Reference, predicate: str, *, address: str | None = None) -> list[bytes]:
    """The bundles about one kind of thing that cosign has attached to the image of a digest, unverified; often none.

    predicate: the kind. It is read from a note that anybody may write, so it saves reading, no more.
    address: as above.

    Raises Refused, RegistryUnreachable.
    """
    with contextlib.closing(_Registry(reference, address)) as registry:
        found = []
        others = [each for each in registry.referrers() if each.get("artifactType") == BUNDLE]
        for referrer in others[-_MOST_LAYERS:]:
            manifest = _json(registry.manifest(str(referrer.get("digest"))))
            notes = manifest.get("annotations")
            if isinstance(notes, dict) and notes.get(PREDICATE_ANNOTATION) == predicate:
                found += _objects(manifest.get("layers"))
        return registry.attached(found)


class _NotThere(Refused):
    pass


def _runnable(index: dict[str, Any], reference: Reference) -> str:
    """The first Linux image of an index (attestations have the platform "unknown")."""
    for entry in index["manifests"]:
        if entry.get("platform", {}).get("os", "linux") == "linux" and DIGEST.fullmatch(
            str(entry.get("digest"))
        ):
            return str(entry["digest"])
    raise Refused(f"{reference} is an index without an image for Linux.")


def _json(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise Refused("The registry answered with something that is not a JSON object.")
    return data


def _objects(found: Any) -> list[dict[str, Any]]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _as_tag(reference: Reference) -> str:
    """The tag that stands for a digest where something cannot refer to the digest itself."""
    return str(reference.digest).replace(":", "-")


class _Registry:
    """All requests about one image, which end after some seconds."""

    def __init__(self, reference: Reference, address: str | None = None) -> None:
        self._reference = reference
        self._base = f"{address or _address_of(reference.host)}/v2/{reference.name}"
        self._authorization: str | None = None
        self._until = time.monotonic() + SECONDS
        self._http = web.client(retries=_ATTEMPTS - 1)

    def close(self) -> None:
        self._http.close()

    def manifest(self, name: str) -> bytes:
        return self._answer(f"{self._base}/manifests/{name}", ", ".join(_MANIFESTS + _INDEXES)).content

    def blob(self, digest: str, most: int = _MOST_MANIFEST) -> bytes:
        return self._answer(f"{self._base}/blobs/{digest}", "*/*", most).content

    def attached(self, layers: list[dict[str, Any]]) -> list[bytes]:
        """What is attached to the image in those layers, of many in the last ones."""
        found: list[bytes] = []
        for layer in layers[-_MOST_LAYERS:]:
            found.append(self.blob(str(layer.get("digest")), _MOST_ATTACHED - sum(map(len, found))))
        return found

    def referrers(self) -> list[dict[str, Any]]:
        """What refers to the image, by OCI's API or, where there is none, by the tag that stands for its digest."""
        page = httpx.URL(f"{self._base}/referrers/{self._reference.digest}")
        found = []
        try:
            for _ in range(_MOST_PAGES):
                answer = self._answer(str(page), _INDEXES[0])
                found += _objects(_json(answer.content).get("manifests"))
                following = answer.links.get("next", {}).get("url")
                # Of the same server, whatever it says.
                if not following:
                    break
                page = page.copy_with(raw_path=httpx.URL(following).raw_path)
        except _NotThere:
            with contextlib.suppress(_NotThere):
                found = _objects(_json(self.manifest(_as_tag(self._reference))).get("manifests"))
        return found

    def _answer(self, url: str, accept: str, most: int = _MOST_MANIFEST) -> httpx.Response:
        host, headers = self._reference.host, {"Accept": accept}
        answer = self._send(url, headers, most)
        if answer.status_code == httpx.codes.UNAUTHORIZED and self._authorization is None:
            self._sign_in(answer.headers.get("www-authenticate", ""))
            answer = self._send(url, headers, most)
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise _NotThere(f"The registry has no image {self._reference}.")
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise Refused(f"The registry {host} requires a login: docker login {host}.")
        if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise RegistryUnreachable(f"The registry {host} answered {answer.status_code}.")
        if not answer.is_success:
            raise Refused(f"The registry {host} answered {answer.status_code} for {self._reference}.")
        return answer

    def _send(self, url: str, headers: dict[str, str], most: int = _MOST_MANIFEST) -> httpx.Response:
        # The last request is made when no time is left.
        seconds = max(0.1, self._until - time.monotonic())
        if self._authorization:
            headers = {**headers, "Authorization": self._authorization}
        try:
            return web.get(self._http, url, headers=headers, seconds=seconds, most=most)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            host, why = self._reference.host, one_line(error) or type(error).__name__
            raise RegistryUnreachable(f"The registry {host} cannot be reached: {why}.") from error

    def _sign_in(self, challenge: str) -> None:
        """Answer a `Basic` or `Bearer` challenge with what `docker login` stored, or anonymously."""
        basic = _stored_login(self._reference.host)
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic":
            self._authorization = basic
            return
        parameters = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        realm = parameters.pop("realm", "")
        if urlsplit(realm).scheme != "https" and not self._base.startswith("http:"):
            return
        query = httpx.QueryParams({key: parameters[key] for key in ("service", "scope") if key in parameters})
        answer = self._send(f"{realm}?{query}", {"Authorization": basic} if basic else {})
        if answer.is_success:
            token = _json(answer.content)
            self._authorization = f"Bearer {token.get('token') or token.get('access_token')}"


def _address_of(host: str) -> str:
    # Docker Hub's API has another host than its images' names.
    host = "registry-1.docker.io" if host == "docker.io" else host
    return f"{'http' if _is_this_machine(host) else 'https'}://{host}"


def _is_this_machine(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _stored_login(host: str) -> str | None:
    """The `Authorization` header for a host from Docker's config file."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        logins = json.loads((folder / "config.json").read_text()).get("auths", {})
    except (OSError, ValueError):
        return None
    login = logins.get("https://index.docker.io/v1/" if host == "docker.io" else host) or {}
    if login.get("auth"):
        return f"Basic {login['auth']}"
    if login.get("username"):
        pair = f"{login['username']}:{login.get('password', '')}"
        return "Basic " + base64.b64encode(pair.encode()).decode()
    return None
