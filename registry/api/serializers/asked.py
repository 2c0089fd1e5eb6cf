"""What requests to the directory may say."""

from rest_framework import serializers

from arm.api import StrictSerializer, TypeIDField
from arm.rights import Risk
from registry.lifecycle import InstanceState, VersionState
from registry.models import Provider

SEEN = "What the caller saw; 409 `edited_meanwhile` where it is another by now."


class Reasoned(StrictSerializer):
    """Every change of governance is made for a reason."""

    reason = serializers.CharField(max_length=500)


class TemplateIn(Reasoned):
    slug = serializers.SlugField(max_length=80)
    name = serializers.CharField(max_length=200)
    description = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    intended_use = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    out_of_scope = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    risk = serializers.ChoiceField(Risk.choices, required=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=60), max_length=32, required=False)
    project = serializers.SlugField(max_length=60, required=False, allow_null=True)
    cost_center = serializers.CharField(max_length=80, required=False, allow_blank=True)
    owners = serializers.ListField(child=serializers.CharField(max_length=150), max_length=50, required=False)


class TemplateChange(TemplateIn):
    slug = None  # type: ignore[assignment]  # the short name does not change
    owners = None  # type: ignore[assignment]  # owners have a verb of their own
    name = serializers.CharField(max_length=200, required=False)


class OwnersIn(Reasoned):
    owners = serializers.ListField(child=serializers.CharField(max_length=150), min_length=1, max_length=50)
    seen = serializers.ListField(
        child=serializers.CharField(max_length=150), max_length=500, required=False, help_text=SEEN
    )


class SuccessorsIn(Reasoned):
    successors = serializers.ListField(child=serializers.CharField(max_length=150), max_length=50)
    seen = serializers.ListField(
        child=serializers.CharField(max_length=150), max_length=50, required=False, help_text=SEEN
    )


class VersionIn(Reasoned):
    template = TypeIDField("tpl")
    genome = serializers.DictField()
    label = serializers.CharField(max_length=80, required=False, allow_blank=True)  # type: ignore[assignment]
    description = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    parents = serializers.ListField(child=TypeIDField("ver"), max_length=16, required=False)


class RebindIn(Reasoned):
    by = serializers.DateTimeField()


class SaveGenomeIn(Reasoned):
    genome = serializers.DictField()


class MoveVersionIn(Reasoned):
    to = serializers.ChoiceField(VersionState.choices)
    acknowledged = serializers.CharField(
        max_length=2000,
        required=False,
        allow_blank=True,
        help_text="Why a candidate may break what callers or tools of the approved version rely on.",
    )


class ImportIn(StrictSerializer):
    """The words around an imported file: query parameters, or the fields of a multipart form."""

    reason = serializers.CharField(max_length=500, default="Imported by the API.")
    template = TypeIDField("tpl", required=False)
    version = TypeIDField("ver", required=False)
    name = serializers.CharField(max_length=200, required=False, default="")
    label = serializers.CharField(max_length=80, required=False, default="")  # type: ignore[assignment]


class ProvisionIn(Reasoned):
    version = TypeIDField("ver")
    environment = serializers.SlugField()
    provider = serializers.SlugField()
    name = serializers.CharField(max_length=160)
    slot = TypeIDField("slt", required=False)
    role = serializers.SlugField(required=False)
    cost_center = serializers.CharField(max_length=80, required=False, allow_blank=True)
    labels = serializers.DictField(child=serializers.CharField(max_length=200), required=False)


class MoveInstanceIn(Reasoned):
    to = serializers.ChoiceField(InstanceState.choices)


class HeartbeatIn(StrictSerializer):
    state = serializers.ChoiceField(InstanceState.choices, required=False)
    generation = serializers.IntegerField(min_value=0, max_value=2**31 - 1, required=False)
    observed_at = serializers.DateTimeField(required=False, help_text="Since when it is in this state.")


class SlotIn(Reasoned):
    environment = serializers.SlugField()
    role = serializers.SlugField(max_length=80)
    provider = serializers.SlugField()
    ordinal = serializers.IntegerField(min_value=1, max_value=32_767, required=False)


class BindIn(Reasoned):
    version = TypeIDField("ver")
    seen = TypeIDField("ver", required=False, allow_null=True, help_text=f"{SEEN} Null: it was empty.")
    acknowledged = serializers.CharField(
        max_length=2000,
        required=False,
        allow_blank=True,
        help_text="Why it may break what callers or tools of the version that is bound rely on.",
    )


class EnvironmentIn(Reasoned):
    slug = serializers.SlugField(max_length=40)
    name = serializers.CharField(max_length=120)
    production = serializers.BooleanField(required=False)
    risk_default = serializers.ChoiceField(Risk.choices, required=False)
    retention_days = serializers.IntegerField(min_value=1, max_value=3650, required=False)
    cost_tags = serializers.DictField(child=serializers.CharField(max_length=200), required=False)


class ProviderIn(Reasoned):
    slug = serializers.SlugField(max_length=60)
    name = serializers.CharField(max_length=160)
    kind = serializers.ChoiceField(Provider.Kind.choices, required=False)
    description = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    heartbeat_seconds = serializers.IntegerField(min_value=5, max_value=86_400, required=False)


class PromptIn(Reasoned):
    content = serializers.CharField(max_length=1024 * 1024, trim_whitespace=False)
    media_type = serializers.CharField(max_length=100, default="text/plain; charset=utf-8")
