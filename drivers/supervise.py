"""The program that starts a supervisor: ``python -I -S supervise.py CONTROL FOLDER PAUSE [CALLER]``.

CONTROL is the number of an inherited stream socket to its caller, FOLDER the lease's, PAUSE the seconds
between SIGTERM and SIGKILL. CALLER is that of an inherited descriptor of the caller's process, where
we are the first process of a namespace and it is not our parent; FOLDER is a descriptor's number then, too.

Importing our package by its name would import every driver, and would need a search path; so this program
puts an empty one in its place, whose modules are the files beside this one.
"""

import os
import sys


def main() -> None:
    """Serve the lease that the arguments name."""
    for name in ("leasehold", "leasehold.drivers"):
        package = sys.modules[name] = type(sys)(name)
        package.__path__ = [os.path.dirname(__file__)]  # noqa: PTH120  (pathlib is half of a start)
    from leasehold.drivers.supervisor import supervise

    caller = int(sys.argv[4]) if len(sys.argv) > 4 else None
    supervise(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), caller)


if __name__ == "__main__":
    main()
