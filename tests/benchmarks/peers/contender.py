"""One contender in a process of its own: ``contender.py NAME URL POSTMASTER CONCURRENT LIVES COMMITS``.

Prints lives per second, and CPU milliseconds of client and server a life, as JSON. ``COMMITS`` is a file with
the commits of one of our lives, for those that write the same rows by hand.
"""

import asyncio
import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))


async def main(commits: Any) -> None:
    name, url, postmaster, concurrent, lives = sys.argv[1:6]
    from server_cpu import server_cpu

    module = import_module(name)
    async with module.opened(url, int(concurrent), commits) as life:
        await asyncio.gather(*(life() for _ in range(int(concurrent))))  # what is made once is made here
        left = iter(range(int(lives)))

        async def work() -> None:
            for _ in left:
                await life()

        server, client, began = server_cpu(int(postmaster)), time.process_time(), time.perf_counter()
        await asyncio.gather(*(work() for _ in range(int(concurrent))))
        took, client = time.perf_counter() - began, time.process_time() - client
        cpu = client + server_cpu(int(postmaster)) - server
        json.dump({"lives": int(lives) / took, "cpu": cpu / int(lives) * 1000}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[6]).read_text())))
