import { useMemo } from "react";
import {
  indent,
  JsonProblem,
  type Line,
  laidOut,
  lines,
  type Token,
} from "@/components/json/lossless";

interface JsonProps {
  readonly label: string;
  readonly text: string;
}

// Beyond that it is one text without colours: a page of twenty thousand elements is slow.
const COLOURED_LINES_COUNT = 1_500;
const COLOURS: Readonly<Record<Token["kind"], string>> = {
  mark: "text-dim",
  name: "text-info",
  number: "text-other",
  string: "text-ok",
  word: "text-warn",
};

/** JSON in lines, every number as it was written; another text as it is. */
export function Json({ label, text }: JsonProps) {
  const found = useMemo(() => laidOutLines(text), [text]);
  return (
    <section
      aria-label={label}
      className="max-h-[28rem] overflow-auto rounded-md border border-line bg-raised p-3"
      tabIndex={0}
    >
      <pre className="font-mono text-xs leading-relaxed">
        {found && found.length <= COLOURED_LINES_COUNT
          ? found.map((line, at) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: lines have nothing else
              <JsonLine key={at} line={line} />
            ))
          : found
            ? laidOut(found)
            : text}
      </pre>
    </section>
  );
}

function JsonLine({ line }: { readonly line: Line }) {
  return (
    <>
      {indent(line)}
      {line.tokens.map(({ kind, text }, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: tokens have nothing else
        <span className={COLOURS[kind]} key={at}>
          {text}
        </span>
      ))}
      {"\n"}
    </>
  );
}

export function laidOutLines(text: string): Line[] | null {
  try {
    return lines(text);
  } catch (error) {
    if (error instanceof JsonProblem) return null;
    throw error;
  }
}
