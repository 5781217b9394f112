/** Fewer calls than this are seldom outstanding; the table doubles when they are not. */
const FIRST_SIZE = 1024;
const LAST_ID = 0xffff_ffff;

/**
 * Values by a number that it gives out itself, ever growing: calls that a runner has, by their id. A ring instead of a Map, because a
 * Map that lives long grows a new table every few hundred calls and leaves the old one pointing to it; the old table is only
 * collected by a full collection, and until then keeps every later table, and the requests in them, alive (measured at 18 k calls a
 * second: 12 ms instead of 0.7 ms for each of 13 collections a second).
 */
export class CallTable<T> {
  #slots: (T | undefined)[] = new Array<T | undefined>(FIRST_SIZE).fill(undefined);
  #ids = new Uint32Array(FIRST_SIZE);
  #next = 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Keeps a value and gives its id. Ids come again only after 2^32 calls. */
  add(value: T): number {
    if (this.#size * 2 >= this.#slots.length) this.#grow();
    let id = this.#next;
    while (this.#slots[id % this.#slots.length] !== undefined) id = id === LAST_ID ? 1 : id + 1;
    this.#next = id === LAST_ID ? 1 : id + 1;
    const place = id % this.#slots.length;
    this.#slots[place] = value;
    this.#ids[place] = id;
    this.#size += 1;
    return id;
  }

  /**
   * Keeps a value under an id that somebody else gave out.
   * @returns false when that id is taken, or lies so far from the others that the table would grow beyond `mostSlots`
   */
  put(id: number, value: T, mostSlots: number): boolean {
    if (this.has(id)) return false;
    while (this.#size * 2 >= this.#slots.length || this.#slots[id % this.#slots.length] !== undefined) {
      if (this.#slots.length * 2 > mostSlots) return false;
      this.#grow();
    }
    const place = id % this.#slots.length;
    this.#slots[place] = value;
    this.#ids[place] = id;
    this.#size += 1;
    return true;
  }

  has(id: number): boolean {
    return this.#place(id) !== -1;
  }

  /** Gives the value of an id and forgets it. */
  take(id: number): T | undefined {
    const place = this.#place(id);
    if (place === -1) return undefined;
    const value = this.#slots[place];
    this.#slots[place] = undefined;
    this.#size -= 1;
    return value;
  }

  /** In no particular order. */
  values(): T[] {
    return this.#slots.filter((value) => value !== undefined);
  }

  clear(): void {
    this.#slots.fill(undefined);
    this.#size = 0;
  }

  #place(id: number): number {
    const place = id % this.#slots.length;
    return this.#slots[place] !== undefined && this.#ids[place] === id ? place : -1;
  }

  /** Ids that differ modulo the old size differ modulo twice that size, so everyone finds a place. */
  #grow(): void {
    const slots = this.#slots;
    const ids = this.#ids;
    const size = slots.length * 2;
    this.#slots = new Array<T | undefined>(size).fill(undefined);
    this.#ids = new Uint32Array(size);
    for (let i = 0; i < slots.length; i++) {
      if (slots[i] === undefined) continue;
      this.#slots[ids[i]! % size] = slots[i];
      this.#ids[ids[i]! % size] = ids[i]!;
    }
  }
}
