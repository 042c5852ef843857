"""Sandbox: what was found when the sandbox of this machine was tried out. One aggregate for a store.

Commands run only where a try with the very same fingerprint (sandbox program, kernel, filters, user, version) showed
everything held that has to hold.
"""

from typing import ClassVar, Final, Literal, TypeAlias

import msgspec

from .event import Event

SANDBOX_STREAM: Final = "sandbox"
"""The one stream of a store's self tests."""

Standing: TypeAlias = Literal["enforced", "advisory", "absent"]
"""*enforced*: tried, and held. *advisory*: nothing but good will holds it. *absent*: tried and not held, or missing."""


class Canary(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """One thing that must not get through (or must work), tried out.

    `path` says by which way it was tried (`files`, `shell`, `code`, `network`); `detail` is a sentence on what was
    found, `hint` on what to do about it. Without all that are `needed`, commands are not carried out.
    """

    name: str
    path: str
    standing: Standing
    detail: str
    hint: str = ""
    needed: bool = True


class SandboxChecked(Event, frozen=True, kw_only=True):
    """The sandbox was tried out. `fingerprint` is `sha256:<hex>` of all that the result depends on."""

    TOPIC: ClassVar[str] = "sandbox.checked.v1"
    fingerprint: str
    canaries: tuple[Canary, ...]


class RecordCheck(msgspec.Struct, frozen=True):
    """Put a self test on record."""

    fingerprint: str
    canaries: tuple[Canary, ...]


class Checked(msgspec.Struct, frozen=True):
    """The last self test; before the first, one of nothing."""

    fingerprint: str = ""
    canaries: tuple[Canary, ...] = ()

    def missing(self, fingerprint: str, *, network: bool = False) -> tuple[Canary, ...]:
        """Return what commands (with `network`, those that reach hosts) need, and what was not shown to hold.

        Of a machine that is not the one that was tried, as it was then, nothing was shown.
        """
        if self.fingerprint != fingerprint or not self.canaries:
            return (_UNTRIED,)
        paths = ("shell", "code", "network") if network else ("shell", "code")
        needed = (canary for canary in self.canaries if canary.needed and canary.path in paths)
        return tuple(canary for canary in needed if canary.standing != "enforced")


_UNTRIED: Final = Canary(
    name="self-test",
    path="shell",
    standing="absent",
    detail="the sandbox has not been tried out on this machine",
    hint="run `cowork doctor`",
)
INITIAL: Final = Checked()


def decide(command: RecordCheck, state: Checked) -> tuple[SandboxChecked, ...]:
    """Return the events of the command: none where nothing is different from the last time."""
    if (command.fingerprint, command.canaries) == (state.fingerprint, state.canaries):
        return ()
    return (SandboxChecked(fingerprint=command.fingerprint, canaries=command.canaries),)


def evolve(_state: Checked, event: SandboxChecked) -> Checked:
    """Return the state after an event."""
    return Checked(event.fingerprint, event.canaries)
