"""docs/state-machine.svg: RFC 9293's figure 5 beside the learned machine, the differences marked.

The places of states and the bends of arrows are chosen by hand, all that is written is not: the left half is
`figure.FIGURE_5`, the right half and the table are what was learned.
"""

import textwrap
from html import escape
from math import hypot
from pathlib import Path

from tcpcore import State
from tests.learning.conversation import ALPHABET, NOTHING
from tests.learning.figure import (
    CLOSE_WAIT,
    CLOSED,
    CLOSING,
    ESTABLISHED,
    FIGURE_5,
    FIN_WAIT_1,
    FIN_WAIT_2,
    KINDS,
    LACKS,
    LAST_ACK,
    LISTEN,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    beyond,
    kind,
    lacking,
)  # fmt: skip

PAGE = Path(__file__).resolve().parents[2] / "docs" / "state-machine.svg"
WIDTH, PANEL, TOP, BOTTOM = 1560, 780, 120, 990
BOX = (168, 54)
BLACK, BLUE, RED, GREY = "#1b1f24", "#0b57c2", "#c02a1d", "#6a737d"
BELOW = "below"                       # CLOSED once more, under LAST-ACK, as in the figure

PLACES = {
    CLOSED: (400, 60), LISTEN: (400, 200), SYN_RECEIVED: (144, 330), SYN_SENT: (664, 330),
    ESTABLISHED: (400, 450), FIN_WAIT_1: (144, 560), CLOSE_WAIT: (664, 560), FIN_WAIT_2: (144, 720),
    CLOSING: (404, 690), LAST_ACK: (664, 720), TIME_WAIT: (404, 850), BELOW: (664, 850),
}  # fmt: skip
#: How far an arrow bends to the left of its way; where its words stand: share of the way, dx, dy, anchor.
BENDS = {
    (CLOSED, LISTEN): (-22, 0.5, -12, 0, "end"),
    (LISTEN, CLOSED): (-22, 0.5, 12, 0, "start"),
    (CLOSED, SYN_SENT): (110, 0.5, 8, -12, "start"),
    (SYN_SENT, CLOSED): (2, 0.42, 10, -4, "start"),
    (LISTEN, SYN_SENT): (-14, 0.5, -8, 14, "end"),
    (LISTEN, SYN_RECEIVED): (14, 0.55, 12, 16, "start"),
    (SYN_RECEIVED, LISTEN): (50, 0.5, -12, -10, "end"),
    (SYN_SENT, SYN_RECEIVED): (0, 0.5, 0, -15, "middle"),
    (SYN_RECEIVED, ESTABLISHED): (0, 0.5, 14, -12, "start"),
    (SYN_SENT, ESTABLISHED): (0, 0.5, 10, 14, "start"),
    (SYN_RECEIVED, FIN_WAIT_1): (0, 0.5, -8, 0, "end"),
    (SYN_RECEIVED, CLOSE_WAIT): (-150, 0.7, 0, 28, "middle"),
    (ESTABLISHED, FIN_WAIT_1): (0, 0.5, -8, -14, "end"),
    (ESTABLISHED, CLOSE_WAIT): (10, 0.5, 14, -14, "start"),
    (FIN_WAIT_1, FIN_WAIT_2): (0, 0.5, -8, 0, "end"),
    (FIN_WAIT_1, CLOSING): (0, 0.5, 10, -14, "start"),
    (FIN_WAIT_1, TIME_WAIT): (-14, 0.56, 8, 10, "start"),
    (FIN_WAIT_2, TIME_WAIT): (-12, 0.5, -8, 18, "end"),
    (CLOSING, TIME_WAIT): (0, 0.5, 10, 0, "start"),
    (CLOSE_WAIT, LAST_ACK): (0, 0.5, -8, 0, "end"),
    (LAST_ACK, BELOW): (0, 0.5, -8, 0, "end"),
    (TIME_WAIT, BELOW): (0, 0.5, 0, -15, "middle"),
    (TIME_WAIT, SYN_RECEIVED): (0, 0, 0, 0, ""),  # draw_detour
}


