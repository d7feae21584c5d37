"""The Open Inference Protocol below /v2, as its clients use it."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from typing import Any

import httpx2
import numpy as np
import pytest
from tests.fixtures.inference_app import TABLE_MODEL, TEXT_MODEL, InstantEngines, open_app
from tests.fixtures.pictures import png_of

from slipway_core.package.manifest import Manifest, TensorSpec

ROWS_MODEL = Manifest(
    name="rows",
    task="tensor",
    runtime="torch-export",
    inputs=[TensorSpec(name="x", shape=[-1, 2])],
    outputs=[TensorSpec(name="sum", shape=[-1])],
)
RECORDS_MODEL = Manifest(
    name="records",
    task="tensor",
    runtime="torch-export",
    inputs=[
        TensorSpec(name="a", shape=[-1, 2]),
        TensorSpec(name="n", datatype="INT64", shape=[-1]),
    ],
    outputs=[TensorSpec(name="sum", shape=[-1])],
)
OPEN_MODEL = Manifest(name="open", task="python", runtime="python", modalities=["tabular"])
LENGTH = "Inference-Header-Content-Length"


def _text(*texts: Any, **more: Any) -> dict[str, Any]:
    tensor = {"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": list(texts)}
    return {"inputs": [{**tensor, **more}]}


def _rows(data: list[Any] | None, shape: list[int], **more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": shape, "datatype": "FP32", "data": data, **more}]}


def _strings(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


async def _infer(
    app: httpx2.AsyncClient, body: dict[str, Any], raw: bytes | None = None, model: str = "mini"
) -> httpx2.Response:
    head = json.dumps(body).encode()
    headers = {} if raw is None else {LENGTH: str(len(head))}
    return await app.post(f"/v2/models/{model}/infer", content=head + (raw or b""), headers=headers)


def _outputs(response: httpx2.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return {output["name"]: output for output in response.json()["outputs"]}


async def test_texts_become_one_tensor() -> None:
    async with open_app() as (app, _):
        response = await _infer(app, {"id": "mine", **_text("four", "seven")})
    assert response.json() == {
        "model_name": "mini",
        "model_version": "1.2",
        "id": "mine",
        "outputs": [
            {"name": "embedding", "datatype": "FP32", "shape": [2, 2], "data": [4, 0.1, 5, 0.1]}
        ],
    }
    assert LENGTH not in response.headers


async def test_texts_may_have_an_additional_dimension() -> None:
    async with open_app() as (app, _):
        response = await _infer(app, _text(shape=[2, 1], data=[["four"], ["seven"]]))
    assert _outputs(response)["embedding"]["shape"] == [2, 2]


async def test_any_content_type_is_accepted() -> None:
    """Examples of other servers use curl, whose default content type is that of a form."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = json.dumps(_text("four"))
    async with open_app() as (app, _):
        response = await app.post("/v2/models/mini/infer", content=body, headers=form)
    assert response.status_code == 200


async def test_a_response_has_an_id_even_if_the_request_has_none() -> None:
    async with open_app() as (app, _):
        response = await _infer(app, _text("four"))
    assert len(response.json()["id"]) == 36


async def test_tensors_are_accepted_and_returned_as_raw_bytes() -> None:
    raw = _strings(b"four", "größer".encode())
    body = _text(shape=[2], parameters={"binary_data_size": len(raw)})
    del body["inputs"][0]["data"]
    body["parameters"] = {"binary_data_output": True}
    async with open_app() as (app, _):
        response = await _infer(app, body, raw)
    assert response.headers["Content-Type"] == "application/octet-stream"
    length = int(response.headers[LENGTH])
    (output,) = json.loads(response.content[:length])["outputs"]
    vectors = np.frombuffer(response.content[length:], "<f4").reshape(output["shape"])
    assert output["parameters"] == {"binary_data_size": 16}
    assert "data" not in output
    assert np.allclose(vectors, [[4, 0.1], [6, 0.1]])


@pytest.mark.parametrize(
    ("parameters", "binary"),
    [({}, True), ({"binary_data": False}, False), ({"binary_data": True}, True)],
)
async def test_an_output_may_override_binary_data(parameters: dict[str, Any], binary: bool) -> None:
    body = {
        **_text("four"),
        "parameters": {"binary_data_output": True},
        "outputs": [{"name": "embedding", "parameters": parameters}],
    }
    async with open_app() as (app, _):
        response = await _infer(app, body)
    assert (LENGTH in response.headers) == binary


