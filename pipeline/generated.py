"""`python -m pipeline.generated`: are the generated files what they would be made anew?"""

from __future__ import annotations

import sys

from monitoring import generated
from pipeline import chart_readme, openapi
from pipeline.errors import Refuses


def main() -> int:
    try:
        stale = [*generated.stale(), *(each.FILE for each in (openapi, chart_readme) if each.is_stale())]
    except Refuses as refusal:
        print(f"generated: {refusal}", file=sys.stderr)
        return 1
    outdated = [str(path.relative_to(generated.REPOSITORY)) for path in stale]
    if outdated:
        listed = ", ".join(outdated)
        print(
            f"generated: {listed} would be made otherwise now: run make generated and commit it.",
            file=sys.stderr,
        )
    return 1 if outdated else 0


if __name__ == "__main__":
    sys.exit(main())
