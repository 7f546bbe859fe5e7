"""The command line, ``leasehold``. Importing this imports nothing else: ``--help`` has to be quick."""


def main() -> int:
    """Run the command line on this process's arguments; gives its exit code."""
    try:
        import sys

        from leasehold.orchestrator.cli.program import program

        return program(sys.argv[1:])
    except KeyboardInterrupt:
        return 130


__all__ = ["main"]
