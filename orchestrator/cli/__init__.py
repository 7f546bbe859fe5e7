"""The command line, ``leasehold``. Importing this imports nothing else: ``--help`` has to be quick."""


def main() -> int:
    """Run the command line on this process's arguments; gives its exit code."""
    try:
        import gc
        import sys

        gc.disable()  # nothing that an import makes is garbage: looking for it is a fifth of a short command's time
        from leasehold.orchestrator.cli.program import leave, program

        leave(program(sys.argv[1:]))
    except KeyboardInterrupt:
        return 130


__all__ = ["main"]
