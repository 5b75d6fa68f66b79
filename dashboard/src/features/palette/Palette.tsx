import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, useDeferredValue, useId, useState } from "react";
import { inputClass } from "@/components/Field";
import { Modal } from "@/components/Modal";
import { type Choice, choices, moved } from "@/features/palette/model";
import { useReasonAgainst, useReasonAgainstReading } from "@/services/server";
import { subscriptionNamesQuery } from "@/services/subscriptions";
import { topicNamesQuery } from "@/services/topics";

// Of topics, and of subscriptions: who does not see his types more of its name.
const NAMES_COUNT = 8;

interface PaletteProps {
  readonly onClose: () => void;
  readonly open: boolean;
}

export function Palette({ onClose, open }: PaletteProps) {
  return (
    <Modal onClose={onClose} open={open} title="Go to">
      <Search onClose={onClose} />
    </Modal>
  );
}

function Search({ onClose }: { readonly onClose: () => void }) {
  const [typed, setTyped] = useState("");
  const [marked, setMarked] = useState(0);
  const list = useId();
  const navigate = useNavigate();
  const q = useDeferredValue(typed.trim());
  const unread = useReasonAgainstReading();
  const unable = useReasonAgainst("manage");
  const topics = useQuery({ ...topicNamesQuery(q, NAMES_COUNT), enabled: unread === null });
  // Nobody looks for one of them without a part of its name.
  const subscriptions = useQuery({
    ...subscriptionNamesQuery(q, NAMES_COUNT),
    enabled: q !== "" && unable === null,
  });
  const found = choices(typed, {
    subscriptions: (q && subscriptions.data?.subscriptions.map(({ name }) => name)) || [],
    topics: topics.data?.topics.map(({ name }) => name) ?? [],
  });
  const at = moved(marked, "", found.length);
  const go = (choice: Choice | undefined) => {
    if (!choice) return;
    onClose();
    // The path as it is in the address: names are encoded already.
    void navigate({ to: choice.to });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Enter") go(found[at]);
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    setMarked(moved(at, event.key, found.length));
  };
  return (
    <>
      <input
        aria-activedescendant={found[at] ? `${list}-${found[at].id}` : undefined}
        aria-controls={list}
        aria-expanded
        aria-label="A page, or a part of a name of a topic or subscription"
        autoComplete="off"
        className={inputClass}
        onChange={(event) => {
          setTyped(event.target.value);
          setMarked(0);
        }}
        onKeyDown={onKeyDown}
        placeholder="A page, or a part of a name of a topic or subscription"
        role="combobox"
        value={typed}
      />
      <div aria-label="Where to" className="mt-2" id={list} role="listbox">
        {found.map((choice, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the field above has the keys
          <div
            aria-selected={index === at}
            className="flex cursor-pointer items-center justify-between rounded-md px-3 py-1.5 aria-selected:bg-raised"
            id={`${list}-${choice.id}`}
            key={choice.id}
            onClick={() => go(choice)}
            onPointerMove={() => setMarked(index)}
            role="option"
            tabIndex={-1}
          >
            <span className="min-w-0 truncate">{choice.label}</span>
            <span className="text-dim text-xs">{choice.kind}</span>
          </div>
        ))}
      </div>
      {found.length === 0 && <p className="p-3 text-dim">Nothing has that name.</p>}
    </>
  );
}
