import { Link } from "@tanstack/react-router";
import { CircleCheck, CircleDashed } from "lucide-react";
import { Examples } from "@/features/connect/Examples";
import type { Step } from "@/features/overview/model";

const LINK = "text-accent underline underline-offset-2";

export function FirstSteps({ steps }: { readonly steps: readonly Step[] }) {
  return (
    <section aria-labelledby="first" className="rounded-lg border border-line bg-surface p-4">
      <h2 className="font-medium" id="first">
        First steps
      </h2>
      <p className="text-dim">
        Here or from a program: each ticks itself once the server has seen it.
      </p>
      <ol className="my-3 space-y-1.5">
        {steps.map(({ done, title, to }) => {
          const Icon = done ? CircleCheck : CircleDashed;
          return (
            <li className="flex items-center gap-2" key={title}>
              <Icon
                aria-label={done ? "Done" : "To do"}
                className={`size-4 ${done ? "text-ok" : "text-dim"}`}
                role="img"
              />
              {to === "/topics" ? (
                <Link className={LINK} search={{ create: true }} to={to}>
                  {title}
                </Link>
              ) : (
                <Link className={LINK} to={to}>
                  {title}
                </Link>
              )}
            </li>
          );
        })}
      </ol>
      <details>
        <summary className="w-fit cursor-pointer py-1">How, in a terminal or a program</summary>
        <div className="mt-2">
          <Examples topic="demo" />
        </div>
      </details>
    </section>
  );
}
