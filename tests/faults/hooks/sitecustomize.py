"""Python runs this at its start where a test puts this folder on PYTHONPATH: faults for processes that others start.

SEGCORE_TEST_FAULTS holds a JSON list of plans (see inject.arm); each is for processes run as `python -m module`.
"""

from __future__ import annotations

import json
import os
import sys

for plan in json.loads(os.environ.get("SEGCORE_TEST_FAULTS", "[]")):
    if plan["module"] in sys.orig_argv:
        from tests.faults import inject

        inject.arm(plan)
