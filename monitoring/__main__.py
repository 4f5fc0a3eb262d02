"""python -m monitoring: write every file that is made from monitoring/objectives.py."""

from monitoring import generated

for path in generated.write():
    print(f"wrote {path.relative_to(generated.REPOSITORY)}")
