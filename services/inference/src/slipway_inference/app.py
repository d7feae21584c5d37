"""Composes the server: its parts, its routes, and the application around them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from slipway_core.engines.pool import EnginePool
from slipway_core.maintenance.webhooks.address_policy import WebhookAddressPolicy
from slipway_inference.api.jobs import status_routes, submit_routes
from slipway_inference.api.jobs.submission_reader import SubmissionReader
from slipway_inference.api.open_inference import routes as open_inference_routes
from slipway_inference.api.open_inference.errors import INFERENCE_ERRORS
from slipway_inference.api.open_inference.inference import InferenceInputs
from slipway_inference.api.openai import routes as openai_routes
from slipway_inference.api.openai.embeddings import EmbeddingInputs
from slipway_inference.api.openai.errors import OPENAI_ERRORS
from slipway_inference.api.operations import docs_routes, health_routes
from slipway_inference.api.slipway import log_routes, predict_routes
from slipway_inference.api.slipway.inputs import PredictionInputs
from slipway_inference.http import metrics, openapi
from slipway_inference.http.application import Application
from slipway_inference.http.bodies import BodyReader
from slipway_inference.http.origins import Origins
from slipway_inference.prediction.predictor import Predictor
from slipway_inference.serving.admission import Admission
from slipway_inference.serving.health import HealthCheck
from slipway_inference.serving.lifecycle import Lifecycle
from slipway_inference.serving.served_model import ServedModel, StartEngines
from slipway_inference.serving.stores import Stores
from slipway_inference.settings import InferenceSettings

ERROR_FORMS = {"v1": OPENAI_ERRORS, "v2": INFERENCE_ERRORS}
"""A protocol brings its routes to `_routers`, and its form of errors to this table."""


@dataclass(frozen=True)
class Components:
    """All parts of one server process. Only this module and the server see them together; handlers
    get the parts that they use.
    """

    settings: InferenceSettings
    model: ServedModel
    stores: Stores
    admission: Admission
    lifecycle: Lifecycle

    @classmethod
    def create(
        cls, settings: InferenceSettings, start_engines: StartEngines = EnginePool.start
    ) -> Self:
        """Make the components. Nothing is started, opened or loaded yet."""
        model = ServedModel(settings, start_engines)
        stores = Stores(settings)
        admission = Admission(settings)
        lifecycle = Lifecycle(model, stores, admission)
        return cls(settings, model, stores, admission, lifecycle)


def create_app(components: Components) -> ASGIApp:
    """Return the whole ASGI application. Its lifespan starts and stops the components."""
    application = Application(
        create_api(components),
        components.settings,
        ERROR_FORMS,
        components.admission.body_memory,
        check_model=components.model.check_name,
        is_draining=components.lifecycle.is_draining,
    )
    return Origins(components.settings).wrap(application)


def create_api(components: Components) -> FastAPI:
    """Return the routes as a FastAPI application: also what the API document is made from."""

    @asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncIterator[None]:
        await components.lifecycle.start()
        yield
        await components.lifecycle.stop()

    api = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    api.router.redirect_slashes = False
    for router in _routers(components):
        api.router.routes.extend(router.routes)
    metrics.instrument(api)
    openapi.install(api)
    return api


def _routers(components: Components) -> list[APIRouter]:
    settings, model, stores = components.settings, components.model, components.stores
    admission, lifecycle = components.admission, components.lifecycle
    bodies = BodyReader(settings, admission.large_work)
    predictor = Predictor(settings, model, stores.prediction_log, admission.large_work)
    max_items, max_timeout = settings.max_items_per_request, settings.max_request_timeout_seconds
    predictions = PredictionInputs(model, bodies, max_items)
    embeddings = EmbeddingInputs(model, bodies, max_items)
    inference = InferenceInputs(model, bodies, max_items)
    submissions = SubmissionReader(settings, model, bodies)
    submitter = submit_routes.JobSubmitter(
        model, stores, admission.streams, submissions, WebhookAddressPolicy(settings)
    )
    health = HealthCheck(settings, model, stores, lifecycle)
    return [
        predict_routes.create_router(predictions, predictor, max_timeout),
        submit_routes.create_router(submitter),
        status_routes.create_router(settings, model, stores, admission, lifecycle),
        log_routes.create_router(stores, admission.large_work),
        openai_routes.create_router(model, embeddings, predictor, max_timeout),
        open_inference_routes.create_router(model, lifecycle, inference, predictor, max_timeout),
        health_routes.create_router(health, lifecycle, with_probes=not settings.metrics_port),
        docs_routes.create_router(),
    ]
