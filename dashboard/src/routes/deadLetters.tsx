import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { RefreshCw, RotateCcw, Trash2 } from "lucide-react";
import { useCaller } from "@/api/caller";
import { Button } from "@/components/Button";
import { count } from "@/components/format";
import { Page } from "@/components/Page";
import { Reason } from "@/components/Reason";
import { Empty, Failure, isForbidden, Loading, Stale } from "@/components/states";
import { useStateOf } from "@/components/useStateOf";
import type { Act } from "@/features/deadLetters/acts";
import { Filters } from "@/features/deadLetters/Filters";
import { Groups } from "@/features/deadLetters/Groups";
import { Job } from "@/features/deadLetters/Job";
import { JobDialog } from "@/features/deadLetters/JobDialog";
import { Jobs } from "@/features/deadLetters/Jobs";
import { LetterDetail } from "@/features/deadLetters/LetterDetail";
import { LetterTable } from "@/features/deadLetters/LetterTable";
import {
  CHOSEN_MAX_COUNT,
  chips,
  chosenOf,
  described,
  type LettersSearch,
  letters,
  type Meant,
  merged,
  takenBy,
  whichOf,
} from "@/features/deadLetters/model";
import { OneDialog } from "@/features/deadLetters/OneDialog";
import { Allowed } from "@/features/signin/Allowed";
import { OnlyManaged, useManaged } from "@/features/signin/Managed";
import { serverNow } from "@/live/serverClock";
import { groupsQuery, lettersQuery } from "@/services/deadLetters";
import { useReasonAgainst, useReasonAgainstMany } from "@/services/server";

const route = getRouteApi("/dead-letters");

type Dialog =
  | { readonly act: Act; readonly kind: "many"; readonly meant: Meant; readonly what: string }
  | { readonly act: Act; readonly id: string; readonly kind: "one"; readonly where: string };

const NONE: ReadonlySet<string> = new Set();

export function DeadLettersPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const unable = useReasonAgainst("manage");
  const unread = useReasonAgainst("manage", search.topic);
  const unableMany = useReasonAgainstMany(search.topic);
  const { tenant } = useCaller();
  const list = JSON.stringify([tenant, filterOf(search)]);
  const [chosen, setChosen] = useStateOf<ReadonlySet<string>>(list, NONE);
  const [dialog, setDialog] = useStateOf<Dialog | null>(`${list} ${search.letter}`, null);
  const change = (next: Partial<LettersSearch>) =>
    void navigate({ replace: true, search: (before) => ({ ...before, ...next }) });
  const all = (act: Act) => {
    const meant = takenBy(act, search, serverNow());
    if (meant) setDialog({ act, kind: "many", meant, what: described(search) });
  };
  const ids = [...chosen];
  const some = (act: Act) =>
    setDialog({ act, kind: "many", meant: chosenOf(ids, search), what: letters(ids.length) });
  return (
    <Page
      actions={
        <AllActions isSaid={unread !== null} onAct={all} show={search.show} unable={unableMany} />
      }
      title="Dead letters"
    >
      <Allowed reason={unable}>
        {search.job && (
          <Job
            id={search.job}
            key={search.job}
            onClose={() => change({ job: undefined })}
            unable={unable}
          />
        )}
        <Jobs but={search.job} onOpen={(job) => change({ job })} unable={unable} />
        <OnlyManaged what="dead letters" />
        <Filters onChange={(next) => change({ ...next, letter: undefined })} search={search}>
          {unread === null && <Refresh search={search} />}
        </Filters>
        <Allowed reason={unread}>
          <div className={search.letter ? "max-xl:hidden" : ""}>
            <GroupsOf search={search} />
          </div>
          {ids.length > 0 && (
            <Chosen
              amount={ids.length}
              onAct={some}
              onNone={() => setChosen(NONE)}
              unable={unableMany}
            />
          )}
          <div
            className={
              search.letter
                ? "grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_minmax(26rem,2fr)]"
                : ""
            }
          >
            <div className={search.letter ? "max-xl:hidden" : ""}>
              <List
                chosen={chosen}
                key={list}
                onChange={change}
                onChoose={setChosen}
                search={search}
              />
            </div>
            {search.letter && (
              <LetterDetail
                id={search.letter}
                onAct={(act, { id, subscription }) =>
                  setDialog({ act, id, kind: "one", where: subscription ?? "its topic" })
                }
                unable={unable}
              />
            )}
          </div>
        </Allowed>
      </Allowed>
      {dialog?.kind === "many" && (
        <JobDialog
          act={dialog.act}
          meant={dialog.meant}
          onClose={() => setDialog(null)}
          onJob={(job) => {
            setChosen(NONE);
            change({ job, ...(dialog.act === "discard" && { letter: undefined }) });
          }}
          what={dialog.what}
        />
      )}
      {dialog?.kind === "one" && (
        <OneDialog
          act={dialog.act}
          id={dialog.id}
          onClose={() => setDialog(null)}
          onDone={() => {
            setChosen(NONE);
            if (dialog.act === "discard") change({ letter: undefined });
          }}
          where={dialog.where}
        />
      )}
    </Page>
  );
}

interface AllActionsProps {
  readonly onAct: (act: Act) => void;
  readonly unable: string | null;
}

interface AllOfProps extends AllActionsProps, Pick<LettersSearch, "show"> {
  /** Whether the page says in place of the list why not. */
  readonly isSaid: boolean;
}