class Sheet:
    """SVG, element by element."""

    def __init__(self, width, height):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" font-family="Helvetica, Arial, sans-serif">',
            f'<rect width="{width}" height="{height}" fill="white"/>',
        ]

    def text(self, x, y, words, size=13, colour=BLACK, anchor="start", bold=False, halo=False):
        weight = ' font-weight="600"' if bold else ""
        place = f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}"{weight}'
        if halo:                          # twice, as not every program knows paint-order
            self.parts.append(f'{place} fill="white" stroke="white" stroke-width="4" '
                              f'stroke-linejoin="round">{escape(words)}</text>')  # fmt: skip
        self.parts.append(f'{place} fill="{colour}">{escape(words)}</text>')

    def lines(self, x, y, lines, size=12, anchor="start", step=15, halo=True):
        """Several lines, each with its colour, around y."""
        first = y - (len(lines) - 1) * step / 2
        for number, (words, colour) in enumerate(lines):
            self.text(x, first + number * step + size / 3, words, size, colour, anchor, halo=halo)

    def box(self, x, y, name, count="", ends="", thin=False):
        wide, high = BOX
        dash = ' stroke-dasharray="5 4"' if thin else ""
        self.parts.append(
            f'<rect x="{x - wide / 2}" y="{y - high / 2}" width="{wide}" height="{high}" rx="8" '
            f'fill="{"#ffffff" if thin else "#eef2f7"}" stroke="{BLACK}" stroke-width="1.4"{dash}/>'
        )
        self.text(x, y + (-10 if ends else 5), name, 14, anchor="middle", bold=True)
        if ends:
            self.text(x, y + 5, count, 10, GREY, "middle")
            self.text(x, y + 19, ends, 9.5, BLUE, "middle")

    def arrow(self, start, end, bend, colour, dashed=False):
        """A curve between two boxes; where a share of its way is."""
        (x0, y0), (x1, y1) = start, end
        length = hypot(x1 - x0, y1 - y0)
        control = (
            (x0 + x1) / 2 + (y1 - y0) / length * bend,
            (y0 + y1) / 2 - (x1 - x0) / length * bend,
        )
        (x0, y0), (x1, y1), (cx, cy) = border(start, control), border(end, control), control
        self.path(f"M{x0:.1f},{y0:.1f} Q{cx:.1f},{cy:.1f} {x1:.1f},{y1:.1f}", colour, dashed)
        self.head(x1, y1, x1 - cx, y1 - cy, colour)
        return lambda t: (
            (1 - t) ** 2 * x0 + 2 * t * (1 - t) * cx + t * t * x1,
            (1 - t) ** 2 * y0 + 2 * t * (1 - t) * cy + t * t * y1,
        )

    def path(self, way, colour, dashed=False):
        dash = ' stroke-dasharray="7 5"' if dashed else ""
        self.parts.append(f'<path d="{way}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>')

    def rule(self, x0, y0, x1, y1):
        self.parts.append(f'<line x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}" stroke="#d0d7de"/>')

    def head(self, x, y, dx, dy, colour):
        """The arrow's head at its end, which it reaches in this direction."""
        length = hypot(dx, dy)
        ux, uy = dx / length, dy / length
        corners = [(x, y)]
        corners += [(x - 11 * ux - side * 4.5 * uy, y - 11 * uy + side * 4.5 * ux) for side in (1, -1)]
        points = " ".join(f"{px:.1f},{py:.1f}" for px, py in corners)
        self.parts.append(f'<polygon points="{points}" fill="{colour}"/>')

    def paragraph(self, x, y, words, width, size=12.5, colour=BLACK, step=17):
        """Wrapped at about so many letters; the y below it."""
        for line in textwrap.wrap(words, width):
            self.text(x, y, line, size, colour)
            y += step
        return y

    def done(self):
        return "\n".join([*self.parts, "</svg>"]) + "\n"


def border(centre, towards):
    """Where the line from a box's centre leaves it."""
    (x, y), (tx, ty) = centre, towards
    dx, dy = tx - x or 1e-9, ty - y or 1e-9
    share = min((BOX[0] / 2 + 3) / abs(dx), (BOX[1] / 2 + 3) / abs(dy))
    return x + dx * share, y + dy * share


