"""The pictures as Graphviz text."""

from collections.abc import Iterable, Sequence

from leasehold.states.cleanup import OPEN, CleanupState
from leasehold.states.diagram import CLEANUP_ENDS, LEASE_ENDS, Edge, Look, cleanup_edges, lease_edges
from leasehold.states.journal import Entry
from leasehold.states.lease import LIVE, LeaseState
from leasehold.states.path import Ending, Leg, Track, first_state, legs

_HEAD = (
    "    compound=true; rankdir=TB; bgcolor=white;",
    '    node [shape=box, style="rounded,filled", fillcolor=white, fontname="Helvetica", fontsize=12];',
    '    edge [fontname="Helvetica", fontsize=10];',
)
_RED = 'color="#c62828", fontcolor="#c62828"'
_GREEN = 'color="#2e7d32"'
_LOOKS = {
    Look.STRAIGHT: "penwidth=2, weight=10",
    Look.ASIDE: "",
    Look.OPERATOR: "style=dashed",
    Look.FAILURE: f"{_RED}, penwidth=2",
}


def machine_dot() -> str:
    """The whole machine. Straight and thick is the happy path, red a failure, dashed an operator's."""
    lines = [
        "digraph machine {",
        *_HEAD,
        *_half(Track.LEASE, "the lease", LIVE, "live", "it is live", LEASE_ENDS, lease_edges()),
        *_half(
            Track.CLEANUP,
            "its place",
            tuple(state for state in CleanupState if state in OPEN),
            "open",
            "a place may stand",
            (CleanupState.NOT_NEEDED, *CLEANUP_ENDS),
            cleanup_edges(),
        ),
        "}",
    ]
    return "\n".join(lines) + "\n"


def path_dot(entries: Iterable[Entry]) -> str:
    """One lease's way, with times from its first journal row; where it failed in red, with its code."""
    lines = ["digraph path {", *_HEAD]
    whole = legs(entries)
    for track in Track:
        walked = [leg for leg in whole if leg.track is track]
        if not walked:
            continue
        number = 0
        lines.append(f"    {_start(track)}")
        lines.append(f"    {track}_0 [label={quoted(first_state(track))}];")
        lines.append(f"    {track}_start -> {track}_0;")
        for leg in walked:
            here = f"{track}_{number}"
            if leg.dest != leg.source or leg.failed:
                number += 1
                lines.append(f"    {track}_{number} [{_stop(leg)}];")
            label = quoted(f"{leg.title}\n{leg.time}")
            lines.append(f"    {here} -> {track}_{number} [label={label}{_leg_look(leg)}];")
    return "\n".join([*lines, "}"]) + "\n"


def quoted(value: str) -> str:
    """A string of Graphviz's own."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _stop(leg: Leg) -> str:
    ends = LEASE_ENDS if leg.track is Track.LEASE else CLEANUP_ENDS
    name = f"{leg.dest}\n{leg.code}" if leg.code else leg.dest
    look = f", {_RED}" if leg.failed else ""
    if leg.ending is Ending.OPEN:
        return f'label={quoted(f"{name} ?")}, style="rounded,dashed"'
    if leg.dest in ends and not leg.failed:
        look = f", {_GREEN}, peripheries=2"
    return f"label={quoted(name)}{look}"


def _leg_look(leg: Leg) -> str:
    if leg.failed:
        return f", {_RED}, penwidth=2"
    return ", style=dashed" if leg.ending in (Ending.OPEN, Ending.NOTE) else ""


def _start(track: Track) -> str:
    return f'{track}_start [shape=circle, style=filled, fillcolor=black, label="", width=0.15];'


def _half(
    track: Track,
    title: str,
    inside: Sequence[str],
    group: str,
    group_title: str,
    others: Sequence[str],
    edges: Sequence[Edge],
) -> list[str]:
    """One machine: a frame, in it the group that leaves as one, and the edges."""
    lines = [
        f"    subgraph cluster_{track} {{",
        f'        label={quoted(title)}; color="#9e9e9e"; fontname="Helvetica";',
        f"        {_start(track)}",
        f"        subgraph cluster_{group} {{",
        f'            label={quoted(group_title)}; style="rounded,dotted";',
        *(f"            {track}_{state} [label={quoted(state)}];" for state in inside),
        "        }",
        *(f"        {track}_{state} [{_node(track, state)}];" for state in others),
        "    }",
        f"    {track}_start -> {track}_{first_state(track)};",
    ]
    for edge in edges:
        marks = [f"label={quoted(edge.label + (' (operator)' if edge.operator else ''))}", _LOOKS[edge.look]]
        sources = edge.sources
        if set(sources) == set(inside):
            sources = (inside[-1],)
            marks.append(f"ltail=cluster_{group}")
        look = ", ".join(mark for mark in marks if mark)
        lines += [f"    {track}_{source} -> {track}_{edge.dest} [{look}];" for source in sources]
    return lines


def _node(track: Track, state: str) -> str:
    ends = LEASE_ENDS if track is Track.LEASE else CLEANUP_ENDS
    look = ", peripheries=2" if state in ends else ""
    if (track, state) == (Track.LEASE, LeaseState.FAILED):
        look += f", {_RED}"
    if state in (LeaseState.RELEASED, CleanupState.SUCCEEDED):
        look += f", {_GREEN}"
    return f"label={quoted(state)}{look}"
