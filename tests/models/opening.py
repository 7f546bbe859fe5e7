"""A process that opens a store and says which ledger it is."""

OPEN = """
import asyncio, sys
from leasehold.orchestrator.store.store import Store
async def main():
    store = await Store.open(sys.argv[1])
    print(store.ledger)
    await store.close()
asyncio.run(main())
"""
