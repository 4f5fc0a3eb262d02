"""What only the finished images show, asked of pods that run them."""

from __future__ import annotations

import pytest

from drills.fixtures import local_cluster

# Prints each module whose bytecode Python would not use as it lies there: it is missing, or still compared with the
# source. The second word of a .pyc says which: 1 is a hash of the source that nobody checks (PEP 552).
SCRIPT = """
import importlib.util, pathlib
for folder in ("/app", "/opt/venv/lib"):
    sources = list(pathlib.Path(folder).rglob("*.py"))
    assert len(sources) > 10, folder
    for source in sources:
        bytecode = pathlib.Path(importlib.util.cache_from_source(source))
        if not bytecode.exists() or bytecode.read_bytes()[4:8] != bytes([1, 0, 0, 0]):
            print(source)
"""


@pytest.mark.e2e
@pytest.mark.usefixtures("kubernetes")
@pytest.mark.parametrize(
    ("namespace", "deployment"), [("crm-production", "crm-worker"), ("argocd", "delivery-guard")]
)
def test_no_module_is_compiled_when_a_pod_starts(namespace: str, deployment: str) -> None:
    in_the_pod = f"kubectl exec --namespace {namespace} deployment/{deployment} -- python -c"
    compiled_anew = local_cluster.output([*in_the_pod.split(), SCRIPT]).splitlines()
    assert not compiled_anew[:5], f"{len(compiled_anew)} modules"
