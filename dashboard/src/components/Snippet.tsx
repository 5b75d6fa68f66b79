import { Copy } from "@/components/Copy";

interface SnippetProps {
  readonly label: string;
  readonly text: string;
}

export function Snippet({ label, text }: SnippetProps) {
  return (
    <figure className="overflow-hidden rounded-md border border-line bg-raised">
      <figcaption className="flex items-center justify-between border-line border-b py-0.5 pr-1 pl-3 font-medium text-xs">
        {label}
        <Copy label={`Copy: ${label}`} text={text} />
      </figcaption>
      <pre className="overflow-x-auto p-3 font-mono text-xs leading-relaxed" tabIndex={0}>
        {text}
      </pre>
    </figure>
  );
}
