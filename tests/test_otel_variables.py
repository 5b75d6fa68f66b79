"""What of OpenTelemetry's variables cannot work."""

import sys

import pytest

from conduit.environment import load_settings
from conduit.errors import ConfigError
from conduit.otel_variables import EXTRA, SAMPLERS, header_values

ON = {"CONDUIT_TRACES": "otlp"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf only"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "http/protobuf only"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "must be an address"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://", "must be an address"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "must be one of parentbased_always_on"),
    ],
)
def test_what_cannot_work_is_refused_where_traces_are_wanted(
    name: str, text: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=f"{name}.*{said}"):
        load_settings({**ON, name: text})
    assert load_settings({name: text}).traces == "off"


@pytest.mark.parametrize("text", ["2", "-0.1", "half", "nan"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    given = {**ON, "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": text}
    with pytest.raises(ConfigError, match="a number from 0 to 1"):
        load_settings(given)
    # Of others it is not read.
    assert load_settings(given | {"OTEL_TRACES_SAMPLER": "always_on"}).traces == "otlp"


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_of_the_specification_is_taken(sampler: str) -> None:
    assert load_settings({**ON, "OTEL_TRACES_SAMPLER": sampler}).traces == "otlp"


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.sdk.trace", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    with pytest.raises(ConfigError) as refused:
        load_settings(ON)
    assert EXTRA in str(refused.value)
    assert load_settings({}).traces == "off"


def test_where_opentelemetry_is_switched_off_there_are_no_traces_and_it_is_said() -> None:
    settings = load_settings({**ON, "OTEL_SDK_DISABLED": "true"})
    assert settings.traces == "off"
    assert any("OTEL_SDK_DISABLED" in warning for warning in settings.warnings)


def test_the_collectors_key_is_a_secret() -> None:
    given = "api-key=a%20secret, x-tenant = b ,broken"
    assert set(header_values(given)) == {"a%20secret", "a secret", "b"}
    assert "a secret" in load_settings({"OTEL_EXPORTER_OTLP_HEADERS": given}).secrets
