# A drill's fault: a migration that PostgreSQL refuses.
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = (("deals", "0002_sales_pipeline"),)
    operations = (migrations.RunSQL("SELECT 1 / 0", migrations.RunSQL.noop),)
