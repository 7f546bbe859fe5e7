"""The protocol: workers × one lease × its provider, every interleaving, with kills, freezes and late answers.

What a worker may do is read from the literals in ``states``: the next step of a state, whether it is claimed
first, what cleanup ends a lease, what replay does with an open step. Each commit goes through the fold. A world
is explored breadth first; ``World.wrong`` are the invariants (DESIGN section 12) that broke, with a way there.

``bugs`` seed one: the check must then find it. Time is not counted: whoever is frozen, cut off or dead has
lapsed, and may have been taken over by the time it wakes.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from functools import cache
from typing import NamedTuple

from leasehold.states import (
    LEASE_TABLE,
    BrokenJournal,
    CleanupEvent,
    CleanupState,
    Entry,
    ErrorCode,
    Facts,
    Kind,
    LeaseEvent,
    LeaseState,
    Note,
    Outcome,
    Policy,
    cleanup_event,
    step,
    transition,
)
from leasehold.states.fold import apply
from leasehold.states.plan import Answer, Open, plan_row
from leasehold.states.plan import Move as PlanMove
from walks import Move, entry

NOBODY = -1
_ORDER = list(LeaseState)
_DUE = (CleanupState.PENDING, CleanupState.FAILED)
_UP = {row.sources[0]: row for row in LEASE_TABLE if len(row.sources) == 1 and row.dest is not row.sources[0]}
"""The step that leads on from each state on the way up."""


class Row(NamedTuple):
    """The lease's row, as far as it decides: the fold's facts without times and texts.

    ``attempt`` is the epoch of whoever began the open step.
    """

    state: LeaseState = LeaseState.REQUESTED
    cleanup: CleanupState = CleanupState.NOT_NEEDED
    pending: str | None = None
    owner: int = 0
    epoch: int = 1
    handle: bool = False
    code: str | None = None
    taken_over: bool = False
    tried: bool = False
    attempt: int = 0
    begun: bool = False


class Worker(NamedTuple):
    """One process: what it believes of the row, and what it is about to do.

    ``todo`` is ``ready``, ``ask`` (it took the lease over and asks the driver), ``call`` (it has claimed ``event``
    and its verb is under way) or ``answer`` (the verb said ``said``, which is not committed yet). ``plan`` are the
    moves of a replay that are still to be made.
    """

    view: Row | None = None
    todo: str = "ready"
    event: str = ""
    said: str = ""
    plan: tuple[PlanMove, ...] = ()
    running: bool = True
    dead: bool = False


class Provider(NamedTuple):
    """What stands under the lease's key, and what happened to it.

    ``coming``: a create was accepted, and shows later. ``stray`` is a place under another key. ``fence`` is the
    highest epoch that was here; ``provisioned`` counts runs of the command over one tree, and ``recorded`` is the
    attempt whose exit status is kept; ``dirty`` is what the
    run changed and nobody brought back. ``looks`` are looks that saw nothing; where the place does not fence, the
    calls of epochs up to ``shut`` are past their deadlines once an absence is believed.
    """

    place: str = "none"
    fence: int = 0
    made: int = 0
    stray: bool = False
    provisioned: int = 0
    recorded: int = 0
    dirty: bool = False
    brought: bool = False
    kept: bool = False
    looks: int = 0
    shut: int = 0
    swept: int = 0


class Situation(NamedTuple):
    """All of it at one moment. ``faults`` are those that may still strike."""

    row: Row
    workers: tuple[Worker, ...]
    provider: Provider
    faults: int


class Broken(Exception):
    """An invariant does not hold."""


class Rules(NamedTuple):
    """What the world is like: the lease's policy, whether the place fences, and what replay does."""

    policy: Policy = Policy.EPHEMERAL
    enforced: bool = True
    resume: bool = False
    syncs: bool = True
    provisions: bool = True
    workers: int = 3
    faults: int = 4
    bugs: frozenset[str] = frozenset()


