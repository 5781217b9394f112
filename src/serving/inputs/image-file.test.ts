import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { type GivenDecoder, type ImageDecoder, resolveDecoder } from '../../registry/input-decoder.ts';
import type { TensorSpec } from '../../registry/signature.ts';
import type { NumericData } from '../tensors/tensor.ts';
import { decodeImage, elementsFor, ImageFault } from './image-file.ts';

const PICTURES = join(import.meta.dirname, '../../../test/fixtures/images');
const picture = (file: string): Buffer => readFileSync(join(PICTURES, file));
type Case = { file: string; decoder: Omit<GivenDecoder, 'kind'>; shape: number[]; elements: number[] };
const CASES = JSON.parse(picture('reference.json').toString()) as Case[];

const spec = (datatype: TensorSpec['datatype'] = 'FP32'): TensorSpec => ({
  name: 'image',
  datatype,
  shape: [-1, -1, -1, -1],
});

async function decode(
  file: Buffer,
  given: Omit<GivenDecoder, 'kind'>,
  datatype?: TensorSpec['datatype'],
): Promise<NumericData> {
  const decoder = resolveDecoder({ kind: 'image', ...given }, spec(datatype)) as ImageDecoder;
  const data = elementsFor(spec(datatype), decoder, 1);
  await decodeImage(file, decoder, spec(datatype), data, 0);
  return data;
}

/**
 * How far elements may be from those of Pillow, in levels of 256: the mean and the largest. Without a change of size, and enlarged, they
 * agree but for the rounding of transparency, of AVIF and of cut edges. Shrinking is done by libvips, which halves large pictures first. CMYK
 * goes through a colour profile, which Pillow does without.
 */
function tolerance({ file, decoder }: Case): [mean: number, most: number] {
  const { width, height, filter } = decoder;
  if (file === 'cmyk.jpg') return [30, 140];
  if (file === 'alpha.png' || file === 'rgb.avif') return [0.5, 1];
  if (filter === 'nearest' || (width === 24 && height === 16) || (width === 16 && height === 24)) return [1e-3, 1e-3];
  if (width! > 24 && height! > 16 && file !== 'flower.jpg') return [0.1, 1];
  return [1.7, 32];
}

describe('pictures become what Pillow and numpy make of them', () => {
  test.each(CASES.map((one): [string, Case] => [`${one.file} ${JSON.stringify(one.decoder)}`, one]))(
    '%s',
    async (_name, one) => {
      const data = await decode(picture(one.file), one.decoder);
      expect(data).toHaveLength(one.elements.length);
      const std = [one.decoder.std ?? 1].flat();
      const level = (one.decoder.scale as number | undefined) ?? 1;
      const apart = one.elements.map((value, at) => {
        const area = data.length / 3;
        const channel = std.length === 1 ? 0 : one.decoder.layout === 'NCHW' ? Math.floor(at / area) : at % 3;
        return (Math.abs(value - Number(data[at])) * std[channel]!) / level;
      });
      const [mean, most] = tolerance(one);
      expect(apart.reduce((sum, value) => sum + value, 0) / apart.length).toBeLessThanOrEqual(mean);
      expect(Math.max(...apart)).toBeLessThanOrEqual(most);
    },
  );

  test('there are pictures of every kind', () => {
    expect(new Set(CASES.map((one) => one.file)).size).toBe(13);
  });

  test('bytes and half floats hold the same pixels', async () => {
    const { decoder, elements } = CASES[0]!;
    expect([...(await decode(picture('rgb.png'), decoder, 'UINT8'))]).toEqual(elements);
    const halves = await decode(picture('rgb.png'), decoder, 'FP16');
    expect(halves).toBeInstanceOf(Uint16Array);
    const at = elements.indexOf(255);
    expect(halves[at]).toBe(0x5bf8); // 255 as a half
  });

  test('a picture goes into its own row', async () => {
    const decoder = resolveDecoder({ kind: 'image', width: 2, height: 2, layout: 'NCHW' }, spec()) as ImageDecoder;
    const data = elementsFor(spec(), decoder, 3);
    await decodeImage(picture('rgb.png'), decoder, spec(), data, 1);
    expect([...data.slice(0, 12), ...data.slice(24)].every((value) => Number(value) === 0)).toBe(true);
    expect([...data.slice(12, 24)].some((value) => Number(value) !== 0)).toBe(true);
  });
});

