/** Writes protobuf. For the rare messages; the hot path knows its sizes beforehand (see `infer-response.ts`). */
export class ProtobufWriter {
  private bytes = Buffer.allocUnsafe(256);
  private at = 0;

  finish(): Buffer {
    return this.bytes.subarray(0, this.at);
  }

  tag(number: number, wire: number): void {
    this.varint32(number * 8 + wire);
  }

  /** An unsigned number of up to 53 bits. */
  varint32(value: number): void {
    this.reserve(10);
    let rest = value;
    while (rest >= 0x80) {
      this.bytes[this.at++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.bytes[this.at++] = rest;
  }

  /** Any integer of 64 bits, signed or not. */
  varint64(value: bigint): void {
    this.reserve(10);
    let rest = BigInt.asUintN(64, value);
    while (rest >= 0x80n) {
      this.bytes[this.at++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.bytes[this.at++] = Number(rest);
  }

  float(value: number): void {
    this.reserve(4);
    this.at = this.bytes.writeFloatLE(value, this.at);
  }

  double(value: number): void {
    this.reserve(8);
    this.at = this.bytes.writeDoubleLE(value, this.at);
  }

  lengthAndBytes(value: Uint8Array): void {
    this.varint32(value.length);
    this.reserve(value.length);
    this.bytes.set(value, this.at);
    this.at += value.length;
  }

  private reserve(more: number): void {
    if (this.at + more <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.at + more));
    this.bytes.copy(larger, 0, 0, this.at);
    this.bytes = larger;
  }
}
