"""The two servers that `delivery` talks to, with what a test wants to do and see on each."""

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

CODE = {
    "charts/crm/Chart.yaml": "name: crm\n",
    "rollouts/canary.yaml": "strategy: {name: canary}\n",
    "rollouts/rolling-update.yaml": "strategy: {name: rolling-update}\n",
    "environments/dev/values.yaml": "environment: dev\n",
    "environments/staging/values.yaml": "environment: staging\n",
    "environments/production/values.yaml": "environment: production\n",
}
# A hook `pre-receive`: the server moves the branch itself, once, between somebody's fetch and push.
MOVE_BRANCH_ONCE = """\
unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
[ -e moved ] && exit 0
touch moved
commit=$(git commit-tree 'environments^{tree}' -p environments -m 'somebody else')
git update-ref refs/heads/environments $commit
"""


class Remote:
    """A bare repository on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "--quiet", "--bare", "--initial-branch=main", "--template=")
        with (path / "config").open("a") as config:
            config.write("[uploadpack]\nallowFilter = true\n")

    def git(self, *arguments: str, given: str | None = None) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=self.path, input=given, capture_output=True, text=True, check=True
        ).stdout

    def commit(
        self, branch: str, files: Mapping[str, str | bytes | None], message: str | bytes = "by hand"
    ) -> str:
        """Add, change or (None) remove files on a branch, as a person with a checkout would."""
        parent = self.tip(branch)
        message = message.encode() if isinstance(message, str) else message
        stream = [f"commit refs/heads/{branch}\nmark :1\n".encode()]
        stream += [f"{role} {_identity(role)}\n".encode() for role in ("author", "committer")]
        stream += [b"data %d\n%b\n" % (len(message), message), f"from {parent}\n".encode() if parent else b""]
        for path, text in files.items():
            if text is None:
                stream.append(f"D {path}\n".encode())
            else:
                content = text.encode() if isinstance(text, str) else text
                stream.append(b"M 100644 inline %b\ndata %d\n%b\n" % (path.encode(), len(content), content))
        # One process, where each file and each step on the way would need one of its own.
        done = subprocess.run(
            ["git", "fast-import", "--quiet"],
            cwd=self.path,
            input=b"".join([*stream, b"get-mark :1\n"]),
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()

    def commit_code(self, files: Mapping[str, str | bytes | None] | None = None) -> str:
        return self.commit("main", files or CODE, "code")

    def tip(self, branch: str) -> str | None:
        return self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}").strip() or None

    @property
    def head(self) -> str:
        tip = self.tip("main")
        assert tip
        return tip

    def release(self, environment: str) -> dict[str, Any]:
        """The release file of an environment, parsed."""
        text = self.git("show", f"environments:{environment}/release.yaml")
        release: dict[str, Any] = yaml.safe_load(text)
        return release

    def subjects(self) -> list[str]:
        """First lines of the log of the environments branch, newest first."""
        return self.git("log", "--format=%s", "environments").splitlines()

    def message(self) -> str:
        return self.git("log", "-1", "--format=%B", "environments")


@dataclass(frozen=True)
class Pushed:
    repository: str
    digest: str

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


class Registry:
    """A running registry."""

    def __init__(self, host: str, login: tuple[str, str] | None = None) -> None:
        self.host = host
        self.repository = f"{host}/crm"
        self._http = httpx.Client(base_url=f"http://{host}/v2/crm", auth=login)

    def close(self) -> None:
        self._http.close()

    def push(self, revision: str | None = None, version: str | None = None, tag: str | None = None) -> Pushed:
        """Push an image without layers but with labels."""
        labels = {
            f"org.opencontainers.image.{key}": value
            for key, value in {"revision": revision, "version": version}.items()
            if value
        }
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Labels": labels}}).encode()
        kind = "application/vnd.oci.image.manifest.v1+json"
        manifest = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": self._blob(config),
                "size": len(config),
            },
            "layers": [],
        }
        return self._manifest(manifest, kind, tag)

    def push_index(self, *entries: tuple[Pushed, str]) -> Pushed:
        """Push an index of images, each with its operating system."""
        kind = "application/vnd.oci.image.index.v1+json"
        manifests = [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": pushed.digest,
                "size": self._size(pushed.digest),
                "platform": {"os": system, "architecture": "amd64"},
            }
            for pushed, system in entries
        ]
        return self._manifest({"schemaVersion": 2, "mediaType": kind, "manifests": manifests}, kind, None)

    def _blob(self, content: bytes) -> str:
        digest = _digest(content)
        place = self._http.post("/blobs/uploads/").raise_for_status().headers["location"]
        self._http.put(httpx.URL(place).copy_add_param("digest", digest), content=content).raise_for_status()
        return digest

    def _manifest(self, manifest: dict[str, Any], kind: str, tag: str | None) -> Pushed:
        content = json.dumps(manifest).encode()
        name = tag or _digest(content)
        self._http.put(
            f"/manifests/{name}", content=content, headers={"Content-Type": kind}
        ).raise_for_status()
        return Pushed(self.repository, _digest(content))

    def _size(self, digest: str) -> int:
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        return len(self._http.get(f"/manifests/{digest}", headers=accept).raise_for_status().content)


def _identity(role: str) -> str:
    """As Git has it from the environment."""
    name, email, date = (os.environ.get(f"GIT_{role.upper()}_{what}") for what in ("NAME", "EMAIL", "DATE"))
    at = datetime.fromisoformat(date) if date else datetime.now(tz=UTC)
    return f"{name} <{email}> {at.timestamp():.0f} +0000"


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
