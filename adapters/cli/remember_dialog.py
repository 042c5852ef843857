"""The key `m` of a question: what of a yes is to be remembered, chosen key by key and shown before it is kept."""

import os
from collections.abc import Callable
from typing import Final, TypeAlias

from ...domain.errors import DomainError
from ...domain.policy_remember import RememberScope, Wish
from ...engine.application import Offer
from ...projections.visible_text import visible
from . import output
from .keyboard import Keyboard
from .remember import print_offer

MakeOffer: TypeAlias = Callable[[str, Wish], Offer]
"""Says what would be remembered of a question, or raises `DomainError`."""

_SCOPES: Final[dict[str, RememberScope]] = {"t": "task", "s": "session", "w": "workspace"}
_WHERE: Final = "  remember it    t in this task   s in this session   w in this folder, 30 days   Escape back"
_HOW_MUCH: Final = "  for how much   o only this   f all in its folder   c any arguments   Escape back"
_KEEP: Final = "  keep it?       y approve, and keep that   Escape back"


class RememberDialog:
    """Asks where a yes is to hold and for how much; every choice but the last can be taken back."""

    def __init__(self, keyboard: Keyboard, confirmation_id: str, make_offer: MakeOffer, store: str) -> None:
        self._keyboard = keyboard
        self._confirmation_id = confirmation_id
        self._make_offer = make_offer
        self._store = store

    def run(self, seconds: float) -> Offer | None:
        """Return what the person wants to keep; None to go back to the question. Raises `Woken`."""
        scope = _SCOPES.get(self._choice(_WHERE, "tsw", seconds))
        if scope is None:
            return None
        how_much = self._choice(_HOW_MUCH, "ofc", seconds)
        if not how_much:
            return None
        try:
            offer = self._offer(scope, how_much)
        except DomainError as error:
            output.line(f"  {visible(error.message)}")
            return None
        output.line()
        print_offer(offer, self._store)
        return offer if self._choice(_KEEP, "y", seconds) else None

    def _choice(self, text: str, keys: str, seconds: float) -> str:
        """Return one of the keys; nothing for going back, or when the time is over."""
        output.line(text)
        output.flush()
        self._keyboard.settle()
        while True:
            key = self._keyboard.key(seconds)
            if key is None or key in ("", "q", "\x1b", "\x04"):
                return ""
            if key in keys:
                return key

    def _offer(self, scope: RememberScope, how_much: str) -> Offer:
        exact = self._make_offer(self._confirmation_id, Wish(scope=scope))
        approval = exact.approval
        if how_much == "f" and approval.path_prefix is not None and approval.command_prefix is None:
            within = os.path.dirname(approval.path_prefix)
            return self._make_offer(self._confirmation_id, Wish(scope=scope, within=within))
        if how_much == "c" and approval.command_prefix:
            return self._make_offer(self._confirmation_id, Wish(scope=scope, command=approval.command_prefix[:1]))
        return exact
