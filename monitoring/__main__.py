"""python -m monitoring: write every file that is made from monitoring/objectives.py.

python -m monitoring alertmanager: print Alertmanager's configuration.
python -m monitoring charts PROMETHEUS MINUTES FOLDER [END]: draw the dashboards' last minutes before END (now).
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import yaml

from monitoring import alertmanager, dashboard_charts, dashboards, generated

match sys.argv[1:]:
    case []:
        for path in generated.write():
            print(f"wrote {path.relative_to(generated.REPOSITORY)}")
    case ["alertmanager"]:
        print(yaml.safe_dump(alertmanager.configuration(), sort_keys=False), end="")
    case ["charts", prometheus, minutes, folder, *ends] if len(ends) < 2:  # noqa: PLR2004
        end = datetime.fromisoformat(ends[0]).astimezone(UTC) if ends else None
        for nothing in dashboard_charts.draw_all(
            dashboards.DASHBOARDS, dashboard_charts.Prometheus(prometheus), float(minutes), Path(folder), end
        ):
            print(f"nothing to show: {nothing}")
    case unknown:
        sys.exit(
            "python -m monitoring: nothing, `alertmanager` or `charts PROMETHEUS MINUTES FOLDER [END]` follows, "
            f"not {' '.join(unknown)}."
        )
