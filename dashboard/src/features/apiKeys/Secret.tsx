import { useBlocker } from "@tanstack/react-router";
import { useState } from "react";
import { Button } from "@/components/Button";
import { Copy } from "@/components/Copy";

interface SecretProps {
  readonly onDone: () => void;
  readonly text: string;
}

/** The only time that a key can be seen. */
export function Secret({ onDone, text }: SecretProps) {
  const [saved, setSaved] = useState(false);
  // Nor does the browser's Back take it away without a word.
  const leaving = useBlocker({
    enableBeforeUnload: () => !saved,
    shouldBlockFn: () => !saved,
    withResolver: true,
  });
  return (
    <div className="space-y-4">
      <p className="font-medium text-warn" role="alert">
        This is the only time that the key is shown. The server keeps a hash of it, and cannot show
        it again.
      </p>
      <div className="flex items-center gap-2 rounded-md border border-edge bg-raised p-2">
        <code className="min-w-0 flex-1 select-all break-all font-mono" data-secret>
          {text}
        </code>
        <Copy label="Copy the key" text={text} />
      </div>
      <label className="flex min-h-8 items-center gap-2">
        <input
          checked={saved}
          className="size-4"
          onChange={(event) => setSaved(event.target.checked)}
          type="checkbox"
        />
        I have put it where it is needed
      </label>
      {leaving.status === "blocked" && (
        <div className="flex flex-wrap items-center gap-2" role="alert">
          <span className="mr-auto font-medium text-warn">
            Whoever leaves now has lost the key.
          </span>
          <Button onClick={leaving.reset}>Stay</Button>
          <Button
            look="danger"
            onClick={() => {
              leaving.proceed();
              onDone();
            }}
          >
            Leave without it
          </Button>
        </div>
      )}
      <div className="flex flex-wrap justify-end gap-2">
        <Button
          look="primary"
          onClick={onDone}
          told="before"
          unable={saved ? null : "Save the key first"}
        >
          Done
        </Button>
      </div>
    </div>
  );
}
