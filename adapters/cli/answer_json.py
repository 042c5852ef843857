"""An answer as programs get it where something is remembered of it."""

import msgspec

from ...engine.application import Offer
from ...projections.confirmation_inbox import Confirmation


class RememberedAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The JSON object of an answered question, and of what is remembered of it."""

    confirmation: Confirmation
    remembered: Offer
