"""Lets the database itself keep the books: entries written with their transfer, nothing changed.

An application that may only insert transfers cannot unbalance the ledger, whatever bug it has.
"""

from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = ("ledger_transfer", "ledger_entry")
UNSOUND_TRANSFER = """
    NEW.amount < 1
    OR NEW.from_account_id = NEW.to_account_id
    OR (SELECT program_id FROM ledger_account WHERE id = NEW.from_account_id)
        <> (SELECT program_id FROM ledger_account WHERE id = NEW.to_account_id)
    OR (SELECT asset FROM ledger_account WHERE id = NEW.from_account_id)
        <> (SELECT asset FROM ledger_account WHERE id = NEW.to_account_id)
"""
UNSOUND_ENTRY = """
    NOT EXISTS (
        SELECT 1 FROM ledger_transfer AS transfer WHERE transfer.id = NEW.transfer_id AND (
            (transfer.from_account_id = NEW.account_id AND NEW.amount = -transfer.amount)
            OR (transfer.to_account_id = NEW.account_id AND NEW.amount = transfer.amount)
        )
    )
"""
WRITE_ENTRIES = """
    INSERT INTO ledger_entry (transfer_id, account_id, amount) VALUES
        (NEW.id, NEW.from_account_id, -NEW.amount), (NEW.id, NEW.to_account_id, NEW.amount);
"""


def _sqlite():
    for table in TABLES:
        for event in ("UPDATE", "DELETE"):
            yield f"""CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table}
                BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"""
    yield f"""CREATE TRIGGER ledger_transfer_sound BEFORE INSERT ON ledger_transfer
        WHEN {UNSOUND_TRANSFER}
        BEGIN SELECT RAISE(ABORT, 'a transfer needs an amount and two accounts of one kind'); END"""
    # INSERT OR REPLACE would delete the old row without asking the trigger against deletes.
    yield """CREATE TRIGGER ledger_transfer_once BEFORE INSERT ON ledger_transfer
        WHEN EXISTS (SELECT 1 FROM ledger_transfer WHERE key = NEW.key OR id = NEW.id)
        BEGIN SELECT RAISE(ABORT, 'this transfer was posted before'); END"""
    yield """CREATE TRIGGER ledger_entry_once BEFORE INSERT ON ledger_entry
        WHEN EXISTS (
            SELECT 1 FROM ledger_entry WHERE id = NEW.id
            OR (transfer_id = NEW.transfer_id AND account_id = NEW.account_id)
        )
        BEGIN SELECT RAISE(ABORT, 'this entry was written before'); END"""
    yield f"""CREATE TRIGGER ledger_entry_sound BEFORE INSERT ON ledger_entry
        WHEN {UNSOUND_ENTRY}
        BEGIN SELECT RAISE(ABORT, 'an entry belongs to its transfer'); END"""
    yield f"""CREATE TRIGGER ledger_transfer_entries AFTER INSERT ON ledger_transfer
        BEGIN {WRITE_ENTRIES} END"""


def _postgres():
    yield """CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'integrity_constraint_violation';
        END $$"""
    for table in TABLES:
        yield f"""CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()"""
    yield f"""CREATE FUNCTION ledger_transfer_sound() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF {UNSOUND_TRANSFER} THEN
                RAISE EXCEPTION 'a transfer needs an amount and two accounts of one kind'
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END $$"""
    yield """CREATE TRIGGER ledger_transfer_sound BEFORE INSERT ON ledger_transfer
        FOR EACH ROW EXECUTE FUNCTION ledger_transfer_sound()"""
    yield f"""CREATE FUNCTION ledger_entry_sound() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF {UNSOUND_ENTRY} THEN
                RAISE EXCEPTION 'an entry belongs to its transfer'
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END $$"""
    yield """CREATE TRIGGER ledger_entry_sound BEFORE INSERT ON ledger_entry
        FOR EACH ROW EXECUTE FUNCTION ledger_entry_sound()"""
    yield f"""CREATE FUNCTION ledger_transfer_entries() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            {WRITE_ENTRIES}
            RETURN NULL;
        END $$"""
    yield """CREATE TRIGGER ledger_transfer_entries AFTER INSERT ON ledger_transfer
        FOR EACH ROW EXECUTE FUNCTION ledger_transfer_entries()"""


async def guard(apps, editor):
    # One statement at a time: a script would be split at the semicolons inside the bodies.
    for statement in _sqlite() if editor.DIALECT == "sqlite" else _postgres():
        await editor.client.execute_query(statement)


class Migration(migrations.Migration):
    dependencies = [("members", "0001_initial")]

    operations = [ops.RunPython(guard)]
