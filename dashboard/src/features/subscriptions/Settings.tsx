import type { FormEvent } from "react";
import type { SubscriptionAnswer } from "@/api/schema";
import { ActForm } from "@/components/ActForm";
import { Another, IS_OTHER_TYPED } from "@/components/Another";
import { Field } from "@/components/Field";
import { Outcome } from "@/components/Outcome";
import { Overtaken } from "@/components/Overtaken";
import { Save } from "@/components/Save";
import { useEdits } from "@/components/useEdits";
import {
  changes,
  parseSetting,
  SETTINGS,
  type Setting,
  settingText,
  type Texts,
} from "@/features/subscriptions/model";
import { useReasonAgainst } from "@/services/server";
import { useChangeSubscription } from "@/services/subscriptions";

export function Settings({ subscription }: { readonly subscription: SubscriptionAnswer }) {
  const there = current(subscription);
  const edits = useEdits(there, subscription.created_at);
  const { change: type, isEdited, isOfAnother, overtaken, shown, undo } = edits;
  const change = useChangeSubscription(subscription.name);
  const may = useReasonAgainst("manage", subscription.topic);
  const wanted = changes(shown, subscription);
  const nothing = wanted !== null && Object.keys(wanted).length === 0;
  const unable = may ?? (isOfAnother ? IS_OTHER_TYPED : null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (wanted && !unable && !nothing)
      change.start({ body: wanted, created_at: edits.meant }, undo);
  };
  return (
    <ActForm className="max-w-md space-y-4" isOut={change.isPending} onSubmit={submit}>
      <p className="text-dim">
        They hold from the next delivery on; what is in flight keeps its time. Acks are{" "}
        {subscription.ack}, the order is {subscription.order}: these cannot change.
      </p>
      {SETTINGS.map(({ hint, label, setting }) => {
        const parsed = parseSetting(setting, shown[setting]);
        return (
          <Field
            autoComplete="off"
            hint={hint}
            key={setting}
            label={label}
            onChange={(event) => type({ ...shown, [setting]: event.target.value })}
            problem={"problem" in parsed ? parsed.problem : null}
            value={shown[setting]}
          />
        );
      })}
      <Overtaken
        fields={overtaken.map((each) => `${labelOf(each)}, now ${there[each] || "never"}`)}
      />
      {isOfAnother && <Another way={IS_OTHER_TYPED} what="subscription" />}
      <Outcome
        act={change}
        may="It may have been changed"
        not="Nothing was changed"
        onLook={undo}
      />
      <Save
        isEdited={isEdited}
        isPending={change.isPending}
        isSaved={change.isSuccess && !isEdited}
        nothing={nothing}
        onUndo={undo}
        unable={unable}
      />
    </ActForm>
  );
}

const labelOf = (setting: Setting) => SETTINGS.find((each) => each.setting === setting)?.label;

function current(subscription: SubscriptionAnswer): Texts {
  const pairs = SETTINGS.map(({ setting }) => [
    setting,
    settingText(setting, subscription[setting]),
  ]);
  return Object.fromEntries(pairs) as Texts;
}
