import { useQuery } from "@tanstack/react-query";
import { useId, useState } from "react";
import { flushSync } from "react-dom";
import { inputClass } from "@/components/Field";
import { topicNamesQuery } from "@/services/topics";

interface TopicBoxProps {
  readonly label: string;
  readonly onTopic: (topic: string) => void;
  readonly topic: string;
}

const OFFERED_COUNT = 30;

/** The name of a topic, with those that there are offered. It counts when it is chosen, or left. */
export function TopicBox({ label, onTopic, topic }: TopicBoxProps) {
  const id = useId();
  const [typed, setTyped] = useState(topic);
  const [seen, setSeen] = useState(topic);
  if (topic !== seen) {
    setSeen(topic);
    setTyped(topic);
  }
  const names = useQuery(topicNamesQuery(typed, OFFERED_COUNT));
  const offered = names.data?.topics.map((each) => each.name) ?? [];
  const choose = (name: string) => name !== topic && onTopic(name.trim());
  return (
    <form
      className="min-w-0 flex-1 sm:max-w-72"
      onSubmit={(event) => {
        event.preventDefault();
        choose(typed);
      }}
    >
      <input
        aria-label={label}
        autoComplete="off"
        className={inputClass}
        list={id}
        onBlur={({ target }) => choose(target.value)}
        onChange={({ target }) => {
          setTyped(target.value);
          if (offered.includes(target.value) && target.value !== typed) choose(target.value);
        }}
        onKeyDown={(event) => {
          // Before Esc leaves the field: what was not chosen does not count.
          if (event.key === "Escape") flushSync(() => setTyped(topic));
        }}
        placeholder="Topic"
        spellCheck={false}
        value={typed}
      />
      <datalist id={id}>
        {offered.map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </form>
  );
}