@cache
def written(row: Row, move: Move, owner: int, epoch: int) -> Row:
    """The row after one more journal row by this owner. Raises ``Broken`` where the fold does not take it."""
    facts = Facts(
        version=10 if row.begun else 0,
        state=row.state,
        cleanup=row.cleanup,
        pending_event=row.pending,
        pending_attempt="attempt" if row.pending else None,
        owner=None if row.owner == NOBODY else f"w{row.owner}",
        epoch=row.epoch if row.begun else 0,
        owners=2 if row.taken_over else 1,
        handle={"place": "place-1"} if row.handle else None,
        error_code=row.code,
        cleanup_tries=1 if row.tried else 0,
        resource_key="key",
    )
    line = entry(facts, move)._replace(owner=f"w{owner}", epoch=epoch)
    if move.event == Note.DETACH:
        line = line._replace(owner=f"w{row.owner}")
    try:
        apply(facts, line)
    except BrokenJournal as broken:
        raise Broken(f"{broken.invariant}: {broken.why}") from None
    return Row(
        facts.state,
        facts.cleanup,
        facts.pending_event,
        NOBODY if facts.owner is None else int(facts.owner[1:]),
        facts.epoch,
        facts.handle is not None,
        facts.error_code,
        facts.owners > 1,
        facts.cleanup_tries > 0,
        0 if facts.pending_event is None else epoch if move.kind is Kind.BEGUN else row.attempt,
        begun=True,
    )


