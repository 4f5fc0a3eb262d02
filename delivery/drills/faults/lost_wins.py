# A drill's fault, appended to the module that gunicorn loads: no stage counts as won, so no deal is ever won.
from crm.deals.models import Stage


def break_it() -> None:
    Stage.is_won = property(lambda _: False, lambda _stage, _value: None)  # type: ignore[assignment]
