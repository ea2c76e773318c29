from __future__ import annotations

from reconciler.web.views.graph import Node, Picture, draw
from reconciler.web.views.tones import Tone


def picture(*edges: tuple[str, str], here: str = "s/here") -> Picture:
    names = {here, *(name for edge in edges for name in edge)}
    return draw(here, [Node(name, Tone.GOOD, "UpToDate") for name in names], edges)


def columns(drawn: Picture) -> dict[str, int]:
    order = sorted({box.x for box in drawn.boxes})
    return {box.node.id: order.index(box.x) for box in drawn.boxes}


def test_every_stack_stands_right_of_all_that_it_depends_on() -> None:
    drawn = picture(
        ("s/net", "s/db"), ("s/db", "s/here"), ("s/net", "s/here"), ("s/dns", "s/here"), ("s/here", "s/web")
    )
    assert columns(drawn) == {"s/net": 0, "s/db": 1, "s/dns": 1, "s/here": 2, "s/web": 3}
    assert [title for _, title in drawn.lines] == [
        "s/here depends on s/db",
        "s/here depends on s/dns",
        "s/web depends on s/here",
        "s/db depends on s/net",
        "s/here depends on s/net",
    ]


def test_boxes_do_not_overlap_and_lie_in_the_picture() -> None:
    drawn = picture(*((f"s/p{number}", "s/here") for number in range(9)), ("s/here", "s/c"))
    places = [(box.x, box.y) for box in drawn.boxes]
    assert len(set(places)) == len(places)
    assert all(0 <= x <= drawn.width - 190 and 0 <= y <= drawn.height - 44 for x, y in places)


def test_an_edge_to_a_stack_that_is_not_shown_is_left_out() -> None:
    drawn = draw("s/a", [Node("s/a", Tone.GOOD, "New")], [("s/hidden", "s/a")])
    assert (len(drawn.boxes), drawn.lines) == (1, ())
