/** Writes FlatBuffers: a tree of tables, front to back, each thing behind what refers to it. */

export type FlatNode = FlatTableNode | FlatString | FlatTables | FlatSizes;
/** Fields by slot; null leaves one out. */
export type FlatTableNode = { readonly kind: 'table'; readonly fields: readonly (FlatField | null)[] };
export type FlatField = { readonly bytes: 1 | 2 | 4 | 8; readonly value: number } | FlatNode;
type FlatString = { readonly kind: 'string'; readonly text: string };
type FlatTables = { readonly kind: 'tables'; readonly items: readonly FlatTableNode[] };
/** Structs of 64-bit sizes, one after the other. */
type FlatSizes = { readonly kind: 'sizes'; readonly values: readonly number[]; readonly perItem: number };

export const table = (...fields: readonly (FlatField | null)[]): FlatTableNode => ({ kind: 'table', fields });
export const string = (text: string): FlatString => ({ kind: 'string', text });
export const tables = (items: readonly FlatTableNode[]): FlatTables => ({ kind: 'tables', items });
export const sizes = (values: readonly number[], perItem: number): FlatSizes => ({ kind: 'sizes', values, perItem });
export const int = (bytes: 1 | 2 | 4 | 8, value: number): FlatField => ({ bytes, value });

export function writeFlatBuffer(root: FlatTableNode): Buffer {
  const out = new Output();
  out.grow(4);
  out.refer(0, root);
  return out.taken();
}

class Output {
  #bytes = Buffer.alloc(1024);
  #length = 0;

  taken(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** @returns where the new bytes, all zero, begin */
  grow(bytes: number): number {
    const start = this.#length;
    this.#length += bytes;
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(this.#length, this.#bytes.length * 2));
      this.#bytes.copy(larger);
      this.#bytes = larger;
    }
    return start;
  }

  #align(to: number, rest = 0): void {
    while (this.#length % to !== rest) this.grow(1);
  }

  /** Writes a node, and its distance to the place that refers to it. */
  refer(from: number, node: FlatNode): void {
    const at = this.#write(node);
    this.#bytes.writeUInt32LE(at - from, from);
  }

  #write(node: FlatNode): number {
    switch (node.kind) {
      case 'table':
        return this.#table(node.fields);
      case 'string': {
        const text = Buffer.from(node.text);
        this.#align(4);
        const at = this.grow(4 + text.length + 1);
        this.#bytes.writeUInt32LE(text.length, at);
        text.copy(this.#bytes, at + 4);
        return at;
      }
      case 'tables': {
        this.#align(4);
        const at = this.grow(4 + 4 * node.items.length);
        this.#bytes.writeUInt32LE(node.items.length, at);
        for (const [item, one] of node.items.entries()) this.refer(at + 4 + 4 * item, one);
        return at;
      }
      default: {
        this.#align(8, 4);
        const at = this.grow(4 + 8 * node.values.length);
        this.#bytes.writeUInt32LE(node.values.length / node.perItem, at);
        for (const [item, one] of node.values.entries()) this.#bytes.writeBigInt64LE(BigInt(one), at + 4 + 8 * item);
        return at;
      }
    }
  }

  #table(fields: readonly (FlatField | null)[]): number {
    const offsets: number[] = [];
    let bytes = 4; // the distance to the vtable stands first
    for (const field of fields) {
      if (field === null) {
        offsets.push(0);
        continue;
      }
      const size = 'bytes' in field ? field.bytes : 4;
      while (bytes % size !== 0) bytes += 1;
      offsets.push(bytes);
      bytes += size;
    }
    this.#align(2);
    const vtable = this.grow(4 + 2 * fields.length);
    this.#bytes.writeUInt16LE(4 + 2 * fields.length, vtable);
    this.#bytes.writeUInt16LE(bytes, vtable + 2);
    for (const [slot, offset] of offsets.entries()) this.#bytes.writeUInt16LE(offset, vtable + 4 + 2 * slot);
    this.#align(8);
    const at = this.grow(bytes);
    this.#bytes.writeInt32LE(at - vtable, at);
    for (const [slot, field] of fields.entries()) {
      if (field === null) continue;
      const place = at + offsets[slot]!;
      if (!('bytes' in field)) this.refer(place, field);
      else if (field.bytes === 8) this.#bytes.writeBigInt64LE(BigInt(field.value), place);
      else this.#bytes.writeIntLE(field.value, place, field.bytes);
    }
    return at;
  }
}
