"""Checks of the Secrets and claims that ModelDeployments name, by their labels in the cluster."""

from __future__ import annotations

import asyncio

from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.configuration import Platform
from slipway_operator.kubernetes.client import Client, Rejected
from slipway_operator.kubernetes.kinds import CLAIM, SECRET
from slipway_operator.policy.references import RETRY_SECONDS, Reference, find_references, judge
from slipway_operator.policy.refusal import Refusal

VALID_SECONDS = 60.0
"""Time for which an accepted reference is not checked again. A refused one always is."""
MAX_REMEMBERED = 20_000
"""Maximum number of accepted references to remember, two for each of 10,000 ModelDeployments."""


class References:
    """Judges references, and remembers for a while which it has accepted."""

    def __init__(self, client: Client, platform: Platform) -> None:
        self._client = client
        self._platform = platform
        self._accepted_until: dict[tuple[str, Reference], float] = {}

    async def find_refusal(self, md: ModelDeployment) -> Refusal | None:
        """Return the first refusal of a reference, None when all may be used.

        Raises Unavailable when the API server does not respond.
        """
        for reference in find_references(md):
            refusal = await self._judge(md.namespace, reference)
            if refusal is not None:
                return refusal
        return None

    async def _judge(self, namespace: str, reference: Reference) -> Refusal | None:
        now = asyncio.get_running_loop().time()
        if self._accepted_until.get((namespace, reference), 0) > now:
            return None
        kind = SECRET if reference.kind == "Secret" else CLAIM
        try:
            labels = await self._client.get_labels(kind, namespace, reference.name)
        except Rejected as error:
            fact = f"`{reference.path}` cannot be checked: {error}"
            return Refusal(Reason.REFERENCE_REFUSED, fact, RETRY_SECONDS)
        refusal = judge(reference, namespace, labels, self._platform)
        if refusal is None:
            if len(self._accepted_until) >= MAX_REMEMBERED:
                self._accepted_until.clear()
            self._accepted_until[namespace, reference] = now + VALID_SECONDS
        return refusal
