"""The commits that the service made for people, by their ids: what makes each of them count as somebody's."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select

from reconciler.core.orders import Order
from reconciler.store import rows
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.tables import orders
from reconciler.store.texts import dump, load
from spaces.names import Revision, SpaceName


class OrderReading(ReadingBase):
    """The questions about orders, for a `Reading`."""

    def order(self, commit: Revision) -> Order | None:
        """Return what was ordered with a commit; None if the service did not make it."""
        row = self._connection.execute(select(orders.c.body).where(orders.c.commit == commit)).first()
        return None if row is None else _from_json(load(row.body))

    def order_on(self, branch: str) -> Order | None:
        """Return what was ordered last on a branch."""
        query = select(orders.c.body).where(orders.c.branch == branch).order_by(orders.c.at.desc()).limit(1)
        row = self._connection.execute(query).first()
        return None if row is None else _from_json(load(row.body))

    def orders(
        self, spaces: Collection[SpaceName] | None, subject: str, before: Order | None, limit: int
    ) -> list[Order]:
        """Return orders for some spaces (None: all), and all of one subject's, the newest first, behind `before`."""
        query = select(orders.c.body).order_by(orders.c.at.desc(), orders.c.commit).limit(limit)
        if spaces is not None:
            query = query.where(orders.c.space.in_(spaces) | (orders.c.subject == subject))
        if before is not None:
            at = rows.micros(before.at)
            query = query.where((orders.c.at < at) | ((orders.c.at == at) & (orders.c.commit > before.commit)))
        return [_from_json(load(row.body)) for row in self._connection.execute(query)]


class OrderWriting(OrderReading, WritingBase):
    """The changes of orders, for a `Transaction`."""

    def put_order(self, order: Order) -> None:
        """Note an order, in place of what was noted of its commit."""
        self._connection.execute(delete(orders).where(orders.c.commit == order.commit))
        values = {"commit": order.commit, "branch": order.branch, "space": order.space, "subject": order.subject}
        self._connection.execute(insert(orders), {**values, "at": rows.micros(order.at), "body": dump(_to_json(order))})

    def link_order(self, commit: Revision, link: str) -> None:
        """Note where a merge request for an order is opened."""
        order = self.order(commit)
        if order is not None:
            self.put_order(replace(order, link=link))

    def remove_order(self, commit: Revision) -> None:
        """Forget an order whose commit nobody got."""
        self._connection.execute(delete(orders).where(orders.c.commit == commit))

    def remove_orders_of(self, subjects: Collection[str]) -> None:
        """Forget the orders of those who left: they count as nobody's from now on."""
        for subject in sorted(subjects):
            self._connection.execute(delete(orders).where(orders.c.subject == subject))


def _to_json(order: Order) -> dict[str, Any]:
    return {**asdict(order), "at": order.at.isoformat()}


def _from_json(body: dict[str, Any]) -> Order:
    places = {"commit": Revision(body["commit"]), "space": SpaceName(body["space"])}
    return Order(**{**body, **places, "at": datetime.fromisoformat(body["at"])})