class World:
    """Every situation that can be reached under these rules."""

    def __init__(self, rules: Rules, limit: int = 3_000_000) -> None:
        self.rules = rules
        self.wrong: dict[str, tuple[str, ...]] = {}
        self.steps: set[tuple[Row, Move, Row]] = set()
        start = Situation(
            Row(), (Worker(Row()), *(Worker() for _ in range(rules.workers - 1))), Provider(), rules.faults
        )
        self._came: dict[Situation, tuple[Situation | None, str]] = {start: (None, "")}
        self._ways: dict[Situation, list[Situation]] = {}
        todo = [start]
        for here in todo:
            ways = self._ways[here] = []
            for what, there in self._next(here):
                there = _settled(there)
                ways.append(there)
                if there not in self._came:
                    self._came[there] = (here, what)
                    todo.append(there)
            if len(todo) > limit or (rules.bugs and self.wrong):
                break
        else:
            self._all_end()

    def __len__(self) -> int:
        return len(self._came)

    # --- what is judged

    def _report(self, what: str, here: Situation, last: str = "") -> None:
        if what not in self.wrong:
            way = [last] if last else []
            at: Situation | None = here
            while at is not None:
                at, came_by = self._came[at]
                way.append(came_by)
            self.wrong[what] = tuple(reversed([each for each in way if each]))

    def _all_end(self) -> None:
        """Invariant 4: from wherever it stands, the lease can end with nothing left, without any further fault."""
        back: dict[Situation, list[Situation]] = {}
        for here, ways in self._ways.items():
            for there in ways:
                if there.faults == here.faults:
                    back.setdefault(there, []).append(here)
        good = [here for here in self._came if self._ended(here)]
        seen = set(good)
        for here in good:
            for before in back.get(here, ()):
                if before not in seen:
                    seen.add(before)
                    good.append(before)
        for here in self._came:
            if here not in seen:
                self._report("4: it never ends with nothing left", here)
                return

    def _ended(self, here: Situation) -> bool:
        row, provider = here.row, here.provider
        if not row.begun:
            return provider.place == "none"  # whoever wanted it died before it asked
        if row.state.live or row.pending is not None or row.cleanup in _DUE:
            return False
        if row.cleanup in (CleanupState.RETAINED, CleanupState.PARKED):
            return provider.place == "standing" and not provider.stray
        return provider.place in ("none", "gone") and not provider.stray

    def _judge(self, here: Situation, what: str, there: Situation) -> None:
        row, provider = there.row, there.provider
        if provider.place != "none" and not row.begun:
            self._report("3: a place stands, and no intent was committed", here, what)
        if provider.made > 1 or provider.stray:
            self._report("2: two places were made", here, what)
        if self.rules.enforced and provider.provisioned > 1:
            self._report("9: the provision command ran twice over one tree", here, what)
        if provider.place == "gone" and provider.dirty and row.state is LeaseState.RELEASED:
            self._report("13: a place went with what the run had changed", here, what)
        if provider.place == "gone" and row.state.live and _ORDER.index(row.state) >= _ORDER.index(LeaseState.LEASED):
            self._report("4: a live lease lost its place", here, what)
        parked = row.cleanup is CleanupState.PARKED and provider.place == "standing"
        if parked and any(worker.todo == "call" and not worker.dead for worker in there.workers):
            self._report("1: a place is parked, and an older owner has a verb under way there", here, what)
        settled = row.cleanup in (CleanupState.SUCCEEDED, CleanupState.NOT_NEEDED) and not row.state.live
        if settled and self.rules.enforced and provider.place in ("standing", "coming"):
            self._report("4: a place stands that nobody owes", here, what)

    # --- what can happen

    def _next(self, here: Situation) -> Iterator[tuple[str, Situation]]:
        for index, worker in enumerate(here.workers):
            if worker.dead:
                continue
            if worker.running:
                for what, there in self._moves(here, index, worker):
                    self._judge(here, what, there)
                    yield what, there
            else:
                yield f"w{index} wakes", _with(here, index, worker._replace(running=True))
            if here.faults:
                yield from self._faults(here, index, worker)
        provider = here.provider
        if provider.place == "coming":
            there = here._replace(provider=provider._replace(place="standing"))
            self._judge(here, "the place appears", there)
            yield "the place appears", there
        yield from self._sweeps(here)

    def _faults(self, here: Situation, index: int, worker: Worker) -> Iterator[tuple[str, Situation]]:
        fewer = here._replace(faults=here.faults - 1)
        if worker.view is None:
            return
        others = sum(not other.dead for other in here.workers) - 1
        if others:
            yield f"w{index} is killed", _with(fewer, index, Worker(running=False, dead=True))
        if worker.running:
            yield f"w{index} freezes", _with(fewer, index, worker._replace(running=False))
        if worker.running and worker.todo == "call" and worker.event == "acquire" and here.provider.place == "none":
            # the provider takes the request, and answers with an error; the place appears later
            made = here.provider._replace(place="coming", made=here.provider.made + 1)
            made = made._replace(fence=max(made.fence, worker.view.epoch)) if self.rules.enforced else made
            late = self.rules.enforced and worker.view.epoch < here.provider.fence
            if not late and worker.view.epoch > here.provider.shut:
                failed = worker._replace(todo="answer", said="error")
                there = _with(fewer._replace(provider=made), index, failed)
                yield f"w{index}: acquire answers with an error, and its place comes late", there
        if worker.running and worker.todo == "call":
            failed = worker._replace(todo="answer", said="error")
            yield f"w{index}: {worker.event} fails", _with(fewer, index, failed)
        if worker.running and worker.todo == "ready" and worker.view.state is LeaseState.TARGETED and not worker.plan:
            for code in (ErrorCode.RUN_FAILED, ErrorCode.LEASE_EXPIRED):
                yield from self._commit(fewer, index, worker, Move("fail", Kind.DONE, code.value))

    def _moves(self, here: Situation, index: int, worker: Worker) -> Iterator[tuple[str, Situation]]:
        if worker.view is None:
            yield from self._takes(here, index)
        elif worker.todo == "ask":
            yield from self._asks(here, index, worker)
        elif worker.todo == "call":
            yield from self._effect(here, index, worker)
        elif worker.todo == "answer":
            yield from self._answered(here, index, worker)
        elif worker.plan:
            yield from self._planned(here, index, worker)
        else:
            yield from self._ready(here, index, worker)

    def _commit(
        self, here: Situation, index: int, worker: Worker, *moves: Move, then: Worker | None = None
    ) -> Iterator[tuple[str, Situation]]:
        """The write that checks version and epoch: one that lost is stopped here."""
        view = worker.view
        assert view is not None
        what = f"w{index} commits {', '.join(map(str, moves))}"
        stale = view != here.row
        checked = f"epoch unchecked at {moves[0].kind}" not in self.rules.bugs
        if stale and checked:
            yield f"{what}: refused", _with(here, index, Worker())
            return
        row = here.row
        try:
            for move in moves:
                after = written(row, move, index, view.epoch)
                self.steps.add((row, move, after))
                row = after
        except Broken as broken:
            self._report(str(broken), here, what)
            return
        after_it = (then or Worker())._replace(view=row)
        over = not row.state.live and row.pending is None and row.cleanup not in _DUE
        if over or row.owner == NOBODY:
            after_it = Worker()  # nobody holds it any more
        there = _with(here._replace(row=row), index, after_it)
        self._judge(here, what, there)
        yield what, there

    def _claim(self, here: Situation, index: int, worker: Worker, event: str) -> Iterator[tuple[str, Situation]]:
        begun = [Move(event, Kind.BEGUN)]
        if event == "acquire" and worker.view is not None and worker.view.cleanup is CleanupState.NOT_NEEDED:
            begun.append(Move("owe"))
        call = Worker(todo="call", event=event, plan=worker.plan)
        if "intent after effect" in self.rules.bugs and event == "acquire":
            yield f"w{index} acts first", _with(here, index, call._replace(view=worker.view))
            return
        yield from self._commit(here, index, worker, *begun, then=call)

    def _ready(self, here: Situation, index: int, worker: Worker) -> Iterator[tuple[str, Situation]]:
        """The owner goes on: up to ``targeted``, its run, then the end."""
        row, provider = worker.view, here.provider
        assert row is not None
        if not row.state.live:
            yield from self._clean_up(here, index, worker)
        elif row.state is LeaseState.TARGETED:
            if self.rules.syncs and not provider.dirty and not provider.brought and row == here.row:
                worked = provider._replace(dirty=True)
                yield f"w{index}'s run works", here._replace(provider=worked)
            elif (
                self.rules.syncs
                and not provider.brought
                and "place destroyed before its sync-back" not in self.rules.bugs
            ):
                yield from self._claim(here, index, worker, "sync_back")
            else:
                yield from self._commit(here, index, worker, Move("release"), then=Worker())
            if not row.taken_over:  # once is enough to see what follows of it
                yield from self._commit(here, index, worker, Move("detach", Kind.NOTE), then=Worker())
        else:
            up = _UP[row.state]
            if up.event is LeaseEvent.PROVISION and not self.rules.provisions:
                yield from self._commit(here, index, worker, Move("provision", passed_over=True), then=Worker())
            elif up.intent:
                yield from self._claim(here, index, worker, up.event.value)
            else:
                yield from self._commit(here, index, worker, Move(up.event.value), then=Worker())

    def _clean_up(self, here: Situation, index: int, worker: Worker) -> Iterator[tuple[str, Situation]]:
        row = worker.view
        assert row is not None
        if row.cleanup in _DUE:
            yield from self._claim(here, index, worker, self._ending(row))

    def _ending(self, row: Row) -> str:
        if row.cleanup is CleanupState.FAILED or not row.handle:
            return CleanupEvent.CLEAN.value
        if row.code == ErrorCode.WORKSPACE_SYNC_FAILED.value:
            outcome = Outcome.SYNC_FAILED
        elif row.state is LeaseState.FAILED:
            outcome = Outcome.FAILURE
        else:
            outcome = Outcome.SUCCESS_TAKEN_OVER if row.taken_over else Outcome.SUCCESS
        if "parking after a takeover" in self.rules.bugs and outcome is Outcome.SUCCESS_TAKEN_OVER:
            outcome = Outcome.SUCCESS
        return cleanup_event(self.rules.policy, outcome).value

    # --- at the place

    def _effect(self, here: Situation, index: int, worker: Worker) -> Iterator[tuple[str, Situation]]:
        """The verb takes effect and answers, unless a newer epoch has shut it out."""
        row, provider = worker.view, here.provider
        assert row is not None
        what = f"w{index}'s {worker.event}"
        if self.rules.enforced and row.epoch < provider.fence:
            yield f"{what} is shut out", _with(here, index, worker._replace(todo="answer", said="error"))
            return
        if worker.plan == (PlanMove.REALIZE_AFRESH,) and worker.event == "provision":
            anew = provider._replace(provisioned=0, recorded=0, fence=max(provider.fence, row.epoch))
            yield f"w{index} realizes afresh", _with(here._replace(provider=anew), index, worker._replace(plan=()))
            return
        said, after = self._acts(row, provider, worker.event)
        if self.rules.enforced:
            after = after._replace(fence=max(after.fence, row.epoch))
        yield f"{what}: {said}", _with(here._replace(provider=after), index, worker._replace(todo="answer", said=said))

    def _acts(self, row: Row, provider: Provider, event: str) -> tuple[str, Provider]:
        there = provider.place == "standing"
        match event:
            case "acquire":
                if "new key on redo" in self.rules.bugs and provider.made:
                    return "ok", provider._replace(stray=True)
                if there or provider.place == "coming":
                    return "ok", provider._replace(place="standing")
                if row.epoch <= provider.shut or provider.place == "gone":
                    return "error", provider
                return "ok", provider._replace(place="standing", made=provider.made + 1)
            case "realize":
                return ("ok", provider._replace(provisioned=0, recorded=0)) if there else ("error", provider)
            case "provision":
                ran = provider._replace(provisioned=min(2, provider.provisioned + 1), recorded=row.attempt)
                return ("ok", ran) if there else ("error", provider)
            case "sync_back":
                return ("ok", provider._replace(dirty=False, brought=True)) if there else ("error", provider)
            case "keep" | "park":
                return ("ok", provider._replace(kept=True)) if there else ("error", provider)
            case _:
                return self._destroyed(row, provider)

    def _destroyed(self, row: Row, provider: Provider) -> tuple[str, Provider]:
        """``clean``: what has no handle is asked for first; a failed lease's changes are put aside."""
        if not row.handle:
            said, provider = self._look(provider, row.epoch)
            if said != "found":
                return said, provider
        if provider.place == "standing":
            saved = row.state is LeaseState.FAILED
            return "ok", provider._replace(place="gone", dirty=provider.dirty and not saved, kept=False)
        return "ok", provider

    def _look(self, provider: Provider, epoch: int) -> tuple[str, Provider]:
        """``recover``: found, absent or unknown. Without a fence, absence takes two looks and the deadlines' end."""
        if provider.place == "standing":
            return "found", provider
        if "absent at the first look" in self.rules.bugs:
            return "absent", provider
        if provider.place == "coming":
            return "unknown", provider
        if self.rules.enforced or provider.looks:
            return "absent", provider._replace(shut=epoch - 1)
        return "unknown", provider._replace(looks=1)

    def _answered(self, here: Situation, index: int, worker: Worker) -> Iterator[tuple[str, Situation]]:
        """Commit what the verb said."""
        row, event, said = worker.view, worker.event, worker.said
        assert row is not None
        begun = [Move("acquire", Kind.BEGUN), Move("owe")] if row.pending is None else []
        then = Worker(plan=worker.plan)
        if said == "ok":
            yield from self._commit(here, index, worker, *begun, Move(event), then=then)
        elif event in _LEASE_EVENTS:
            code = transition(event).codes[-1].value
            yield from self._commit(here, index, worker, *begun, Move(event, Kind.FAILED, code), then=Worker())
        elif said == "absent":
            yield from self._commit(here, index, worker, Move(event, Kind.ABANDONED), Move("absolve"), then=Worker())
        elif said == "unknown":
            yield from self._commit(here, index, worker, Move(event, Kind.ABANDONED), then=Worker())
        else:
            code = ErrorCode.LEASE_CLEANUP_FAILED if row.tried else ErrorCode.LEASE_RELEASE_FAILED
            yield from self._commit(here, index, worker, Move(event, Kind.FAILED, code.value), then=Worker())

    # --- another process

    def _takes(self, here: Situation, index: int) -> Iterator[tuple[str, Situation]]:
        """An idle worker takes over what is stuck, asks the driver, and follows the plan; or attaches to a held one."""
        row = here.row
        if not row.begun:
            return
        held = row.state is LeaseState.TARGETED and row.owner == NOBODY and row.pending is None
        busy = row.state.live or row.pending is not None
        owner = None if row.owner == NOBODY else here.workers[row.owner]
        robs = "the client's clock" in self.rules.bugs
        alive = owner is not None and owner.running and owner.view is not None and not robs
        if held:
            yield from self._take(here, index, Note.ATTACH, "ready")
        elif busy and not alive and (owner is not None or not row.state.live):
            if owner is not None and owner.running and owner.view == row:
                self._report("5: a living owner was robbed", here, f"w{index} takes over")
            yield from self._take(here, index, Note.TAKE_OVER, "ask")
        elif not busy and row.cleanup in _DUE and not alive:
            yield from self._take(here, index, Note.TAKE_OVER, "ready")

    def _take(self, here: Situation, index: int, note: Note, todo: str) -> Iterator[tuple[str, Situation]]:
        waits = self.rules.resume and here.row.pending == "acquire" and here.provider.place == "coming"
        if waits and here.row.taken_over:
            return  # it was looked at, and is again once something has changed
        move = Move(note.value, Kind.NOTE)
        row = written(here.row, move, index, here.row.epoch + 1)
        self.steps.add((here.row, move, row))
        yield f"w{index}: {note}", _with(here._replace(row=row), index, Worker(row, todo))

    def _asks(self, here: Situation, index: int, worker: Worker) -> Iterator[tuple[str, Situation]]:
        """The driver is asked what became of the open step, which shuts older epochs out; the plan follows."""
        row, provider = worker.view, here.provider
        assert row is not None
        if self.rules.enforced and row.epoch < provider.fence:
            yield f"w{index} asks, and is shut out", _with(here, index, Worker())
            return
        if row.pending is not None:
            open_ = Open(row.pending)
        else:
            open_ = Open.TARGETED if row.state is LeaseState.TARGETED else Open.BETWEEN
        answer = Answer.NOT_ASKED
        if open_ is Open.ACQUIRE:
            said, provider = self._look(provider, row.epoch)
            answer = Answer(said)
        elif open_ is Open.PROVISION:
            answer = Answer.KNOWN if provider.recorded == row.attempt else Answer.UNKNOWN
        if self.rules.enforced and answer is not Answer.NOT_ASKED:
            provider = provider._replace(fence=max(provider.fence, row.epoch))
        plan = plan_row(open_, answer)
        moves = plan.resume if self.rules.resume else plan.abandon
        if "a done step redone" in self.rules.bugs and open_ is Open.BETWEEN and row.state is LeaseState.PROVISIONED:
            moves = (PlanMove.REALIZE_AFRESH,)
        there = _with(here._replace(provider=provider), index, worker._replace(todo="ready", plan=moves))
        yield f"w{index} asks of {open_}: {answer}", there

    def _planned(self, here: Situation, index: int, worker: Worker) -> Iterator[tuple[str, Situation]]:
        """The next move of the plan."""
        row, move, rest = worker.view, worker.plan[0], worker.plan[1:]
        assert row is not None
        abandoned = [Move(row.pending, Kind.ABANDONED)] if row.pending else []
        then = Worker(plan=rest)
        lost = Move("fail", Kind.DONE, ErrorCode.LEASE_OWNER_LOST.value)
        match move:
            case PlanMove.FAIL:
                yield from self._commit(here, index, worker, *abandoned, lost, then=then)
            case PlanMove.CLEAN | PlanMove.KEEP:
                if row.cleanup in _DUE:
                    event = "keep" if move is PlanMove.KEEP and row.handle else self._ending(row)
                    yield from self._claim(here, index, worker._replace(plan=rest), event)
                else:
                    yield f"w{index} is done", _with(here, index, Worker())
            case PlanMove.ABSOLVE:
                yield from self._commit(here, index, worker, Move("absolve"), then=Worker())
            case PlanMove.LEAVE_PENDING | PlanMove.WAIT:
                yield f"w{index} leaves it", _with(here, index, Worker())
            case PlanMove.ADOPT:
                yield from self._commit(here, index, worker, Move("acquire"), then=then)
            case PlanMove.USE:
                yield from self._commit(here, index, worker, Move("provision"), then=then)
            case PlanMove.AGAIN if abandoned:
                yield from self._commit(here, index, worker, *abandoned, then=then)
            case PlanMove.REALIZE_AFRESH if abandoned:
                yield from self._commit(here, index, worker, *abandoned, then=worker)
            case PlanMove.REALIZE_AFRESH:
                yield from self._claim(here, index, worker, "provision")
            case PlanMove.LEAVE:
                yield from self._commit(here, index, worker, Move("detach", Kind.NOTE), then=Worker())
            case _:
                yield f"w{index} goes on", _with(here, index, worker._replace(plan=rest))

    def _sweeps(self, here: Situation) -> Iterator[tuple[str, Situation]]:
        """What stands and belongs to no lease whose cleanup is open goes, once it was seen twice."""
        row, provider = here.row, here.provider
        if provider.place != "standing" and not provider.stray:
            return
        ours = row.begun and row.cleanup.open
        if "sweep trusting the tag" in self.rules.bugs:
            ours = ours and not row.taken_over  # the tag bears an older epoch than the lease
        if ours or not row.begun:
            return
        if provider.swept < 2:
            yield "a sweep sees it", here._replace(provider=provider._replace(swept=provider.swept + 1))
        else:
            gone = provider._replace(place="gone", stray=False, swept=0)
            there = here._replace(provider=gone)
            self._judge(here, "a sweep destroys it", there)
            yield "a sweep destroys it", there


