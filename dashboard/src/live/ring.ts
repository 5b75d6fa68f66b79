/** The newest of what was added, up to a bound. */
export class Ring<Item> {
  #items: Item[] = [];

  constructor(private readonly mostCount: number) {}

  add(item: Item): void {
    this.#items.push(item);
    // In one go now and then: to shift each time moves all that are kept.
    if (this.#items.length >= 2 * this.mostCount) this.#items = this.#items.slice(-this.mostCount);
  }

  /** The newest first. */
  newest(): Item[] {
    return this.#items.slice(-this.mostCount).reverse();
  }

  clear(): void {
    this.#items = [];
  }
}
