"""The pictures as mermaid text (``stateDiagram-v2``)."""

from collections.abc import Iterable, Sequence

from leasehold.states.cleanup import OPEN, CleanupState
from leasehold.states.diagram import CLEANUP_ENDS, LEASE_ENDS, Edge, Look, cleanup_edges, lease_edges
from leasehold.states.journal import Entry
from leasehold.states.lease import LIVE, LeaseState
from leasehold.states.path import Ending, Leg, Track, first_state, legs

_CLASSES = (
    "classDef failure fill:#fdecea,stroke:#c62828,color:#7f1d1d",
    "classDef wanted fill:#e8f5e9,stroke:#2e7d32,color:#14532d",
)


def machine_mermaid() -> str:
    """The whole machine: the lease, and what becomes of its place. ``(operator)``: one may send it."""
    lines = [
        "stateDiagram-v2",
        *_group("live", "the lease is live", LIVE, lease_edges(), Track.LEASE),
        f"    [*] --> {_id(Track.LEASE, LeaseState.REQUESTED)}",
        *_states(Track.LEASE, LEASE_ENDS),
        *_edges(Track.LEASE, lease_edges(), LIVE, "live", outside=True),
        *(f"    {_id(Track.LEASE, end)} --> [*]" for end in LEASE_ENDS),
        *_group("open", "a place may stand", _open(), cleanup_edges(), Track.CLEANUP),
        *_states(Track.CLEANUP, (CleanupState.NOT_NEEDED, *CLEANUP_ENDS)),
        f"    [*] --> {_id(Track.CLEANUP, CleanupState.NOT_NEEDED)}",
        *_edges(Track.CLEANUP, cleanup_edges(), _open(), "open", outside=True),
        *(f"    {_id(Track.CLEANUP, end)} --> [*]" for end in CLEANUP_ENDS),
        *(f"    {line}" for line in _CLASSES),
        f"    class {_id(Track.LEASE, LeaseState.FAILED)} failure",
        f"    class {_id(Track.LEASE, LeaseState.RELEASED)},{_id(Track.CLEANUP, CleanupState.SUCCEEDED)} wanted",
    ]
    return "\n".join(lines) + "\n"


def path_mermaid(entries: Iterable[Entry]) -> str:
    """One lease's way, with times from its first journal row; where it failed in red, with its code."""
    lines = ["stateDiagram-v2"]
    failed: list[str] = []
    wanted: list[str] = []
    whole = legs(entries)
    for track in Track:
        walked = [leg for leg in whole if leg.track is track]
        if not walked:
            continue
        number = 0
        lines.append(f'    state "{first_state(track)}" as {track}_0')
        lines.append(f"    [*] --> {track}_0")
        for leg in walked:
            here = f"{track}_{number}"
            if leg.dest != leg.source or leg.failed:
                number += 1
                there = f"{track}_{number}"
                lines.append(f'    state "{_name(leg)}" as {there}')
                (failed if leg.failed else wanted if _is_wanted(leg) else []).append(there)
            else:
                there = here
            lines.append(f"    {here} --> {there} : {text(f'{leg.title} {leg.time}')}")
        if walked[-1].ending is not Ending.OPEN and walked[-1].dest in _ends(track):
            lines.append(f"    {track}_{number} --> [*]")
    lines += [f"    {line}" for line in _CLASSES]
    lines += [f"    class {node} failure" for node in failed]
    lines += [f"    class {node} wanted" for node in wanted]
    return "\n".join(lines) + "\n"


def text(value: str) -> str:
    """The words of a label, without what mermaid reads as its own (``: ; # % " { } < >`` and line ends)."""
    return " ".join("".join(" " if sign in ':;#%"{}<>`\\' else sign for sign in value).split())


def _name(leg: Leg) -> str:
    name = "cleanup failed" if leg.track is Track.CLEANUP and leg.failed else leg.dest
    if leg.ending is Ending.OPEN:
        return f"{name} ?"
    return f"{name} {text(leg.code)}" if leg.code else name


def _is_wanted(leg: Leg) -> bool:
    return leg.ending is Ending.DONE and leg.dest in (LeaseState.RELEASED, CleanupState.SUCCEEDED)


def _ends(track: Track) -> tuple[str, ...]:
    ends = LEASE_ENDS if track is Track.LEASE else CLEANUP_ENDS
    return tuple(end.value for end in ends)


def _open() -> tuple[CleanupState, ...]:
    return tuple(state for state in CleanupState if state in OPEN)


def _id(track: Track, state: str) -> str:
    return f"{track}_{state}"


def _states(track: Track, states: Iterable[str]) -> list[str]:
    return [f'    state "{state}" as {_id(track, state)}' for state in states]


def _group(name: str, title: str, states: Sequence[str], edges: Iterable[Edge], track: Track) -> list[str]:
    return [
        f'    state "{title}" as {name} {{',
        *(f"    {line}" for line in _states(track, states)),
        *(f"    {line}" for line in _edges(track, edges, states, name, outside=False)),
        "    }",
    ]


def _edges(track: Track, edges: Iterable[Edge], inside: Sequence[str], group: str, *, outside: bool) -> list[str]:
    """The edges within a group of states, or those that lead in or out. All of a group's states leave as one."""
    lines: list[str] = []
    for edge in edges:
        within = edge.dest in inside and all(source in inside for source in edge.sources)
        if within == outside:
            continue
        whole = set(edge.sources) == set(inside)
        sources = [group] if whole else [_id(track, source) for source in edge.sources]
        lines += [f"    {source} --> {_id(track, edge.dest)} : {_label(edge)}" for source in sources]
    return lines


def _label(edge: Edge) -> str:
    marked = edge.operator and edge.look is not Look.STRAIGHT
    return f"{edge.label} (operator)" if marked else edge.label
