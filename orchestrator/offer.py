"""What an environment offers, held against what a lease asks of it."""

from leasehold.drivers import Capabilities, Mode, Refused
from leasehold.orchestrator.environments import Environment
from leasehold.orchestrator.request import SyncBack
from leasehold.orchestrator.terms import Terms
from leasehold.states import Policy
from pydantic import ValidationError


def check_offer(offer: Capabilities, mode: Mode, terms: Terms, environment: Environment) -> None:
    """Raise ``Refused`` for what the driver lacks."""
    name, policy = f'environment "{environment.name}" ({environment.driver})', terms.policy
    if mode not in offer.modes:
        raise Refused(f"{name} does not offer mode {mode}; it offers {', '.join(offer.modes)}")
    if policy is Policy.RETAIN_ON_FAILURE and not offer.keeps:
        raise Refused(f"{name} cannot keep a place, so policy {policy} is not possible there")
    if terms.request.sync_back in (SyncBack.ALWAYS, SyncBack.ON_SUCCESS) and not offer.syncs_back:
        raise Refused(f"{name} cannot bring changes back")
    if policy.reuses and not offer.parks:
        raise Refused(f"{name} cannot park a place, so policy {policy} is not possible there")


def with_environment(terms: Terms, environment: Environment, mode: Mode | None, config: str = "{}") -> Terms:
    """The terms under an environment as it is now: what later changes of it do not touch."""
    policy = Policy(terms.request.policy) if terms.request.policy else environment.policy
    return Terms(
        id=terms.id,
        request=terms.request,
        policy=policy,
        environment_id=environment.id,
        environment_name=environment.name,
        driver=environment.driver,
        provider=environment.provider,
        mode=mode,
        config=config,
    )


def first_problem(error: ValidationError) -> str:
    """The first thing that a config's model objects to, in one line, without the value."""
    problem = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"]) or "config"
    return f"{where}: {problem['msg']}"
