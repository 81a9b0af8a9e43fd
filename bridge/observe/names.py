"""The names of a target, as events tell them, in whatever order they come."""

from collections.abc import Iterable

from bridge.events import TargetIdentity, simplify_name

__all__ = ["LONGEST_NAME", "MOST_NAMES", "TargetNames"]

MOST_NAMES = 100
"""Names of one target; in what others publish there may be any number. The shortest are kept, whichever came first."""
LONGEST_NAME = 500
"""Characters of a name that is followed; a TOM takes 100."""


class TargetNames:
    """The names of the target that is asked for, compared as TOM Toolkit compares names.

    They are the name that is asked for, and all that a target with this very name has in any event. So aliases are followed
    one step and no farther, and a wrong alias joins no third target to it. Which they are does not depend on the order of the
    events; but what is about the target is known only when all of them were met: look for names first, or look again if
    `meet` says that there are more.

    Parameters
    ----------
    asked
        Its name, or one of its aliases.
    """

    def __init__(self, asked: str) -> None:
        self.asked = simplify_name(asked)
        self._others: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return 1 + len(self._others)

    def __contains__(self, name: str) -> bool:
        simple = simplify_name(name)
        return simple == self.asked or simple in self._others

    @property
    def all(self) -> frozenset[str]:
        """The names so far, as `bridge.events.simplify_name` has them."""
        return self._others | {self.asked}

    def meet(self, target: TargetIdentity) -> bool:
        """Take the names of a target in an event, if it is the one that is asked for; return whether there are others now."""
        found = set(map(simplify_name, target.names))
        if self.asked not in found:
            return False
        others = _shortest(self._others | {name for name in found - {self.asked} if len(name) <= LONGEST_NAME})
        is_news, self._others = others != self._others, others
        return is_news

    def is_about(self, target: TargetIdentity) -> bool:
        """Whether a target in an event is the one, as far as its names are known by now."""
        return any(name in self for name in target.names)


def _shortest(names: Iterable[str]) -> frozenset[str]:
    return frozenset(sorted(names, key=lambda name: (len(name), name))[: MOST_NAMES - 1])
