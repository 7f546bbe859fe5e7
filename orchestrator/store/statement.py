"""The one statement with which a batch of writes goes to PostgreSQL.

A write that is stale, whose environment has changed or whose hold is taken falls away alone, and its
journal rows with it. Where that cannot be told in one statement, because another session decided it
meanwhile, the statement divides by zero on purpose: nothing of the batch is written, and it is done
again one by one.

A slot that is given back is told to those who wait (``hints``).
"""

from collections.abc import Sequence
from typing import Any

from leasehold.orchestrator.store import columns
from leasehold.orchestrator.store.hints import SLOT
from leasehold.orchestrator.store.schema import Schema
from leasehold.orchestrator.store.write import Write
from pydantic_core import to_json
from sqlalchemy import Dialect

_CHANGING = tuple(name for name in columns.CHANGING if name != "epoch")
_JOURNAL = tuple(name for name in columns.JOURNAL if name != "epoch")


class BatchStatement:
    """Its text, with three JSON parameters: writes, and journal rows and activities by lease.

    Its rows are (lease id, epoch) of the writes that applied.
    """

    def __init__(self, schema: Schema, dialect: Dialect) -> None:
        quoted = dialect.identifier_preparer.format_table
        assert schema.epochs is not None
        channel = schema.channel.replace("'", "''").replace("%", "%%")
        names = {
            "channel": f"'{channel}'",
            "slots": f"^{SLOT}[^:]*",
            "lease": quoted(schema.lease),
            "journal": quoted(schema.journal),
            "hold": quoted(schema.hold),
            "activity": quoted(schema.activity),
            "environment": quoted(schema.environment),
            "epochs": dialect.identifier_preparer.format_sequence(schema.epochs),
            "created": _list(columns.TERMS + _CHANGING),
            "created_values": _list(columns.TERMS + _CHANGING, "r."),
            "changing": _list(_CHANGING),
            "changing_values": _list(_CHANGING, "r."),
            "journal_columns": _list(_JOURNAL),
            "journal_values": _list(_JOURNAL, "r."),
            "activity_columns": _list(columns.ACTIVITY),
            "activity_values": _list(columns.ACTIVITY, "r."),
        }
        self.text = _TEXT.format_map(names).encode()

    def parameters(self, writes: Sequence[Write]) -> tuple[str, str, str]:
        """Raises ``ValueError`` where a value is no text."""
        items = [_item(write) for write in writes]
        journal = {
            write.lease_id: [dict(zip(columns.JOURNAL, row, strict=True)) for row in write.journal(0)]
            for write in writes
        }
        activities = {
            write.lease_id: dict(zip(columns.ACTIVITY, write.activity, strict=True))
            for write in writes
            if write.activity is not None
        }
        return to_json(items).decode(), to_json(journal).decode(), to_json(activities).decode()


def _item(write: Write) -> dict[str, Any]:
    changing = write.changing
    if write.terms is not None:
        row = dict(zip(columns.TERMS + columns.CHANGING, (*write.terms, *changing), strict=True))
    elif write.before is None:
        row = dict(zip(columns.CHANGING, changing, strict=True))
    else:
        every = zip(columns.CHANGING, changing, write.before, strict=True)
        row = {name: value for name, value, before in every if value != before}
    item: dict[str, Any] = {"id": write.lease_id, "row": row, "next": changing[columns.EPOCH]}
    if write.version is not None:
        item["version"], item["epoch"] = write.version, write.epoch
    if write.draws:
        item["draws"] = True
    if write.environment is not None:
        item["environment"], item["environment_version"] = write.environment
    if write.holds:
        item["holds"] = write.holds
    if write.frees:
        item["frees"] = True
    return item


def _list(names: Sequence[str], before: str = "") -> str:
    return ", ".join(f'{before}"{name}"' for name in names)


_TEXT = """
WITH asked AS (
  SELECT * FROM jsonb_to_recordset(%s::jsonb) AS a (
    id text, version int, epoch bigint, next bigint, draws bool,
    environment text, environment_version int, holds jsonb, frees bool, "row" jsonb)
), fit AS (
  SELECT a.*, CASE WHEN draws THEN nextval('{epochs}') ELSE next END AS drawn
  FROM asked a
  WHERE (environment IS NULL OR EXISTS (
      SELECT FROM {environment} e
      WHERE e.id = a.environment AND e.version = a.environment_version AND e.status = 'active'))
    AND (holds IS NULL OR (
      NOT EXISTS (SELECT FROM jsonb_array_elements_text(a.holds) s JOIN {hold} h ON h.subject = s)
      AND (version IS NULL OR EXISTS (
        SELECT FROM {lease} l WHERE l.id = a.id AND l.version = a.version AND l.epoch = a.epoch))))
), holding AS (
  INSERT INTO {hold} (subject, lease_id)
  SELECT s, fit.id FROM fit, jsonb_array_elements_text(fit.holds) s
  ON CONFLICT DO NOTHING RETURNING lease_id
), able AS (
  SELECT * FROM fit
  WHERE holds IS NULL
     OR jsonb_array_length(holds) = (SELECT count(*) FROM holding WHERE holding.lease_id = fit.id)
), created AS (
  INSERT INTO {lease} ({created}, epoch)
  SELECT {created_values}, able.drawn
  FROM able, jsonb_populate_record(NULL::{lease}, able."row") r
  WHERE able.version IS NULL
  RETURNING id, epoch
), changed AS (
  UPDATE {lease} l
  SET ({changing}) = (SELECT {changing_values} FROM jsonb_populate_record(l, able."row") r), epoch = able.drawn,
    end_requested = CASE WHEN able.draws THEN NULL ELSE l.end_requested END
  FROM able
  WHERE able.version IS NOT NULL AND l.id = able.id AND l.version = able.version AND l.epoch = able.epoch
  RETURNING l.id, l.epoch, able.frees
), done AS (
  SELECT id, epoch FROM created UNION ALL SELECT id, epoch FROM changed
), written AS (
  INSERT INTO {journal} ({journal_columns}, epoch)
  SELECT {journal_values}, done.epoch
  FROM done, jsonb_populate_recordset(NULL::{journal}, %s::jsonb -> done.id) r
), freed AS (
  DELETE FROM {hold} h USING changed WHERE changed.frees AND h.lease_id = changed.id
  RETURNING h.subject
), told AS (
  INSERT INTO {activity} ({activity_columns})
  SELECT {activity_values}
  FROM (SELECT %s::jsonb -> done.id AS j FROM done) d, jsonb_populate_record(NULL::{activity}, d.j) r
  WHERE d.j IS NOT NULL
  ON CONFLICT DO NOTHING
)
SELECT id, epoch FROM done
WHERE 1 = 1 / CASE WHEN EXISTS (
  SELECT FROM holding WHERE NOT EXISTS (SELECT FROM done WHERE done.id = holding.lease_id)) THEN 0 ELSE 1 END
  AND (SELECT count(pg_notify({channel}, topic)) >= 0
    FROM (SELECT DISTINCT substring(subject FROM '{slots}') AS topic FROM freed) t WHERE topic IS NOT NULL)
"""
