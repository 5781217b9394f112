/** Reads HPACK header blocks (RFC 7541) of one connection. */
import { decodeHuffman } from './huffman.ts';
import {
  addHeader,
  finishHeaders,
  type HeaderKind,
  isHeaderValue,
  kindOfHeader,
  RequestHeaders,
} from './request-headers.ts';

/** The dynamic table that clients may use: the protocol's default. */
const TABLE_BYTES = 4096;
/** More than that in one call is refused, though read to its end, because later blocks build on it. */
export const MAX_HEADER_BYTES = 16 * 1024;
/** A block of references only is the usual one; the last such is remembered with what it means. */
const REMEMBERED_BYTES = 64;

type Entry = {
  readonly name: string;
  readonly value: string;
  readonly kind: HeaderKind;
  readonly validValue: boolean;
  /** As the protocol counts it. */
  readonly bytes: number;
};

// biome-ignore format: a table
const STATIC: readonly Entry[] = ([
  [':authority'], [':method', 'GET'], [':method', 'POST'], [':path', '/'], [':path', '/index.html'], [':scheme', 'http'],
  [':scheme', 'https'], [':status', '200'], [':status', '204'], [':status', '206'], [':status', '304'], [':status', '400'],
  [':status', '404'], [':status', '500'], ['accept-charset'], ['accept-encoding', 'gzip, deflate'], ['accept-language'],
  ['accept-ranges'], ['accept'], ['access-control-allow-origin'], ['age'], ['allow'], ['authorization'], ['cache-control'],
  ['content-disposition'], ['content-encoding'], ['content-language'], ['content-length'], ['content-location'], ['content-range'],
  ['content-type'], ['cookie'], ['date'], ['etag'], ['expect'], ['expires'], ['from'], ['host'], ['if-match'], ['if-modified-since'],
  ['if-none-match'], ['if-range'], ['if-unmodified-since'], ['last-modified'], ['link'], ['location'], ['max-forwards'],
  ['proxy-authenticate'], ['proxy-authorization'], ['range'], ['referer'], ['refresh'], ['retry-after'], ['server'], ['set-cookie'],
  ['strict-transport-security'], ['transfer-encoding'], ['user-agent'], ['vary'], ['via'], ['www-authenticate'],
] as const).map(([name, value = '']) => entryOf(name, value));

function entryOf(name: string, value: string, kind = kindOfHeader(name)): Entry {
  return { name, value, kind, validValue: isHeaderValue(value), bytes: name.length + value.length + 32 };
}

/** The block is no HPACK: the connection cannot go on, because both ends' tables now differ. */
export class HpackFault extends Error {}

export class HeaderDecoder {
  /** Newest first would need a shift for every insertion: newest last. */
  private table: Entry[] = [];
  private tableBytes = 0;
  private tableLimit = TABLE_BYTES;
  private bytes: Buffer = Buffer.alloc(0);
  private at = 0;
  private end = 0;
  private lastBlock: Buffer = Buffer.alloc(0);
  private lastHeaders: RequestHeaders | null = null;

  /**
   * @returns what the block says; `fault` tells when it is no valid request. One object may stand for several calls that sent the same
   * @throws HpackFault
   */
  decode(bytes: Buffer, start: number, end: number): RequestHeaders {
    if (this.lastHeaders !== null && end - start === this.lastBlock.length && this.isLast(bytes, start)) {
      return this.lastHeaders;
    }
    const headers = new RequestHeaders();
    this.bytes = bytes;
    this.at = start;
    this.end = end;
    let onlyReferences = true;
    let mayResize = true;
    while (this.at < this.end) {
      const first = bytes[this.at]!;
      if ((first & 0x80) !== 0) {
        this.take(headers, this.entry(this.integer(7)));
      } else if ((first & 0xe0) === 0x20) {
        if (!mayResize) throw new HpackFault('the table changes its size amid headers');
        this.resize(this.integer(5));
        onlyReferences = false;
        continue;
      } else {
        const indexed = (first & 0xc0) === 0x40;
        const place = this.integer(indexed ? 6 : 4);
        const known = place === 0 ? null : this.entry(place);
        const name = known === null ? this.text() : known.name;
        const value = this.text();
        const entry = entryOf(name, value, known?.kind);
        if (indexed) this.insert(entry);
        this.take(headers, entry);
        onlyReferences = false;
      }
      mayResize = false;
    }
    finishHeaders(headers);
    if (onlyReferences && end - start <= REMEMBERED_BYTES) {
      this.lastBlock = Buffer.from(bytes.subarray(start, end));
      this.lastHeaders = headers;
    }
    return headers;
  }

  private isLast(bytes: Buffer, start: number): boolean {
    const { lastBlock } = this;
    for (let i = 0; i < lastBlock.length; i++) if (lastBlock[i] !== bytes[start + i]) return false;
    return true;
  }

  private take(headers: RequestHeaders, entry: Entry): void {
    headers.bytes += entry.bytes;
    if (headers.bytes > MAX_HEADER_BYTES) return;
    if (!entry.validValue) headers.fault = 'a header has a value that is not allowed';
    addHeader(headers, entry.kind, entry.name, entry.value);
  }

  private entry(place: number): Entry {
    const { table } = this;
    const entry = place <= STATIC.length ? STATIC[place - 1] : table[table.length - (place - STATIC.length)];
    if (entry === undefined) throw new HpackFault(`there is no header number ${place}`);
    return entry;
  }

  private insert(entry: Entry): void {
    this.lastHeaders = null; // its references now mean others
    this.evict(this.tableLimit - entry.bytes);
    if (entry.bytes > this.tableLimit) return;
    this.table.push(entry);
    this.tableBytes += entry.bytes;
  }

  private resize(bytes: number): void {
    if (bytes > TABLE_BYTES) throw new HpackFault('the table is to be larger than was allowed');
    this.lastHeaders = null;
    this.tableLimit = bytes;
    this.evict(bytes);
  }

  private evict(most: number): void {
    let gone = 0;
    while (this.tableBytes > most && gone < this.table.length) this.tableBytes -= this.table[gone++]!.bytes;
    if (gone > 0) this.table.splice(0, gone);
  }

  private integer(prefixBits: number): number {
    const most = (1 << prefixBits) - 1;
    let value = this.bytes[this.at++]! & most;
    if (value < most) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.at >= this.end) throw new HpackFault('a number is cut off');
      const byte = this.bytes[this.at++]!;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new HpackFault('a number is larger than anything here');
  }

  private text(): string {
    if (this.at >= this.end) throw new HpackFault('a text is cut off');
    const isHuffman = (this.bytes[this.at]! & 0x80) !== 0;
    const length = this.integer(7);
    const start = this.at;
    if (length > this.end - start) throw new HpackFault('a text is cut off');
    this.at += length;
    if (!isHuffman) return this.bytes.toString('latin1', start, this.at);
    const text = decodeHuffman(this.bytes, start, this.at);
    if (text === null) throw new HpackFault('a text is no Huffman code');
    return text;
  }
}
