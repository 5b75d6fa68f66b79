import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import type { SubscriptionAnswer } from "@/api/schema";
import { ActForm } from "@/components/ActForm";
import { Another, IS_OTHER } from "@/components/Another";
import { Button } from "@/components/Button";
import { Field } from "@/components/Field";
import { count, counted } from "@/components/format";
import { Modal, useOfTenant } from "@/components/Modal";
import { Leave, Outcome } from "@/components/Outcome";
import { isTyped } from "@/components/typed";
import { useDeleteSubscription } from "@/services/subscriptions";

interface DeleteSubscriptionProps {
  readonly onClose: () => void;
  readonly subscription: SubscriptionAnswer;
}

export function DeleteSubscription({ onClose, subscription }: DeleteSubscriptionProps) {
  const { dead_count, lag, name, subscribers } = subscription;
  const [typed, setTyped] = useState("");
  const navigate = useNavigate();
  const of = useOfTenant();
  const [opened] = useState(subscription);
  const remove = useDeleteSubscription(opened);
  const isOther = subscription.created_at !== opened.created_at && !remove.isPending;
  const isSame = isTyped(typed, name);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!isSame) return;
    const done = () => {
      onClose();
      void navigate({ search: { q: "" }, to: "/subscriptions" });
    };
    remove.start(
      undefined,
      done,
      () => `Subscription “${name}”${of} was deleted, ${counted(lag, "message")} unsettled`,
    );
  };
  return (
    <Modal onClose={onClose} open title={`Delete ${name}?`}>
      <ActForm className="space-y-4" onSubmit={submit}>
        <ul className="list-disc space-y-1 pl-5">
          <li>
            Its place is gone, and what it has not settled is not delivered by it any more:{" "}
            {counted(lag, "message")}.
          </li>
          <li>What is attached is unsubscribed: {counted(subscribers, "subscriber")}.</li>
          <li>
            What died stays, and cannot be redriven without it: {counted(dead_count, "dead letter")}
            . Messages stay in their topics.
          </li>
        </ul>
        <Field
          autoComplete="off"
          label={`Type ${name} to delete it`}
          onChange={(event) => setTyped(event.target.value)}
          spellCheck={false}
          value={typed}
        />
        {isOther && <Another what="subscription" />}
        <Outcome act={remove} may="It may have been deleted" not="It was not deleted" />
        <div className="flex flex-wrap justify-end gap-2">
          <Leave onClick={onClose}>Keep it</Leave>
          <Button
            look="danger"
            type="submit"
            told="before"
            unable={isOther ? IS_OTHER : isSame ? null : "Type the name of the subscription first"}
          >
            {remove.isPending ? "Deleting…" : `Delete subscription, ${count(lag)} unsettled`}
          </Button>
        </div>
      </ActForm>
    </Modal>
  );
}
