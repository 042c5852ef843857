"""Where the cases that mount something are run: in a mount namespace of their own."""

from typing import Final

import pytest

NAMESPACES: Final = (
    pytest.param(("unshare", "--map-root-user", "--mount"), id="as an ordinary user"),
    pytest.param(("unshare", "--mount"), id="as root", marks=pytest.mark.as_root),
)
"""An ordinary user's comes with a user namespace, in which device nodes can't be made; root's does not."""
