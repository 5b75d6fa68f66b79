// Whether the server knows who asks, and whether that is who has asked before.

type Listener = () => void;

export class Signal {
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
/** Somebody else is here, or has signed out: what is kept of the one before, in whatever part of the page, is forgotten. */
export const parted = new Signal();
