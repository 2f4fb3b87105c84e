"""``python -m pictag`` is ``pictag``."""

import sys

from pictag.cli import main

if __name__ == "__main__":
    sys.exit(main())
