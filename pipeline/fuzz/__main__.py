"""`make fuzz`: does every answer keep to docs/openapi.yaml, whatever is sent, and does no team see another's records?

The CRM is served as in production. Nobody, Alice and Bob of one team and Charlie of another try what the other team
has, send the corpus, and have schemathesis ask whatever the document allows and does not. SEED=… asks something else.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

from pipeline import serving
from pipeline.errors import gate
from pipeline.fuzz import answers, generated, people
from pipeline.fuzz.corpus import requests

SEED = 26
# Else most would be answered 429 at once. E-mail proofs are limited as in production, so that 429 is seen too.
LIMITED = ("SIGN_UP", "SIGN_IN", "REFRESH", "INVITATIONS")
LIMITS = {f"RATE_{name}_{kind}": "1000000/hour" for name in LIMITED for kind in ("ADDRESS", "ACCOUNT")}


@gate("fuzz")
def main() -> int:
    started = monotonic()
    seed = int(os.environ.get("SEED") or SEED)
    found = answers.Answers()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crm-fuzz-")))
        serving.prepare(stack, folder)
        ours, theirs = people.teams()
        address, web = serving.web(stack, folder, **LIMITS)
        asker = stack.enter_context(answers.Asker(address))
        nobody = people.Caller("nobody")
        everybody = (nobody, *ours.members, *theirs.members)
        # In this order: what is made up deletes what there was.
        for team, other in ((ours, theirs), (theirs, ours)):
            for caller in (nobody, *team.members):
                found.add(asker.try_what_another_team_has(caller, other.keys))
        for caller in everybody:
            for request in requests():
                found.add(asker.ask(caller, request))
        for caller in everybody:
            found.add(generated.asked(caller, address, seed, folder))
        if '"level": "ERROR"' in web.output():
            found.violations.append(f"The log has errors:\n{web.output()[-5000:]}")
    for violation in found.violations:
        print(violation, end="\n\n")
    took = monotonic() - started
    print(f"fuzz: {found}, seed {seed}, {took:.0f} s")
    return 1 if found.violations or found.server_errors or not found.requests else 0


if __name__ == "__main__":
    sys.exit(main())