function AllActions({ isSaid, onAct, show, unable }: AllOfProps) {
  const none =
    show === "redriven" ? "Those that are shown were redriven: it takes the others" : null;
  return (
    <>
      <Reason text={isSaid ? null : (unable ?? none)} />
      <Button onClick={() => onAct("redrive")} unable={unable ?? none}>
        <RotateCcw aria-hidden className="size-4" /> Redrive all that match…
      </Button>
      <Button onClick={() => onAct("discard")} unable={unable}>
        <Trash2 aria-hidden className="size-4 text-bad" /> Discard all that match…
      </Button>
    </>
  );
}

interface ChosenProps extends AllActionsProps {
  readonly amount: number;
  readonly onNone: () => void;
}

function Chosen({ amount, onAct, onNone, unable: noRight }: ChosenProps) {
  const many = `At most ${count(CHOSEN_MAX_COUNT)} at once: filter, and take all that match`;
  const unable = noRight ?? (amount > CHOSEN_MAX_COUNT ? many : null);
  return (
    <div className="flex flex-wrap items-center gap-2 rounded-lg border border-line bg-raised px-4 py-2">
      <span aria-live="polite" className="mr-auto font-medium">
        {count(amount)} chosen
      </span>
      <Reason text={unable} />
      <Button look="primary" onClick={() => onAct("redrive")} unable={unable}>
        Redrive {count(amount)}…
      </Button>
      <Button onClick={() => onAct("discard")} unable={unable}>
        Discard {count(amount)}…
      </Button>
      <Button look="quiet" onClick={onNone}>
        Choose none
      </Button>
    </div>
  );
}

function GroupsOf({ search }: { readonly search: LettersSearch }) {
  const filter = filterOf(search);
  const groups = useInfiniteQuery(groupsQuery(filter, () => whichOf(search, serverNow())));
  if (groups.isPending) return <Loading rows={3} what="groups" />;
  if (!groups.data) {
    // The list says it.
    if (isForbidden(groups.error)) return null;
    return <Failure error={groups.error} onRetry={groups.refetch} what="They cannot be counted" />;
  }
  const { pages } = groups.data;
  const found = merged(pages.map((page) => page.groups));
  if (found.length === 0) return null;
  return (
    <Groups
      groups={found}
      isCounting={groups.isFetchingNextPage}
      onMore={groups.hasNextPage ? () => void groups.fetchNextPage() : null}
      since={pages.at(-1)?.searched_to ?? null}
    />
  );
}

function Refresh({ search }: { readonly search: LettersSearch }) {
  const { isFetching, refetch } = useLetters(search);
  return (
    <Button aria-label="Refresh" onClick={() => refetch()}>
      <RefreshCw aria-hidden className={`size-4 ${isFetching ? "animate-spin" : ""}`} />
    </Button>
  );
}

function useLetters(search: LettersSearch) {
  return useInfiniteQuery(lettersQuery(filterOf(search), () => whichOf(search, serverNow())));
}

interface ListProps {
  readonly chosen: ReadonlySet<string>;
  readonly onChange: (change: Partial<LettersSearch>) => void;
  readonly onChoose: (chosen: ReadonlySet<string>) => void;
  readonly search: LettersSearch;
}

function List({ chosen, onChange, onChoose, search }: ListProps) {
  const letters = useLetters(search);
  if (letters.isPending) return <Loading rows={8} what="dead letters" />;
  if (!letters.data) {
    return <Failure error={letters.error} onRetry={letters.refetch} what="They cannot be listed" />;
  }
  const { pages } = letters.data;
  const found = pages.flatMap((page) => page.dead_letters);
  const choose = (ids: readonly string[], isChosen: boolean) => {
    const next = new Set(chosen);
    for (const id of ids) {
      if (isChosen) next.add(id);
      else next.delete(id);
    }
    onChoose(next);
  };
  return (
    <div className="space-y-2">
      {letters.isError && <Stale error={letters.error} />}
      {found.length === 0 && !letters.hasNextPage ? (
        <Nothing onChange={onChange} search={search} />
      ) : (
        <LetterTable
          chosen={chosen}
          letters={found}
          list={letters}
          onChoose={choose}
          open={search.letter ?? null}
          searchedTo={pages.at(-1)?.searched_to ?? null}
        />
      )}
    </div>
  );
}

function Nothing({ onChange, search }: Pick<ListProps, "onChange" | "search">) {
  const managed = useManaged();
  if (chips(search).length > 0) {
    const none = {
      q: undefined,
      reason: undefined,
      since: undefined,
      subscription: undefined,
      topic: undefined,
    };
    const clear = <Button onClick={() => onChange(none)}>Clear the filters</Button>;
    return <Empty action={clear} title="No dead letter matches" />;
  }
  const nothingDead =
    managed === null ? "Nothing is dead. Good." : "Nothing is dead that your key may manage";
  const all = (
    <Button onClick={() => onChange({ show: "all" })}>Show those that were redriven</Button>
  );
  return (
    <Empty
      action={search.show === "open" ? all : undefined}
      title={search.show === "redriven" ? "None was redriven" : nothingDead}
    >
      A message comes here when its subscribers have failed on it as often as they may.
    </Empty>
  );
}

/** What makes it another list. */
function filterOf({ q, reason, show, since, subscription, topic }: LettersSearch) {
  return { q, reason, show, since, subscription, topic };
}
