/**
 * Picture files as the elements of a tensor, with sharp (libvips). sharp is loaded with the first picture, decodes in its own threads, and
 * is held to a few formats, a number of pixels and a time.
 */
import { availableParallelism } from 'node:os';
import type { Sharp } from 'sharp';
import { SlipwayError } from '../../base/errors.ts';
import type { ImageDecoder } from '../../registry/input-decoder.ts';
import type { TensorSpec } from '../../registry/signature.ts';
import { datatypeInfo } from '../tensors/datatype.ts';
import { float16BitsOf } from '../tensors/half.ts';
import type { NumericData } from '../tensors/tensor.ts';
import { enlarged, type Size } from './image-enlarge.ts';
import { neededOf, type Plan, placed, planOf } from './image-plan.ts';

/** Telephones make pictures of 50 million pixels. Larger ones are refused before they are decoded. */
const MAX_PIXELS = 64_000_000;
const MAX_SECONDS = 20;
/** Decoded at one time; each may need up to 4 bytes a pixel. One thread of the pool stays free for files and compression. */
const MAX_AT_ONCE = Math.max(1, Math.min(2, availableParallelism()));
/** A picture that cannot be taken; the message is said of it. */
export class ImageFault extends Error {}

type Format = { readonly name: string; readonly loader: string; readonly matches: (bytes: Buffer) => boolean };

const ascii = (bytes: Buffer, from: number, to: number): string => bytes.toString('latin1', from, to);
/** What is decoded. Nothing that is drawn (SVG, PDF), and nothing that calls other programs. */
const FORMATS: readonly Format[] = [
  { name: 'JPEG', loader: 'Jpeg', matches: (bytes) => ascii(bytes, 0, 3) === '\xff\xd8\xff' },
  { name: 'PNG', loader: 'Png', matches: (bytes) => ascii(bytes, 0, 8) === '\x89PNG\r\n\x1a\n' },
  {
    name: 'WebP',
    loader: 'Webp',
    matches: (bytes) => ascii(bytes, 0, 4) === 'RIFF' && ascii(bytes, 8, 12) === 'WEBP',
  },
  { name: 'GIF', loader: 'Nsgif', matches: (bytes) => /^GIF8[79]a/.test(ascii(bytes, 0, 6)) },
  { name: 'TIFF', loader: 'Tiff', matches: (bytes) => /^(II\*\0|MM\0\*)/.test(ascii(bytes, 0, 4)) },
  { name: 'AVIF', loader: 'Heif', matches: (bytes) => /^ftypavi[fs]/.test(ascii(bytes, 4, 12)) },
];
const FORMAT_NAMES = FORMATS.map((format) => format.name).join(', ');

type SharpLibrary = typeof import('sharp')['default'];
let loaded: Promise<SharpLibrary> | null = null;

function loadSharp(): Promise<SharpLibrary> {
  loaded ??= import('sharp').then(({ default: sharp }) => {
    sharp.cache(false);
    sharp.concurrency(1);
    sharp.block({ operation: ['VipsForeignLoad'] });
    sharp.unblock({ operation: FORMATS.map((format) => `VipsForeignLoad${format.loader}`) });
    return sharp;
  });
  return loaded;
}

let running = 0;
const waiting: (() => void)[] = [];

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= MAX_AT_ONCE) {
    // Whoever ends hands its place over, so `running` stays as it is.
    await new Promise<void>((resolve) => waiting.push(resolve));
  } else running += 1;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  }
}

/**
 * Writes one picture into its row of a tensor.
 * @param data elements of the whole tensor, of the type that `elementsFor` gives
 * @param isWanted asked when it is this picture's turn
 * @throws ImageFault, SlipwayError `deadline_exceeded` when it is not wanted any more
 */
export async function decodeImage(
  file: Uint8Array,
  decoder: ImageDecoder,
  spec: TensorSpec,
  data: NumericData,
  row: number,
  isWanted: () => boolean = () => true,
): Promise<void> {
  const bytes = Buffer.from(file.buffer as ArrayBuffer, file.byteOffset, file.byteLength);
  if (!FORMATS.some((format) => format.matches(bytes))) {
    throw new ImageFault(bytes.length === 0 ? 'is empty' : `is no picture of a kind that is taken: ${FORMAT_NAMES}`);
  }
  const pixels = await inTurn(() => {
    if (isWanted()) return readPixels(bytes, decoder);
    throw new SlipwayError('deadline_exceeded', 'The deadline passed before all pictures were decoded', {
      hint: 'Send fewer pictures at once, or a larger X-Request-Timeout-Ms.',
    });
  });
  storePixels(pixels, decoder, spec, data, row * decoder.width * decoder.height * decoder.channels);
}

