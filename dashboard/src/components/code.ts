// Code that comes from the server when it is needed first.

import { ApiError } from "@/api/errors";

export type Importer<Found> = () => Promise<Found>;

/** The same, and where it does not come an error that says so. */
export const fromServer =
  <Found>(importer: Importer<Found>): Importer<Found> =>
  () =>
    importer().catch(() => {
      throw new ApiError(0, "code_missing", "Its code does not come from the server.");
    });

/** `idle`: nobody has wanted it yet. */
export type CodeState<Found> =
  | { readonly state: "coming" | "idle" }
  | { readonly state: "failed"; readonly error: Error }
  | { readonly state: "there"; readonly found: Found };

/** What many parts of pages may share: it is asked for once, and again where it has not come. */
export class LateCode<Found> {
  readonly #importer: Importer<Found>;
  readonly #listeners = new Set<() => void>();
  #state: CodeState<Found> = { state: "idle" };

  constructor(importer: Importer<Found>) {
    this.#importer = fromServer(importer);
  }

  readonly state = (): CodeState<Found> => this.#state;

  readonly listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly want = (): void => {
    const { state } = this.#state;
    if (state === "coming" || state === "there") return;
    this.#set({ state: "coming" });
    this.#importer().then(
      (found) => this.#set({ found, state: "there" }),
      (error: Error) => this.#set({ error, state: "failed" }),
    );
  };

  #set(next: CodeState<Found>): void {
    this.#state = next;
    for (const listener of [...this.#listeners]) listener();
  }
}
