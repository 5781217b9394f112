/**
 * Enlarges a picture, as Pillow does to the bit: columns first, then rows, each rounded to 8 bits. libvips would lay its result half a pixel
 * beside. Runs on the event loop, in slices, because pictures that need enlarging are small.
 */
import { setImmediate } from 'node:timers/promises';
import type { ImageDecoder } from '../../registry/input-decoder.ts';

export type Size = { readonly width: number; readonly height: number };
export type Box = Size & { readonly left: number; readonly top: number };

type Filter = { readonly support: number; readonly weight: (distance: number) => number };
/** Weights of this many bits, as in Pillow's `Resample.c`. */
const PRECISION = 22;
/** Multiplications between two turns of the event loop: about a millisecond. */
const SLICE = 500_000;
const CHANNELS = 3;

const FILTERS: Readonly<Record<ImageDecoder['filter'], Filter | null>> = {
  nearest: null,
  linear: { support: 1, weight: (distance) => Math.max(0, 1 - Math.abs(distance)) },
  /** Keys (1981) with a = -0.5, the Catmull-Rom spline. */
  cubic: {
    support: 2,
    weight(distance) {
      const x = Math.abs(distance);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
    },
  },
  lanczos3: { support: 3, weight: (distance) => (Math.abs(distance) < 3 ? sinc(distance) * sinc(distance / 3) : 0) },
};

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/**
 * @param pixels red, green and blue in turn, row by row
 * @param box what of them becomes the whole of `to`; it may begin and end within a pixel
 */
export async function enlarged(
  pixels: Uint8Array,
  from: Size,
  box: Box,
  to: Size,
  filter: ImageDecoder['filter'],
): Promise<Uint8Array> {
  const across = weightsOf(from.width, box.left, box.width, to.width, FILTERS[filter]);
  // Pixels of a row lie beside one another; lines are its rows.
  const rows = { count: from.height, step: from.width * CHANNELS };
  const wide = await along(pixels, across, CHANNELS, rows, CHANNELS);
  const down = weightsOf(from.height, box.top, box.height, to.height, FILTERS[filter]);
  const row = to.width * CHANNELS;
  return along(wide, down, row, { count: 1, step: 0 }, row);
}

/**
 * Makes each line longer.
 * @param step how far one place of a line lies from the next
 * @param lines how many, and how far one begins from the next
 * @param width values that lie side by side at each place and are treated alike
 */
async function along(
  source: Uint8Array,
  places: readonly Place[],
  step: number,
  lines: { readonly count: number; readonly step: number },
  width: number,
): Promise<Uint8Array> {
  const target = new Uint8Array(lines.count * places.length * step);
  let work = 0;
  for (let line = 0; line < lines.count; line++) {
    for (let place = 0; place < places.length; place++) {
      const { first, weights } = places[place]!;
      const start = line * lines.step + first * step;
      const end = (line * places.length + place) * step;
      for (let value = 0; value < width; value++) {
        let sum = 1 << (PRECISION - 1);
        for (let i = 0; i < weights.length; i++) sum += source[start + i * step + value]! * weights[i]!;
        const rounded = sum >> PRECISION;
        target[end + value] = rounded < 0 ? 0 : rounded > 255 ? 255 : rounded;
      }
      work += width * weights.length;
      if (work > SLICE) {
        work = 0;
        await setImmediate();
      }
    }
  }
  return target;
}

/** Where the weights of a place begin on the shorter line. */
type Place = { readonly first: number; readonly weights: Int32Array };

/** Centres of pixels lie on centres. */
function weightsOf(from: number, start: number, extent: number, to: number, filter: Filter | null): Place[] {
  const scale = extent / to;
  if (filter === null) return nearest(from, start, scale, to);
  const stretch = Math.max(1, scale);
  return Array.from({ length: to }, (_, place) => {
    const center = start + (place + 0.5) * scale;
    const support = filter.support * stretch;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(from, Math.trunc(center + support + 0.5));
    const weights = Array.from({ length: end - first }, (_, at) =>
      filter.weight((first + at - center + 0.5) / stretch),
    );
    const sum = weights.reduce((total, one) => total + one, 0);
    return { first, weights: Int32Array.from(weights, (one) => Math.round((one / sum) * 2 ** PRECISION)) };
  });
}

/** Ties fall as they do where steps are added up. */
function nearest(from: number, start: number, scale: number, to: number): Place[] {
  let center = start + scale / 2;
  return Array.from({ length: to }, () => {
    const first = Math.min(from - 1, Math.trunc(center));
    center += scale;
    return { first, weights: Int32Array.of(2 ** PRECISION) };
  });
}
