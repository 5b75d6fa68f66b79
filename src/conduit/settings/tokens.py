"""Tokens: those that this server makes, and those of an identity provider."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from conduit import identity_provider
from conduit.identity_provider import IdentityProvider
from conduit.settings.types import Group

# A token cannot be taken back but with the key that made it.
TOKEN_TTL_MAX_S = 86_400
JWKS_AGE_MAX_S = 30 * 86_400


class Tokens(Group):
    """Which tokens count."""

    token_max_ttl_s: int = Field(
        TOKEN_TTL_MAX_S,
        description="Longest life of a token that `POST /api/tokens` makes.",
        ge=1,
        le=TOKEN_TTL_MAX_S,
    )
    jwks_url: str | None = Field(
        None,
        description="Tokens of an identity provider count as well: where its keys are, as "
        "`https://id.example/.well-known/jwks.json`; with http only on this machine.",
    )
    jwt_issuer: str | None = Field(
        None,
        description="Of these tokens `iss` must be exactly this. Required with `CONDUIT_JWKS_URL`.",
        validate_default=True,
    )
    jwt_audience: str | None = Field(
        None,
        description="Of these tokens `aud` must be this, or have it. Required with `CONDUIT_JWKS_URL`.",
        validate_default=True,
    )
    jwt_algorithms: str = Field(
        "RS256,ES256,EdDSA",
        description="The algorithms with which these tokens may be signed, separated by commas: of "
        f"{', '.join(identity_provider.ALGORITHMS)}.",
    )
    jwt_tenant_claim: str = Field(
        "conduit_tenant", description="The claim of these tokens that names the tenant."
    )
    jwt_scopes_claim: str = Field(
        "conduit_scopes",
        description="The claim of these tokens that has what they may do, as `scopes` of "
        "`POST /api/tokens`.",
    )
    jwks_max_age_s: int = Field(
        86_400,
        description="Keys that could not be fetched again for so long count no more.",
        ge=600,
        le=JWKS_AGE_MAX_S,
    )

    @field_validator("jwks_url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        return None if url is None else identity_provider.check_url(url)

    @field_validator("jwt_issuer", "jwt_audience")
    @classmethod
    def _both_or_none(cls, value: str | None, info: ValidationInfo) -> str | None:
        # One that is wrong is told by itself.
        if "jwks_url" in info.data and (value is None) != (info.data["jwks_url"] is None):
            if value is None:
                raise ValueError("must be set with CONDUIT_JWKS_URL, so that no other tokens count")
            raise ValueError("is set without CONDUIT_JWKS_URL, and has no effect then; unset it")
        return value

    @field_validator("jwt_algorithms")
    @classmethod
    def _known_algorithms(cls, text: str) -> str:
        identity_provider.algorithms(text)
        return text

    @field_validator("jwt_tenant_claim", "jwt_scopes_claim")
    @classmethod
    def _claim_name(cls, name: str) -> str:
        return identity_provider.check_claim_name(name)

    @property
    def identity_provider(self) -> IdentityProvider | None:
        """The identity provider whose tokens count, if there is one."""
        if self.jwks_url is None or self.jwt_issuer is None or self.jwt_audience is None:
            return None
        return IdentityProvider(
            jwks_url=self.jwks_url,
            issuer=self.jwt_issuer,
            audience=self.jwt_audience,
            algorithms=identity_provider.algorithms(self.jwt_algorithms),
            tenant_claim=self.jwt_tenant_claim,
            scopes_claim=self.jwt_scopes_claim,
            max_age_s=float(self.jwks_max_age_s),
        )
