"""Inserting what may be there already."""

from typing import Any

from sqlalchemy import Connection, Insert, Table


def unless_there(connection: Connection, table: Table) -> Insert:
    """An insert that leaves a row that is there as it is."""
    insert: Any
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert  # each dialect takes a while to import
    else:
        from sqlalchemy.dialects.sqlite import insert
    statement: Insert = insert(table).on_conflict_do_nothing()
    return statement
