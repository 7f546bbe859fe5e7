"""DBOS Transact: so many workflows in flight, in the third of six steps; without any, what recovers them."""

import asyncio
import os
import sys

from dbos import DBOS

url, executor, ran, lives = sys.argv[1:]
DBOS(config={"name": "killed", "system_database_url": url, "log_level": "ERROR", "executor_id": executor})
log = os.open(ran, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
flying = asyncio.Semaphore(0)


@DBOS.step()
async def step(number: int) -> None:
    os.write(log, f"{number}{' last' if number == 5 else ''}\n".encode())
    if number == 2 and int(lives):
        flying.release()
        await asyncio.Event().wait()


@DBOS.workflow()
async def workflow() -> None:
    for number in range(6):
        await step(number)


async def main() -> None:
    DBOS.launch()
    for _ in range(int(lives)):
        await DBOS.start_workflow_async(workflow)
    for _ in range(int(lives)):
        await flying.acquire()
    print("in flight", flush=True)  # noqa: T201 - whoever kills it waits for the line
    await asyncio.sleep(600)


asyncio.run(main())
