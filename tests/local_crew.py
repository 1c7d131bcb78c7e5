"""A crew in this process: several units handed out before the first is done, in a mixed order."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator
from typing import Any

from reindex.build.hand import Done, Hand, Orders, Unit
from reindex.protocols import DocumentSource, Encoder, RereadableSource, Store


class LocalCrew:
    """Implements `build.hand.Crew`. What goes to a hand and comes back is pickled, as for another
    process.

    Args:
        store, encoder: of the hands.
        unit: documents per unit.
        together: units that are out at the same time.
        lose: called with a unit once it is done; whether it was lost all the same.
    """

    def __init__(
        self,
        store: Store,
        encoder: Encoder,
        *,
        unit: int = 4,
        together: int = 3,
        lose: Callable[[Unit], bool] = lambda unit: False,
    ) -> None:
        self._store, self._encoder = store, encoder
        self.unit, self._together, self._lose = unit, together, lose
        self._random = random.Random(1)
        self.units = 0

    def work(
        self, orders: Orders, source: DocumentSource, units: Iterator[Unit | None]
    ) -> Iterator[tuple[Unit, Done]]:
        again = source if isinstance(source, RereadableSource) else None
        hand = Hand(_copied(orders), again, self._encoder, self._store)
        out: list[Unit] = []
        error: Exception | None = None
        more = True
        while out or (more and error is None):
            while more and error is None and len(out) < self._together:
                try:
                    unit = next(units)
                except StopIteration:
                    more = False
                except Exception as raised:
                    error = raised
                else:
                    if unit is None:
                        assert out, "nothing to do and nothing to wait for"
                        break
                    self.units += 1
                    out.append(unit)
            if not out:
                continue
            unit = out.pop(self._random.randrange(len(out)))
            try:
                done = hand.work(_copied(unit))
            except Exception as raised:
                error = error or raised
                continue
            if self._lose(unit):
                out.append(unit.lost())
                continue
            yield unit, _copied(done)
        if error is not None:
            raise error


def _copied(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))
