"""python -m monitoring: write every file that is made from monitoring/objectives.py.

python -m monitoring alertmanager: print Alertmanager's configuration.
python -m monitoring pictures PROMETHEUS MINUTES FOLDER: draw the dashboards' last minutes.
"""

import sys
from pathlib import Path

import yaml

from monitoring import alertmanager, dashboards, generated, pictures

match sys.argv[1:]:
    case []:
        for path in generated.write():
            print(f"wrote {path.relative_to(generated.REPOSITORY)}")
    case ["alertmanager"]:
        print(yaml.safe_dump(alertmanager.configuration(), sort_keys=False), end="")
    case ["pictures", prometheus, minutes, folder]:
        for nothing in pictures.draw_all(
            dashboards.DASHBOARDS, pictures.Source(prometheus), float(minutes), Path(folder)
        ):
            print(f"nothing to show: {nothing}")
    case unknown:
        sys.exit(
            "python -m monitoring: nothing, `alertmanager` or `pictures PROMETHEUS MINUTES FOLDER` follows, "
            f"not {' '.join(unknown)}."
        )
