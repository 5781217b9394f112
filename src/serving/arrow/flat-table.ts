/**
 * Reads FlatBuffers, the form of Arrow's messages, from bytes of strangers. Every place is looked up within a DataView of that message alone,
 * which throws RangeError outside; every length is compared with what is left. The caller turns what is thrown into a fault.
 */

export class FlatTable {
  readonly #view: DataView;
  readonly #position: number;
  readonly #vtable: number;
  readonly #slots: number;

  constructor(view: DataView, position: number) {
    this.#view = view;
    this.#position = position;
    this.#vtable = position - view.getInt32(position, true);
    this.#slots = Math.floor((view.getUint16(this.#vtable, true) - 4) / 2);
  }

  /** The table that a buffer begins with. */
  static root(view: DataView): FlatTable {
    return new FlatTable(view, view.getUint32(0, true));
  }

  /** Where a field lies; 0 when it is left out. */
  #field(slot: number): number {
    if (slot >= this.#slots) return 0;
    const offset = this.#view.getUint16(this.#vtable + 4 + 2 * slot, true);
    return offset === 0 ? 0 : this.#position + offset;
  }

  #target(slot: number): number {
    const at = this.#field(slot);
    return at === 0 ? 0 : at + this.#view.getUint32(at, true);
  }

  uint8(slot: number): number {
    const at = this.#field(slot);
    return at === 0 ? 0 : this.#view.getUint8(at);
  }

  int16(slot: number): number {
    const at = this.#field(slot);
    return at === 0 ? 0 : this.#view.getInt16(at, true);
  }

  int32(slot: number): number {
    const at = this.#field(slot);
    return at === 0 ? 0 : this.#view.getInt32(at, true);
  }

  /** @throws RangeError when it is negative or beyond 2^53 */
  size(slot: number): number {
    const at = this.#field(slot);
    return at === 0 ? 0 : sizeAt(this.#view, at);
  }

  has(slot: number): boolean {
    return this.#field(slot) !== 0;
  }

  table(slot: number): FlatTable | null {
    const at = this.#target(slot);
    return at === 0 ? null : new FlatTable(this.#view, at);
  }

  /** @throws RangeError when it is longer than `maxBytes` */
  string(slot: number, maxBytes: number): string {
    const at = this.#target(slot);
    if (at === 0) return '';
    const bytes = this.#view.getUint32(at, true);
    if (bytes > maxBytes || at + 4 + bytes > this.#view.byteLength) throw new RangeError('a name is too long');
    return Buffer.from(this.#view.buffer, this.#view.byteOffset + at + 4, bytes).toString();
  }

  /** The tables of a vector. @throws RangeError when there are more than `most` */
  tables(slot: number, most: number): FlatTable[] {
    const at = this.#vector(slot, 4);
    if (at === 0) return [];
    if (this.#view.getUint32(at, true) > most) throw new RangeError('a list is too long');
    return Array.from({ length: this.#view.getUint32(at, true) }, (_, item) => {
      const place = at + 4 + 4 * item;
      return new FlatTable(this.#view, place + this.#view.getUint32(place, true));
    });
  }

  /** A vector of structs or numbers, each a run of 64-bit sizes, one after the other. */
  sizes(slot: number, perItem: number): number[] {
    const at = this.#vector(slot, 8 * perItem);
    if (at === 0) return [];
    const count = this.#view.getUint32(at, true) * perItem;
    return Array.from({ length: count }, (_, item) => sizeAt(this.#view, at + 4 + 8 * item));
  }

  #vector(slot: number, itemBytes: number): number {
    const at = this.#target(slot);
    if (at === 0) return 0;
    const items = this.#view.getUint32(at, true);
    if (at + 4 + items * itemBytes > this.#view.byteLength) throw new RangeError('a list is longer than its message');
    return at;
  }
}

function sizeAt(view: DataView, at: number): number {
  const high = view.getUint32(at + 4, true);
  if (high >= 2 ** 21) throw new RangeError('a size is negative or beyond all bounds');
  return high * 2 ** 32 + view.getUint32(at, true);
}
