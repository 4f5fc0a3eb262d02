"""`python -m pipeline.generated`: are the generated files what they would be made anew?"""

from __future__ import annotations

import sys

from monitoring import generated
from pipeline import chart_readme, openapi
from pipeline.errors import Refuses, gate


@gate("generated")
def main() -> int:
    stale = [*generated.stale(), *(each.FILE for each in (openapi, chart_readme) if each.is_stale())]
    if stale:
        listed = ", ".join(str(path.relative_to(generated.REPOSITORY)) for path in stale)
        raise Refuses(f"{listed} would be made otherwise now: run make generated and commit it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
