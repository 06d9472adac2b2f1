"""`python -m tests.security`: mutated videos through the sandbox."""

import sys

from tests.security.fuzz import main

sys.exit(main())