/** Pixels of the wanted size, 8 bits, red, green and blue in turn: turned upright, transparency on white, other colour spaces as sRGB. */
async function readPixels(bytes: Buffer, decoder: ImageDecoder): Promise<Uint8Array> {
  const sharp = await loadSharp();
  const { width, height, filter } = decoder;
  try {
    const image = sharp(bytes, { limitInputPixels: MAX_PIXELS, failOn: 'error', autoOrient: true, pages: 1 });
    const { autoOrient } = await image.metadata();
    const upright = image.toColourspace('srgb').flatten({ background: '#ffffff' });
    const plan = planOf(autoOrient, decoder);
    const { box, inner } = plan;
    if (box.width >= inner.width && box.height >= inner.height) {
      return await pixelsOf(resized(upright, plan, decoder), { width, height });
    }
    // Only what is seen, and is not shrunk in one direction before it is enlarged in the other.
    const { part, kept } = neededOf(plan, autoOrient);
    const small = upright.extract(part).resize(kept.width, kept.height, { fit: 'fill', ...optionsOf(decoder) });
    const inPart = {
      left: box.left - part.left,
      top: box.top - part.top,
      width: (box.width * kept.width) / part.width,
      height: (box.height * kept.height) / part.height,
    };
    return placed(await enlarged(await pixelsOf(small, kept), kept, inPart, inner, filter), plan, { width, height });
  } catch (error) {
    throw new ImageFault(reasonOf(error), { cause: error });
  }
}

async function pixelsOf(image: Sharp, size: Size): Promise<Uint8Array> {
  const { data, info } = await image
    .removeAlpha()
    .raw({ depth: 'uchar' })
    .timeout({ seconds: MAX_SECONDS })
    .toBuffer({ resolveWithObject: true });
  if (info.width !== size.width || info.height !== size.height) {
    throw new Error(`sharp made ${info.width} × ${info.height}`);
  }
  return info.channels === 3 ? data : tripled(data, info.channels);
}

function optionsOf({ filter }: ImageDecoder) {
  return { kernel: filter, fastShrinkOnLoad: false };
}

function resized(image: Sharp, { inner, left, top }: Plan, decoder: ImageDecoder): Sharp {
  const { width, height, resize } = decoder;
  if (resize === 'cover') return image.resize(width, height, { fit: 'cover', ...optionsOf(decoder) });
  const within = image.resize(inner.width, inner.height, { fit: 'fill', ...optionsOf(decoder) });
  if (resize === 'stretch') return within;
  const [right, bottom] = [width - inner.width - left, height - inner.height - top];
  return within.extend({ top, bottom, left, right, background: '#000000' });
}

/** Gray pictures may come out with one channel. */
function tripled(data: Uint8Array, channels: number): Uint8Array {
  const pixels = data.length / channels;
  const all = new Uint8Array(pixels * 3);
  for (let at = 0; at < pixels; at++) all.fill(data[at * channels]!, at * 3, at * 3 + 3);
  return all;
}

/** libvips speaks of its own inner workings; what a caller can do with it is little. */
function reasonOf(error: unknown): string {
  const said = error instanceof Error ? error.message : '';
  if (/pixel limit/i.test(said)) return `has more than ${MAX_PIXELS / 1_000_000} million pixels`;
  if (/timeout/i.test(said)) return `takes longer than ${MAX_SECONDS} s to decode`;
  return 'is a damaged picture, or of a kind that is not taken';
}

/** Space for `rows` pictures. */
export function elementsFor(spec: TensorSpec, decoder: ImageDecoder, rows: number): NumericData {
  return new (datatypeInfo(spec.datatype).array!)(rows * decoder.width * decoder.height * decoder.channels);
}

function storePixels(
  pixels: Uint8Array,
  { width, height, channels, layout, color, scale, mean, std }: ImageDecoder,
  { datatype }: TensorSpec,
  data: NumericData,
  start: number,
): void {
  const area = width * height;
  const target = data as Float32Array;
  for (let channel = 0; channel < channels; channel++) {
    const table = valuesOf(datatype, scale, mean[channel]!, std[channel]!);
    const source = color === 'bgr' ? 2 - channel : channel;
    const [step, first] = layout === 'NCHW' ? [1, start + channel * area] : [channels, start + channel];
    for (let at = 0; at < area; at++) {
      const pixel = color === 'gray' ? lumaOf(pixels, at * 3) : pixels[at * 3 + source]!;
      target[first + at * step] = table[pixel]!;
    }
  }
}

/** Luma of ITU-R BT.601 with the rounding of common image libraries (weights in 1/65536). */
function lumaOf(pixels: Uint8Array, at: number): number {
  return (pixels[at]! * 19_595 + pixels[at + 1]! * 38_470 + pixels[at + 2]! * 7_471 + 0x8000) >> 16;
}

/** What each of the 256 values of a pixel becomes. */
function valuesOf(datatype: TensorSpec['datatype'], scale: number, mean: number, std: number): Float64Array {
  return Float64Array.from({ length: 256 }, (_, pixel) => {
    const value = (pixel * scale - mean) / std;
    return datatype === 'FP16' ? float16BitsOf(value) : value;
  });
}
