import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { Badge } from "@/components/Badge";
import { toneOf } from "@/components/stateColours";
import { Clock, Time } from "@/components/Time";
import { useServerNow } from "@/components/useNow";
import { inOrder, isOverdue, meaning, passed, stateName } from "@/features/messages/timeline";
import type { MessageDetail } from "@/services/messages";

/** From its publishing to where it is now, in each durable subscription. */
export function Deliveries({ message }: { readonly message: MessageDetail }) {
  const deliveries = inOrder(message.deliveries);
  const now = useServerNow();
  return (
    <div className="space-y-2">
      <h3 className="font-medium">Deliveries</h3>
      <ol className="ml-1.5 space-y-3 border-line border-l-2 pl-4">
        <Point>
          Published <Time at={message.published_at} />
        </Point>
        {deliveries.map((delivery) => (
          <Point key={delivery.subscription}>
            <div className="flex flex-wrap items-center gap-2">
              <Link
                className="break-all font-medium hover:underline"
                params={{ name: delivery.subscription }}
                search={{}}
                to="/subscriptions/$name"
              >
                {delivery.subscription}
              </Link>
              <Badge tone={toneOf(delivery.state)}>{stateName(delivery)}</Badge>
            </div>
            {passed(delivery).map(({ at, what }) => (
              <p className="text-xs" key={what}>
                {what} <Time at={at} />
              </p>
            ))}
            <p className="text-dim text-xs">
              {meaning(delivery)}
              {delivery.next_attempt_at &&
                (isOverdue(delivery, now) ? (
                  "; its next attempt is due, and waits for a subscriber with room for it"
                ) : (
                  <>
                    ; next attempt <Clock at={delivery.next_attempt_at} now={now} />
                  </>
                ))}
            </p>
          </Point>
        ))}
        {message.next !== null && (
          <Point>
            <span className="text-dim">
              These are the first {deliveries.length} subscriptions by name, and there are more.
            </span>
          </Point>
        )}
        {deliveries.length === 0 && (
          <Point>
            <span className="text-dim">
              No durable subscription follows this topic. Of what other subscribers had only their
              dead letters are kept.
            </span>
          </Point>
        )}
      </ol>
    </div>
  );
}

function Point({ children }: { readonly children: ReactNode }) {
  return (
    <li className="relative">
      <span
        aria-hidden
        className="absolute top-1.5 -left-[1.375rem] size-2.5 rounded-full border-2 border-surface bg-accent"
      />
      {children}
    </li>
  );
}
