import { Button } from "@/components/Button";
import { count } from "@/components/format";
import type { Standing } from "@/components/useStill";

interface MeanwhileProps extends Pick<Standing<unknown>, "gone" | "newCount"> {
  readonly onShow: () => void;
}

/** What has changed in a list while its rows stood still. */
export function Meanwhile({ gone, newCount, onShow }: MeanwhileProps) {
  const said = [
    ...(newCount > 0 ? [`${count(newCount)} new`] : []),
    ...(gone.size > 0 ? [`${count(gone.size)} gone`] : []),
  ];
  if (said.length === 0) return null;
  return (
    <>
      ({said.join(", ")}){" "}
      <Button className="min-h-6 py-0" onClick={onShow}>
        Bring up to date
      </Button>
    </>
  );
}

/** How a row looks that is gone, and of which nothing can be hit. */
export const GONE = "pointer-events-none opacity-50";