def name_of(state):
    return "CLOSED" if state == BELOW else State(state).name.replace("_", "-")


def shown(here, there):
    """The end of an arrow as it is drawn: the figure has CLOSED twice."""
    return BELOW if there == CLOSED and here in (LAST_ACK, TIME_WAIT) else there


def draw_arrow(sheet, left, here, there, lines, colour, dashed=False):
    bend, share, dx, dy, anchor = BENDS[here, there]
    if (here, there) == (TIME_WAIT, SYN_RECEIVED):
        draw_detour(sheet, left, lines, colour)
        return
    at = sheet.arrow(moved(here, left), moved(there, left), bend, colour, dashed)
    x, y = at(share)
    sheet.lines(x + dx, y + dy, lines, anchor=anchor)


def draw_detour(sheet, left, lines, colour):
    """TIME-WAIT back to SYN-RECEIVED: around everything, on the left."""
    x0, y0 = moved(TIME_WAIT, left)
    x1, y1 = moved(SYN_RECEIVED, left)
    edge, low, end = left + 10, y0 + 75, x1 - BOX[0] / 2 - 3
    sheet.path(
        f"M{x0},{y0 + BOX[1] / 2} Q{x0},{low} {x0 - 60},{low} L{edge + 30},{low} "
        f"Q{edge},{low} {edge},{low - 30} L{edge},{y1 + 25} Q{edge},{y1} {end},{y1}",
        colour,
    )
    sheet.head(end, y1, 1, 0, colour)
    sheet.lines(x0 - 80, low - 12, lines, anchor="end")


def moved(state, left):
    x, y = PLACES[state]
    return x + left, y + TOP


# -- the two halves


def left_half(sheet, lacks):
    sheet.text(40, TOP - 40, "RFC 9293, figure 5", 20, bold=True)
    sheet.text(40, TOP - 18, "drawn anew; red: not in the engine", 13, GREY)
    for arrow in FIGURE_5:
        missing = arrow in lacks
        lines = [(arrow.event, RED if missing else BLACK)]
        if arrow.action:
            lines.append((arrow.action, RED if missing else GREY))
        colour = RED if missing else BLACK
        draw_arrow(sheet, 0, arrow.here, shown(arrow.here, arrow.there), lines, colour, missing)
    for state in PLACES:
        sheet.box(*moved(state, 0), name_of(state), thin=state in (CLOSED, BELOW))


def right_half(sheet, picture, numbers):
    sheet.text(PANEL + 40, TOP - 40, "Learned from the engine, Config.linux()", 20, bold=True)
    known = f"{len(picture.machine.states)} states over {len(ALPHABET)} letters; event / what is sent"
    sheet.text(PANEL + 40, TOP - 18, f"{known}; blue: not in the figure, numbers below", 13, GREY)
    moves = picture.moves()
    counts = picture.states()
    for (here, there), lines in sorted(drawn_moves(moves, numbers).items(), key=str):
        colour = BLACK if any(colour == BLACK for _, colour in lines) else BLUE
        draw_arrow(sheet, PANEL, here, there, lines, colour)
    for state in PLACES:
        count = f"{counts.get(state)} learned states"
        ends = f"{', '.join(letters)} → CLOSED" if (letters := ending(moves, state)) else ""
        sheet.box(*moved(state, PANEL), name_of(state), count, ends, state in (CLOSED, BELOW))


def ending(moves, state):
    """The letters that end a state, of those that end nearly every one."""
    drawn = {arrow.move for arrow in FIGURE_5}
    return [letter for letter in ("RST", "ABORT", "TIMEOUT")
            if (state, letter, CLOSED) in moves and (state, letter, CLOSED) not in drawn]  # fmt: skip