async def test_labels_turn_an_embedding_into_a_classification() -> None:
    labels = {"name": "labels", "shape": [2], "datatype": "BYTES", "data": ["sports", "politics"]}
    body = {"inputs": [*_text("goal", "vote")["inputs"], labels]}
    async with open_app() as (app, _):
        outputs = _outputs(await _infer(app, body))
        only = _outputs(await _infer(app, {**body, "outputs": [{"name": "score"}]}))
    assert outputs["label"]["data"] == ["sports", "sports"]
    assert outputs["scores"]["shape"] == [2, 2]
    assert outputs["labels"]["data"] == ["sports", "politics"]
    assert list(only) == ["score"]


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]]], ids=["flat", "nested"])
async def test_rows_may_be_flat_or_nested(data: list[Any]) -> None:
    async with open_app(ROWS_MODEL) as (app, _):
        outputs = _outputs(await _infer(app, _rows(data, [2, 2]), model="rows"))
    assert outputs["sum"] == {"name": "sum", "datatype": "FP32", "shape": [2], "data": [3, 7]}


async def test_rows_may_be_raw_bytes() -> None:
    raw = np.array([[1, 2], [3, 4]], "<f4").tobytes()
    body = _rows(None, [2, 2], parameters={"binary_data_size": len(raw)})
    async with open_app(ROWS_MODEL) as (app, _):
        assert _outputs(await _infer(app, body, raw, "rows"))["sum"]["data"] == [3, 7]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [(np.array([1, 2, 3], "<f4"), "binary_data_size"), (np.array([1, np.nan], "<f4"), "finite")],
)
async def test_raw_rows_must_be_complete_and_finite(numbers: Any, expected: str) -> None:
    raw = numbers.tobytes()
    body = _rows(None, [1, 2], parameters={"binary_data_size": len(raw)})
    async with open_app(ROWS_MODEL) as (app, _):
        response = await _infer(app, body, raw, "rows")
    assert response.status_code == 400
    assert expected in response.json()["error"]


async def test_a_model_with_a_fixed_batch_accepts_any_number_of_rows() -> None:
    fixed = Manifest(
        name="rows",
        task="tensor",
        runtime="torch-export",
        inputs=[TensorSpec(name="x", shape=[1, 2])],
        outputs=[TensorSpec(name="sum", shape=[1])],
    )
    async with open_app(fixed) as (app, _):
        outputs = _outputs(await _infer(app, _rows([1, 2, 3, 4], [2, 2]), model="rows"))
        described = (await app.get("/v2/models/rows")).json()
    assert outputs["sum"]["data"] == [3, 7]
    assert described["inputs"][0]["shape"] == [-1, 2]
    assert described["outputs"][0]["shape"] == [-1]


async def test_members_may_be_null() -> None:
    """Some clients send all fields of their classes."""
    body = {
        **_text("four", parameters=None),
        "id": None,
        "parameters": None,
        "outputs": None,
        "model_name": "mini",
    }
    async with open_app() as (app, _):
        assert _outputs(await _infer(app, body))["embedding"]["data"] == [4, 0.1]


async def test_an_unknown_output_is_rejected_before_the_prediction() -> None:
    class Counting(InstantEngines):
        runs = 0

        def run(self, *args: Any, **options: Any) -> Any:
            self.runs += 1
            return super().run(*args, **options)

    engines = Counting(TEXT_MODEL)
    async with open_app(engines=engines) as (app, _):
        response = await _infer(app, {**_text("four"), "outputs": [{"name": "vector"}]})
    assert response.status_code == 400
    assert engines.runs == 0


async def test_rows_of_a_model_without_declared_inputs_are_json() -> None:
    body = _text("[1, 2]", "[3, 4.5]", name="row")
    async with open_app(OPEN_MODEL) as (app, _):
        outputs = _outputs(await _infer(app, body, model="open"))
        broken = await _infer(app, _text("[1", name="row"), model="open")
    assert [json.loads(row) for row in outputs["prediction"]["data"]] == [{"sum": 3}, {"sum": 7.5}]
    assert broken.status_code == 400
    assert "inputs.0.data.0" in broken.json()["error"]


