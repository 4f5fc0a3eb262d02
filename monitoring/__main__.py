"""python -m monitoring: write every file that is made from monitoring/objectives.py.

python -m monitoring alertmanager: print Alertmanager's configuration.
"""

import sys

import yaml

from monitoring import alertmanager, generated

match sys.argv[1:]:
    case []:
        for path in generated.write():
            print(f"wrote {path.relative_to(generated.REPOSITORY)}")
    case ["alertmanager"]:
        print(yaml.safe_dump(alertmanager.configuration(), sort_keys=False), end="")
    case unknown:
        sys.exit(f"python -m monitoring: nothing or `alertmanager` follows, not {' '.join(unknown)}.")