describe('what is no picture is refused', () => {
  const SIZE = { width: 8, height: 8, layout: 'NCHW' } as const;
  const refusal = async (file: Buffer): Promise<string> => {
    const error = await decode(file, SIZE).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ImageFault);
    return (error as Error).message;
  };
  const noise = (head: string, bytes: number): Buffer =>
    Buffer.concat([
      Buffer.from(head, 'latin1'),
      Buffer.from(Array.from({ length: bytes }, (_, at) => (at * 31) & 255)),
    ]);

  test.each([
    ['nothing', Buffer.alloc(0), /is empty/],
    ['text', Buffer.from('hello'), /no picture of a kind/],
    ['SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), /no picture of a kind/],
    ['PDF', Buffer.from('%PDF-1.7\n'), /no picture of a kind/],
    ['HEIC', Buffer.from('\0\0\0\x18ftypheic\0\0\0\0', 'latin1'), /no picture of a kind/],
    ['half a JPEG', picture('flower.jpg').subarray(0, 4000), /damaged/],
    ['half a PNG', picture('rgb.png').subarray(0, 200), /damaged/],
    ['half a WebP', picture('rgb.webp').subarray(0, 100), /damaged/],
    ['half a TIFF', picture('rgb.tif').subarray(0, 300), /damaged/],
    ['half an AVIF', picture('rgb.avif').subarray(0, 300), /damaged/],
    ['noise called JPEG', noise('\xff\xd8\xff', 2000), /damaged/],
    ['noise called GIF', noise('GIF89a', 2000), /damaged|million pixels/],
    ['noise called AVIF', noise('\0\0\0\x18ftypavif', 2000), /damaged/],
  ])('%s', async (_name, file, message) => {
    expect(await refusal(file)).toMatch(message);
  });

  test('a bomb: a few bytes that unfold to a billion pixels', async () => {
    const before = process.memoryUsage.rss();
    expect(await refusal(png(40_000, 40_000))).toMatch(/more than 64 million pixels/);
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 * 1024 * 1024);
  });

  test('every cut and every changed byte of a picture is read or refused', async () => {
    const files = ['rgb.png', 'rgb.jpg', 'palette.gif', 'rgb.webp', 'rgb.tif', 'rgb.avif'].map(picture);
    const seed = Date.now() % 100_000;
    let state = seed;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return state % below;
    };
    for (let round = 0; round < 120; round++) {
      const file = Buffer.from(files[round % files.length]!);
      const changed = round % 2 === 0 ? file.subarray(0, random(file.length)) : file;
      if (changed === file) for (let i = 0; i < 4; i++) file[random(file.length)] = random(256);
      const error = await decode(changed, SIZE).catch((thrown: unknown) => thrown);
      if (error instanceof Error) expect(error, `seed ${seed}, round ${round}`).toBeInstanceOf(ImageFault);
    }
  });
});

/** A PNG of one colour. */
function png(width: number, height: number): Buffer {
  const chunk = (type: string, data: Buffer): Buffer => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(data.length);
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const crc = Buffer.alloc(4);
    crc.writeUInt32BE(crc32(body));
    return Buffer.concat([head, body, crc]);
  };
  const ihdr = Buffer.alloc(13);
  ihdr.writeUInt32BE(width, 0);
  ihdr.writeUInt32BE(height, 4);
  ihdr.writeUInt8(1, 8); // one bit a pixel, gray
  const rows = Buffer.alloc(1000 * (1 + Math.ceil(width / 8)));
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', ihdr),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
