// Whether the server knows who asks: a live connection that it does not let in says so, and hears of who signs in.

type Listener = () => void;

class Signal {
  readonly #listeners = new Set<Listener>();

  readonly say = (): void => {
    for (const listener of [...this.#listeners]) listener();
  };

  readonly on = (listener: Listener): Listener => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
}

/** The server does not know, or does not know any more, who this is. */
export const stranger = new Signal();
/** Somebody has signed in. */
export const acquainted = new Signal();
