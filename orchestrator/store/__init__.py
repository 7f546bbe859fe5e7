"""The ledger: tables, migrations, the one writer, readers, and the store's own clock."""