async def test_an_image_is_accepted_as_bytes() -> None:
    image = png_of(4, 4)
    raw = _strings(image)
    manifest = Manifest(name="eye", task="python", runtime="python", modalities=["image"])
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES"}
    async with open_app(manifest) as (app, _):
        body = {"inputs": [{**tensor, "parameters": {"binary_data_size": len(raw)}}]}
        outputs = _outputs(await _infer(app, body, raw, "eye"))
    assert json.loads(outputs["prediction"]["data"][0]) == {"bytes": len(image)}


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
async def test_a_body_may_be_compressed(compress: Any) -> None:
    encoding = "gzip" if compress is gzip.compress else "deflate"
    body = json.dumps(_text("four")).encode()
    async with open_app() as (app, _):

        async def send(content: bytes, **headers: str) -> httpx2.Response:
            return await app.post(
                "/v2/models/mini/infer",
                content=content,
                headers={"Content-Encoding": encoding, **headers},
            )

        assert _outputs(await send(compress(body)))["embedding"]["data"] == [4, 0.1]
        assert (await send(body)).status_code == 400
        assert (await send(compress(body)[:-3])).status_code == 400
        assert (await send(compress(b" " * 20_000_000))).status_code == 413
        assert (await send(body, **{"Content-Encoding": "br"})).status_code == 415


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, "inputs"),
        ({"inputs": []}, "inputs"),
        (_text("four", name="txt"), "inputs.0.name"),
        (_text("four", datatype="FP32"), "inputs.0.datatype"),
        (_text("four", datatype="STRING"), "inputs.0.datatype"),
        (_text("four", shape=[2]), "inputs.0.data"),
        (_text("four", shape=[1, 2]), "inputs.0.shape"),
        (_text("four", shape=[4_000_001]), "inputs.0.shape"),
        (_text("a", "b", shape=[2, 1], data=[["a"], ["b", "c"]]), "inputs.0.data"),
        ({**_text("four"), "outputs": [{"name": "embedding"}] * 2}, "outputs.1.name"),
        (
            {**_text("four"), "parameters": {"binary_data_output": "no"}},
            "parameters.binary_data_output",
        ),
        (
            {
                **_text("four"),
                "outputs": [{"name": "embedding", "parameters": {"binary_data": 1}}],
            },
            "outputs.0.parameters.binary_data",
        ),
        (_text("a", "b", shape=[1, 2]), "inputs.0.shape"),
        (_text("four", shape=[0]), "inputs.0.shape.0"),
        (_text("four", shape=[]), "inputs.0.shape"),
        (_text("four", shape=[-1]), "inputs.0.shape.0"),
        (_text("a", ["b"], shape=[2, 1]), "inputs.0.data"),
        (_text("four", " "), "inputs.0.data.1"),
        (_text("four", 5), "inputs.0.data.1"),
        (_text("refused"), "inputs.0.data"),
        ({**_text("four"), "outputs": [{"name": "vector"}]}, "outputs.0.name"),
        (
            _text("four", parameters={"shared_memory_region": "r"}),
            "inputs.0.parameters.shared_memory_region",
        ),
        (
            {
                **_text("four"),
                "outputs": [{"name": "embedding", "parameters": {"classification": 3}}],
            },
            "outputs.0.parameters.classification",
        ),
        ({"inputs": _text("a")["inputs"] * 2}, "inputs"),
        (_text("four", parameters={"binary_data_size": 4}), "inputs.0.data"),
    ],
)
async def test_invalid_requests_are_rejected_with_the_field(
    body: dict[str, Any], expected: str
) -> None:
    async with open_app() as (app, _):
        response = await _infer(app, body)
    assert response.status_code == 400, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert list(response.json()) == ["error"]
    assert f"`{expected}`" in response.json()["error"]