def drawn_moves(moves, numbers):
    """(from, to) -> the words on that arrow. What ends nearly every state is written under the states."""
    arrows = {}
    drawn = {arrow.move for arrow in FIGURE_5}
    for move, sent in moves.items():
        here, letter, there = move
        why = None if move in drawn else kind(move)
        if why in ("RST", "ABORT", "TIMEOUT", "gone", "LISTEN") or (why == "waits" and there == CLOSING):
            continue
        segments = " or ".join(sorted({on_the_wire(one) for one in sent}))
        words = f"{letter} / {segments}" + ("" if why is None else f" ({numbers[why]})")
        arrows.setdefault((here, shown(here, there)), []).append((words, BLACK if why is None else BLUE))
    return {ends: sorted(lines, key=lambda line: line[1] != BLACK) for ends, lines in arrows.items()}


def on_the_wire(sent):
    """What is sent, without what the application is told."""
    words = [word for word in sent.split(", ") if word != "closed" and not word.startswith("E")]
    return ", ".join(words) or NOTHING


# -- below: the reasons, and the whole table


def remarks(sheet, y, lacks, kinds, numbers):
    sheet.text(40, y, "What the figure has and the machine lacks", 15, RED, bold=True)
    y += 22
    for arrow in lacks:
        words = f"{name_of(arrow.here)} to {name_of(arrow.there)} by {arrow.event}: {LACKS[arrow.move]}"
        y = sheet.paragraph(40, y, words, 200)
    y += 14
    sheet.text(40, y, "What the machine has and the figure lacks", 15, BLUE, bold=True)
    y += 22
    for why in kinds:
        y = sheet.paragraph(40, y, f"({numbers[why]}) {KINDS[why]}", 200)
    return y + 14


def whole_table(sheet, y, picture):
    """State by letter: what is sent, and where it leads if that is elsewhere."""
    sheet.text(40, y, "Every letter in every state", 15, bold=True)
    legend = "what is sent or told → where it leads, if elsewhere; several lines: it depends on whether "
    sheet.text(262, y, legend + "somebody listens, or on how the state was reached", 12.5, GREY)
    y += 14
    first, wide = 40, (WIDTH - 80 - 118) / len(ALPHABET)
    for number, letter in enumerate(ALPHABET):
        sheet.text(first + 118 + number * wide + 4, y + 14, letter, 11.5, bold=True)
    y += 22
    cells = picture.cells()
    for state in State:
        texts = [list(ways(cells[state, letter], state)) for letter in ALPHABET]
        texts = [[piece for text in column for piece in textwrap.wrap(text, 17)] for column in texts]
        high = 12.5 * max(map(len, texts)) + 9
        sheet.rule(first, y, WIDTH - 40, y)
        sheet.text(first, y + 15, name_of(state), 11.5, bold=True)
        for number, column in enumerate(texts):
            for row, text in enumerate(column):
                colour = GREY if text == NOTHING else BLACK
                sheet.text(first + 118 + number * wide + 4, y + 15 + 12.5 * row, text, 9.5, colour)
        y += high
    return y


def ways(cell, state):
    """The answers of one cell: what is said, and where it leads; both ends in one line."""
    leads = {}
    for sent, there in cell:
        leads.setdefault(said(sent), []).append(there)
    for sent, places in leads.items():
        names = [name_of(there) for there in sorted(places) if there != state]
        if state in places:
            yield sent
        if names:
            yield f"{sent} → {' or '.join(names)}"


def said(sent):
    return sent.replace(", closed", "").replace("closed", NOTHING)


def draw(picture):
    """The whole sheet, as text."""
    moves = picture.moves()
    lacks, more = lacking(moves), beyond(moves)
    kinds = [why for why in KINDS if why in more]
    numbers = {why: number + 1 for number, why in enumerate(kinds)}
    body = Sheet(WIDTH, 0)
    del body.parts[:]
    body.text(40, 40, "The state machine, as it is written and as it was learned", 26, bold=True)
    left_half(body, lacks)
    right_half(body, picture, numbers)
    body.rule(PANEL, TOP - 60, PANEL, TOP + BOTTOM - 40)
    y = remarks(body, TOP + BOTTOM, lacks, kinds, numbers)
    y = whole_table(body, y + 10, picture)
    sheet = Sheet(WIDTH, round(y + 30))
    sheet.parts += body.parts
    return sheet.done()


