import json

import pytest
from pydantic import BaseModel, ValidationError

from conduit.server.rest.inputs import Body, QueryModel
from tests.server.rest_kit import Api, refused, running_api

MANY = {f"k{index}": 1 for index in range(1_000)}


@pytest.fixture
async def app():
    async with running_api() as api:
        yield api


def models(base: type[BaseModel]) -> list[type[BaseModel]]:
    found = base.__subclasses__()
    return [*found, *(model for each in found for model in models(each))]


@pytest.mark.parametrize("model", [*models(Body), *models(QueryModel)])
def test_of_many_unknown_fields_one_is_found(model):
    with pytest.raises(ValidationError) as caught:
        model.model_validate(MANY)
    assert caught.value.error_count() == 1


async def test_the_first_unknown_field_is_named_with_where_it_stands(app: Api):
    await app.topic("t")
    for body, field in ((MANY, "k0"), ({"retention": {"max_age_s": 1, **MANY}}, "retention.k0")):
        answer = await app.send("PATCH", "/api/topics/t", content=json.dumps(body))
        assert refused(answer, 400, "unknown_field", field) == f"unknown field {field!r}"
