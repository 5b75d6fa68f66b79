// Whatever changes something at the server goes through here, so that no act does what was not decided: it is for the
// tenant that the page was of, and by who had signed in; sent once, and at once or not at all; and its outcome is told.

import {
  type QueryClient,
  type QueryKey,
  useMutation,
  useQueryClient,
} from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import type { z } from "zod";
import { currentCaller } from "@/api/caller";
import { ApiError, asApiError } from "@/api/errors";
import { type Asked, request } from "@/api/request";
import type { WhoAmI } from "@/api/schema";
import { complain, confirm } from "@/services/notices";
import { isSame, whoamiQuery } from "@/services/server";

/** As `request`, for the tenant that the act is for. Fails if the page is of another or of somebody else by now.
 * `isLook`: it changes nothing, as no GET does. */
export type Ask = <S extends z.ZodType>(
  schema: S,
  path: string,
  asked?: Asked & { readonly isLook?: boolean },
) => Promise<z.output<S>>;

export interface Act<Variables, Answer> {
  readonly data: Answer | undefined;
  readonly error: Error | null;
  /** Whether it is not answered yet, as of this moment and not of the last time that the page was drawn. */
  readonly isOut: () => boolean;
  readonly isPending: boolean;
  readonly isSuccess: boolean;
  /** Who would tell how it ends is not there any more: by these words all pages tell it then. Null: he is back. */
  readonly leave: (words: Words | null) => void;
  /** Asks again for what it may have changed. */
  readonly look: () => void;
  /** Forgets how it ended; while it is under way that is not known, so nothing. */
  readonly reset: () => void;
  /** Nothing, if it is under way. `onDone` is called once it is done, if whoever has started it is still there; what
   * `said` returns is said in any case. */
  readonly start: (
    variables: Variables,
    onDone?: (answer: Answer) => void,
    said?: (answer: Answer) => string,
  ) => void;
  readonly variables: Variables | undefined;
}

/** How a failure is told: `may`, where nobody knows whether it was done. */
export interface Words {
  readonly may: string;
  readonly not: string;
}

interface ActOptions<Answer> {
  /** How long its answer is kept, in milliseconds. */
  readonly gcTime?: number;
  /** What its answer is the newest of: where that is kept, and what is to be there. */
  readonly shows?: (answer: Answer) => readonly [QueryKey, unknown];
  /** What it may change; all that begins so. */
  readonly touches: readonly QueryKey[];
}

/** For the tenant that the page is of, and who has signed in, when whoever calls this appears: when a dialog opens. */
export function useAct<Variables, Answer>(
  does: (ask: Ask, variables: Variables) => Promise<Answer>,
  { gcTime = 300_000, shows, touches }: ActOptions<Answer>,
): Act<Variables, Answer> {
  const client = useQueryClient();
  const [{ ask, isForPage, isForOne }] = useState(() => askingAsNow(client));
  const isMounted = useMounted();
  const isOut = useRef(false);
  // Until its end is drawn: a second click on what is about to go would start it again.
  const isBusy = useRef(false);
  const left = useRef<Words | null>(null);
  const [ends, setEnds] = useState(0);
  // Nobody waits for it: an act is done when it is answered, and not when a list is shown anew.
  const look = () => {
    for (const queryKey of touches) void client.invalidateQueries({ queryKey });
  };
  const { mutateAsync, ...act } = useMutation({
    gcTime,
    mutationFn: (variables: Variables) => does(ask, variables),
    onSettled: look,
    onSuccess: (answer) => {
      if (shows && isForPage()) client.setQueryData(...shows(answer));
    },
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: each end that was drawn
  useEffect(() => {
    if (!act.isPending && !isOut.current) isBusy.current = false;
  }, [act.isPending, ends]);
  const start: Act<Variables, Answer>["start"] = (variables, onDone, said) => {
    if (isBusy.current) return;
    isBusy.current = true;
    isOut.current = true;
    const end = () => {
      isOut.current = false;
      setEnds((before) => before + 1);
    };
    void mutateAsync(variables).then(
      (answer) => {
        end();
        if (!isForOne()) return;
        const text = said?.(answer) ?? (left.current && WENT_ON);
        if (text) confirm(text);
        if (isMounted.current) onDone?.(answer);
      },
      (error: Error) => {
        end();
        if (left.current && isForOne()) complain(failed(error, left.current), error);
      },
    );
  };
  const { data, error, isPending, isSuccess, reset } = act;
  return {
    data,
    error,
    isOut: () => isOut.current,
    isPending,
    isSuccess,
    leave: (words) => {
      left.current = words;
    },
    look,
    reset: () => {
      if (!isOut.current) reset();
    },
    start,
    variables: act.variables,
  };
}

const WENT_ON = "What you sent from a page that is gone since was done.";

const failed = (error: Error, { may, not }: Words) =>
  asApiError(error).isOutcomeUnknown ? may : not;

interface Asking {
  readonly ask: Ask;
  /** Whether nobody else has signed in since: what came of it is not told to another one. */
  readonly isForOne: () => boolean;
  /** Whether the page is still of the same tenant too. */
  readonly isForPage: () => boolean;
}

function askingAsNow(client: QueryClient): Asking {
  const { tenant } = currentCaller();
  const who = () => client.getQueryData<WhoAmI>(whoamiQuery().queryKey);
  const before = who();
  const isForOne = () => {
    const now = who();
    return !before || !now || isSame(before, now);
  };
  const isForPage = () => currentCaller().tenant === tenant && isForOne();
  const ask: Ask = async (schema, path, { isLook, ...asked } = {}) => {
    if (!isForPage()) {
      const about = "the page is of another tenant or somebody else by now, so this was not sent";
      throw new ApiError(0, "caller_changed", about);
    }
    try {
      return await request(schema, path, { ...asked, tenant });
    } catch (error) {
      // What is decided by it is not sent then: so much is known, whatever became of the question.
      if (error instanceof ApiError) error.isOfLook = isLook ?? asked.method === undefined;
      throw error;
    }
  };
  return { ask, isForOne, isForPage };
}

function useMounted() {
  const isMounted = useRef(false);
  useEffect(() => {
    isMounted.current = true;
    return () => {
      isMounted.current = false;
    };
  }, []);
  return isMounted;
}
