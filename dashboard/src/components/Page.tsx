import { type ReactNode, useEffect } from "react";

interface PageProps {
  readonly actions?: ReactNode;
  /** Above the title: where this is a part of. */
  readonly back?: ReactNode;
  readonly children: ReactNode;
  readonly title: string;
}

export function Page({ actions, back, children, title }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Conduit`;
  }, [title]);
  return (
    <div className="mx-auto w-full max-w-[110rem] space-y-5 p-4 sm:p-6">
      {back && <div className="mb-1">{back}</div>}
      <div className="flex flex-wrap items-center justify-between gap-x-2 gap-y-3">
        <h1 className="min-w-0 break-all font-semibold text-xl outline-none" tabIndex={-1}>
          {title}
        </h1>
        {actions && <div className="flex flex-wrap items-center gap-2">{actions}</div>}
      </div>
      {children}
    </div>
  );
}
