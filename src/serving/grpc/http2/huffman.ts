/** The Huffman code of HPACK (RFC 7541, appendix B). It is canonical, so the lengths of its codes are all of it. */

/** Bits of the codes of the bytes 0 to 255 and of the end of a string. */
// biome-ignore format: a table
const LENGTHS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];
const END = 256;

/** Steps of the decoder: state * 16 + four bits gives the next state, with the byte that ended in them, if one did. */
const EMITS = 1 << 16;
const FAILS = 1 << 17;
const { steps: STEPS, padding: PADDING } = makeSteps();

function makeSteps(): { steps: Uint32Array; padding: Uint8Array } {
  /** The inner nodes of the code's tree, two children each: a node, or a symbol as its complement. */
  const children: number[] = [0, 0];
  const depths = [0];
  const order = LENGTHS.map((_, symbol) => symbol).sort((a, b) => LENGTHS[a]! - LENGTHS[b]! || a - b);
  let code = 0;
  let bits = 0;
  for (const symbol of order) {
    code *= 2 ** (LENGTHS[symbol]! - bits);
    bits = LENGTHS[symbol]!;
    let node = 0;
    for (let bit = bits - 1; bit > 0; bit--) {
      const place = node * 2 + ((code >>> bit) & 1);
      if (children[place] === 0) {
        children[place] = depths.length;
        depths.push(depths[node]! + 1);
        children.push(0, 0);
      }
      node = children[place]!;
    }
    children[node * 2 + (code & 1)] = ~symbol;
    code++;
  }
  const steps = new Uint32Array(depths.length * 16);
  for (let state = 0; state < depths.length; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let node = state;
      let step = 0;
      for (let bit = 3; bit >= 0; bit--) {
        const child = children[node * 2 + ((nibble >>> bit) & 1)]!;
        if (child >= 0) node = child;
        else {
          step = ~child === END ? FAILS : step | EMITS | (~child << 20);
          node = 0;
        }
      }
      steps[state * 16 + nibble] = step | node;
    }
  }
  // A string may end in up to seven ones, the beginning of the code for its end.
  const padding = new Uint8Array(depths.length);
  for (let node = 0, depth = 0; depth <= 7; depth++) {
    padding[node] = 1;
    node = children[node * 2 + 1]!;
  }
  return { steps, padding };
}

let decoded = Buffer.alloc(1024);

/** The bytes as Latin-1 text, or null when they are no such code. */
export function decodeHuffman(bytes: Buffer, start: number, end: number): string | null {
  const most = ((end - start) * 8) / 5;
  if (decoded.length < most) decoded = Buffer.alloc(most * 2);
  let length = 0;
  let state = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    let step = STEPS[state * 16 + (byte >>> 4)]!;
    if (step & FAILS) return null;
    if (step & EMITS) decoded[length++] = step >>> 20;
    step = STEPS[(step & 0xffff) * 16 + (byte & 15)]!;
    if (step & FAILS) return null;
    if (step & EMITS) decoded[length++] = step >>> 20;
    state = step & 0xffff;
  }
  return PADDING[state] === 1 ? decoded.toString('latin1', 0, length) : null;
}