@pytest.mark.parametrize(
    ("size", "raw", "expected"),
    [
        (9, _strings(b"four"), "binary_data_size"),
        (8, _strings(b"four") + b"more", "follow"),
        (5, _strings(b"f") + b"", "inputs"),
        (-1, b"", "binary_data_size"),
        (True, b"a", "binary_data_size"),
        (6, struct.pack("<I", 2**31) + b"ab", "element 0"),
        (16, _strings(b"four") * 2, "more than 1"),
        (2, b"ab", "element 0"),
        (6, struct.pack("<I", 2) + b"\xff\xfe", "UTF-8"),
    ],
)
async def test_raw_bytes_must_be_complete(size: Any, raw: bytes, expected: str) -> None:
    shape = [2] if (size, raw) == (5, _strings(b"f")) else [1]
    body = _text(shape=shape, parameters={"binary_data_size": size})
    del body["inputs"][0]["data"]
    async with open_app() as (app, _):
        response = await _infer(app, body, raw)
    assert response.status_code == 400, response.text
    assert expected in response.json()["error"]


@pytest.mark.parametrize("length", ["1e3", "-1", "99999", "1"])
async def test_the_length_of_the_json_must_be_correct(length: str) -> None:
    async with open_app() as (app, _):
        response = await app.post(
            "/v2/models/mini/infer",
            content=json.dumps(_text("four")),
            headers={LENGTH: length},
        )
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (_rows([1, 2, 3], [1, 3]), "inputs.0.shape"),
        (_rows([1, 2], [2]), "inputs.0.shape"),
        (_rows([1, "a"], [1, 2]), "inputs.0.data.0"),
        (_rows([1, True], [1, 2]), "inputs.0.data.0"),
        (_rows([[1, 2, 3], [4]], [2, 2]), "inputs.0.data"),
        (_rows([[1], [2], [3], [4]], [2, 2]), "inputs.0.data"),
        (_rows([1, 2], [1, 2], datatype="FP64"), "inputs.0.datatype"),
        (_rows([1] * 4000, [2000, 2]), "inputs.0.shape"),
    ],
)
async def test_invalid_rows_are_rejected_with_the_field(
    body: dict[str, Any], expected: str
) -> None:
    async with open_app(ROWS_MODEL) as (app, _):
        response = await _infer(app, body, model="rows")
    assert response.status_code in (400, 413), response.text
    assert f"`{expected}" in response.json()["error"]


async def test_inputs_must_have_equal_numbers_of_rows() -> None:
    body = {
        "inputs": [
            {"name": "a", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]},
            {"name": "n", "shape": [1], "datatype": "INT64", "data": [1]},
        ]
    }
    async with open_app(RECORDS_MODEL) as (app, _):
        fewer = await _infer(app, body, model="records")
        missing = await _infer(app, {"inputs": body["inputs"][:1]}, model="records")
    assert "`inputs.1.shape` must begin with 2" in fewer.json()["error"]
    assert "must have the tensor n" in missing.json()["error"]


@pytest.mark.parametrize("path", ["", "/versions/1.2"])
async def test_the_model_is_described(path: str) -> None:
    async with open_app(TEXT_MODEL) as (app, _):
        described = (await app.get(f"/models/mini/v2/models/mini{path}")).json()
        ready = (await app.get(f"/v2/models/mini{path}/ready")).json()
        inferred = await app.post(f"/v2/models/mini{path}/infer", json=_text("four"))
    assert described == {
        "name": "mini",
        "versions": ["1.2"],
        "platform": "pytorch_bert",
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": "embedding", "datatype": "FP32", "shape": [-1, 2]}],
    }
    assert ready == {"name": "mini", "ready": True}
    assert inferred.status_code == 200


async def test_another_model_or_version_is_unknown() -> None:
    async with open_app(TABLE_MODEL) as (app, _):
        model = await app.get("/v2/models/mini")
        version = await app.get("/v2/models/table/versions/7/ready")
        inference = await _infer(app, _text("four"))
    for response in (model, version, inference):
        assert response.status_code == 404
        assert response.json()["error"].startswith("UnknownModel: ")


async def test_the_server_reports_its_metadata_and_readiness() -> None:
    async with open_app() as (app, components):
        for path in ("/v2", "/v2/"):
            server = (await app.get(path)).json()
            assert server["name"] == "slipway"
            assert server["extensions"] == ["binary_tensor_data"]
        assert (await app.get("/v2/health/live")).json() == {"live": True}
        assert (await app.get("/v2/health/ready")).json() == {"live": True, "ready": True}
        components.lifecycle.drain_started.set()
        for path in ("/v2/health/ready", "/v2/models/mini/ready"):
            leaving = await app.get(path)
            assert leaving.status_code == 503
            assert leaving.json()["error"].startswith("Draining: ")