_LEASE_EVENTS = frozenset(event.value for event in LeaseEvent)


def _with(here: Situation, index: int, worker: Worker) -> Situation:
    workers = list(here.workers)
    workers[index] = worker
    return here._replace(workers=tuple(workers))


def _settled(here: Situation) -> Situation:
    """The same situation in one form: workers are told apart by what they do, not by their numbers."""
    order = sorted(range(len(here.workers)), key=lambda index: _looks(here, index))
    if order == [*range(len(order))]:
        return here
    number = {old: new for new, old in enumerate(order)} | {NOBODY: NOBODY}

    def renamed(row: Row) -> Row:
        return row._replace(owner=number[row.owner])

    workers = (here.workers[old] for old in order)
    views = (worker if worker.view is None else worker._replace(view=renamed(worker.view)) for worker in workers)
    return here._replace(row=renamed(here.row), workers=tuple(views))


def _looks(here: Situation, index: int) -> tuple[object, ...]:
    worker = here.workers[index]
    if worker.view is None:
        return (2, worker.dead, here.row.owner == index)
    view = worker.view
    return (
        0 if here.row.owner == index else 1,
        view.epoch,
        worker.todo,
        worker.event,
        worker.said,
        worker.running,
        view.state.value,
        view.cleanup.value,
        view.pending or "",
        worker.plan,
    )


