/** How a picture of one size becomes one of another: what is seen of it, and where that lies. */
import type { ImageDecoder } from '../../registry/input-decoder.ts';
import type { Box, Size } from './image-enlarge.ts';

export type Plan = {
  /** What is seen of the picture. */
  readonly box: Box;
  /** What that becomes, and where it lies in the wanted size, whose rest is black. */
  readonly inner: Size;
  readonly left: number;
  readonly top: number;
};

export function planOf(from: Size, { width, height, resize }: ImageDecoder): Plan {
  const whole = { width: from.width, height: from.height, left: 0, top: 0 };
  const wanted = { width, height };
  if (resize === 'stretch') return { box: whole, inner: wanted, left: 0, top: 0 };
  const isWider = from.width * height > width * from.height;
  if (resize === 'cover') {
    const seen = isWider
      ? { width: (from.height * width) / height, height: from.height }
      : { width: from.width, height: (from.width * height) / width };
    const [left, top] = [(from.width - seen.width) / 2, (from.height - seen.height) / 2];
    return { box: { ...seen, left, top }, inner: wanted, left: 0, top: 0 };
  }
  // Bars lie as Pillow lays them, half a pixel rounded to the even side.
  const inner = isWider
    ? { width, height: atLeastOne((from.height / from.width) * width) }
    : { width: atLeastOne((from.width / from.height) * height), height };
  const [left, top] = [roundHalfEven((width - inner.width) / 2), roundHalfEven((height - inner.height) / 2)];
  return { box: whole, inner, left, top };
}

/** Pixels that a filter looks at beside the box. */
const MARGIN = 4;

/** The part of a picture that enlarging needs, in whole pixels, and the size it is brought to before. */
export function neededOf({ box, inner }: Plan, from: Size): { part: Box; kept: Size } {
  const left = Math.max(0, Math.floor(box.left) - MARGIN);
  const top = Math.max(0, Math.floor(box.top) - MARGIN);
  const width = Math.min(from.width, Math.ceil(box.left + box.width) + MARGIN) - left;
  const height = Math.min(from.height, Math.ceil(box.top + box.height) + MARGIN) - top;
  const part = { left, top, width, height };
  const isWhole = box.width === from.width && box.height === from.height;
  if (!isWhole) return { part, kept: part };
  return { part, kept: { width: Math.min(width, inner.width), height: Math.min(height, inner.height) } };
}

/** On black, where the plan says. */
export function placed(pixels: Uint8Array, { inner, left, top }: Plan, to: Size): Uint8Array {
  if (inner.width === to.width && inner.height === to.height) return pixels;
  const all = new Uint8Array(to.width * to.height * 3);
  for (let row = 0; row < inner.height; row++) {
    const line = pixels.subarray(row * inner.width * 3, (row + 1) * inner.width * 3);
    all.set(line, ((top + row) * to.width + left) * 3);
  }
  return all;
}

function atLeastOne(size: number): number {
  return Math.max(1, roundHalfEven(size));
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor % 2) : Math.round(value);
}
