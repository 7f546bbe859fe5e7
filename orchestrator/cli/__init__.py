"""The command line, ``leasehold``. Importing this imports nothing else: ``--help`` has to be quick."""


def main() -> int:
    """Run the command line on this process's arguments; gives its exit code."""
    try:
        import sys

        from leasehold.orchestrator.cli.program import leave_quietly, program

        code = program(sys.argv[1:])
        leave_quietly()
        return code
    except KeyboardInterrupt:
        return 130


__all__ = ["main"]