Step = tuple[tuple[object, ...], Move, tuple[object, ...]]


def shape(row: Row | Facts) -> tuple[object, ...]:
    """What of a row, or of a journal's facts, the model's steps are compared by."""
    if isinstance(row, Row):
        return (row.state, row.cleanup, row.pending, row.handle, row.code is not None, row.taken_over)
    failed, place = row.error_code is not None, row.handle is not None
    return (row.state, row.cleanup, row.pending_event, place, failed, row.owners > 1)


def move_of(line: Entry) -> Move:
    """A journal row as a move. Which of its codes a failure has, the fold has judged."""
    failed = line.error_code is not None
    return Move(line.event, line.kind, "code" if failed else None, passed_over="passed_over" in line.details)


def paths(*rules: Rules) -> set[Step]:
    """All steps of a lease that some worker can commit in worlds of these rules."""
    return {
        (shape(before), replace(move, code="code" if move.code else None), shape(after))
        for each in rules
        for before, move, after in World(each).steps
    }


def strays(journal: Sequence[Entry], known: Set[Step]) -> list[str]:
    """The rows of a real journal that are no step of the model.

    The model has one lease: it ends where a place is kept, and a lease that took such a one over is not in it.
    """
    alphabet = {(move.event, move.kind) for _, move, _ in known}
    found, facts = list[str](), Facts()
    if any(line.event == "acquire" and "from" in line.details for line in journal):
        return []
    for line in journal:
        if facts.cleanup in (CleanupState.RETAINED, CleanupState.PARKED):
            break
        try:
            after = step(facts, line)
        except BrokenJournal as broken:
            return [str(broken)]
        if (line.event, line.kind) in alphabet and (shape(facts), move_of(line), shape(after)) not in known:
            found.append(f"row {line.seq}: {move_of(line)}, from {shape(facts)} to {shape(after)}")
        facts = after
    return found
