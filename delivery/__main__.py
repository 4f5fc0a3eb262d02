import sys

from delivery.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
