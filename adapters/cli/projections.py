"""`cowork projections …`: the read models, which can be made again from the log at any time."""

from cyclopts import App

from . import output
from .opening import opened
from .options import PLAIN_OPTIONS, Options

app = App(name="projections", help="Make the read models again from the log.")


@app.command(name="rebuild")
def rebuild(*, options: Options = PLAIN_OPTIONS) -> None:
    """Empty every read model and fold the whole log into it again.

    Nothing is lost by it: the log is the truth, and the read models are made of it.

        cowork projections rebuild
    """
    with opened(options) as engine:
        position = engine.rebuild_projections()
    if options.json:
        output.document({"position": position})
    else:
        output.line(f"rebuilt up to position {position}")
