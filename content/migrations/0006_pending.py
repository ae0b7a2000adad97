"""What waits beside what is published is found by an index, and locales are in their usual case."""

from tortoise import migrations
from tortoise.migrations import operations as ops

from content import locales


async def index(apps, editor):
    await editor.client.execute_query(
        "CREATE INDEX idx_content_pending ON content (pending_status, published_at, id) "
        "WHERE pending_status IS NOT NULL"
    )


async def fold(apps, editor):
    marks = ("?", "?") if editor.DIALECT == "sqlite" else ("$1", "$2")
    update = "UPDATE content SET locale = {} WHERE locale = {}".format(*marks)
    for row in await editor.client.execute_query_dict("SELECT DISTINCT locale FROM content"):
        folded = locales.fold(row["locale"])
        if folded != row["locale"]:
            await editor.client.execute_query(update, [folded, row["locale"]])


class Migration(migrations.Migration):
    dependencies = [("content", "0005_lists")]

    initial = False

    operations = [
        ops.RunPython(code=fold),
        ops.RunPython(code=index),
    ]
