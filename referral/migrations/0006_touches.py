"""Touches are found with all that a decision asks of them, and kept without being locked for it."""

from tortoise import migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from core.migrating import Together

COVERING = Index(fields=["visitor", "touched_at", "link_id", "bot_reason", "id"])

# For each verdict, PostgreSQL looked for its touch and wrote a lock into it: four pages anywhere
# among millions were read and rewritten for a conversion. What keeps a verdict's touch there is
# that no touch ever goes. On SQLite nothing is written for that, and the constraint stays.
POSTGRES = (
    "ALTER TABLE touch_verdict DROP CONSTRAINT touch_verdict_touch_id_fkey",
    """CREATE FUNCTION touch_kept() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'a touch is never deleted'
                USING ERRCODE = 'integrity_constraint_violation';
        END $$""",
    """CREATE TRIGGER touch_kept BEFORE UPDATE OF id OR DELETE OR TRUNCATE ON touch
        FOR EACH STATEMENT EXECUTE FUNCTION touch_kept()""",
)
SQLITE = (
    """CREATE TRIGGER touch_kept BEFORE DELETE ON touch
        BEGIN SELECT RAISE(ABORT, 'a touch is never deleted'); END""",
)


async def keep(apps, editor):
    # One statement at a time: a script would be split at the semicolons inside the bodies.
    for statement in SQLITE if editor.DIALECT == "sqlite" else POSTGRES:
        await editor.client.execute_query(statement)


class Migration(migrations.Migration):
    dependencies = [("referral", "0005_risk")]

    initial = False

    operations = [
        Together(
            [
                ops.RemoveIndex(model_name="Touch", name=None, fields=["visitor"]),
                ops.AddIndex(model_name="Touch", index=COVERING),
            ]
        ),
        ops.RunPython(keep),
    ]
