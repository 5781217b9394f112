/** How an input that comes as a file becomes a tensor. Declared in slipway.yaml, part of the signature and so of a version's digest. */
import type { TensorSpec } from './signature.ts';

export const IMAGE_LAYOUTS = ['NCHW', 'NHWC'] as const;
export const IMAGE_RESIZES = ['stretch', 'cover', 'contain'] as const;
export const IMAGE_FILTERS = ['nearest', 'linear', 'cubic', 'lanczos3'] as const;
export const IMAGE_COLORS = ['rgb', 'bgr', 'gray'] as const;
/** Sizes that a picture may be brought to, in pixels a side. */
export const MAX_IMAGE_SIDE = 4096;

export type ImageDecoder = {
  readonly kind: 'image';
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  readonly layout: (typeof IMAGE_LAYOUTS)[number];
  /** Order of the channels. */
  readonly color: (typeof IMAGE_COLORS)[number];
  readonly resize: (typeof IMAGE_RESIZES)[number];
  readonly filter: (typeof IMAGE_FILTERS)[number];
  /** An element is (pixel × scale - mean) / std, with pixels from 0 to 255, mean and std by channel in the order of `color`. */
  readonly scale: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
};

/** The body holds the elements as they lie in memory, little-endian. */
export type RawDecoder = { readonly kind: 'raw' };

export type InputDecoder = ImageDecoder | RawDecoder;

/** As slipway.yaml says it: what the shape says already may be left out. */
export type GivenDecoder = { readonly kind: InputDecoder['kind'] } & {
  readonly [key in Exclude<keyof ImageDecoder, 'kind' | 'scale' | 'mean' | 'std'>]?: ImageDecoder[key];
} & {
  /** A number, or a fraction such as `1/255`. */
  readonly scale?: number | string;
  readonly mean?: number | readonly number[];
  readonly std?: number | readonly number[];
};

export type DecoderFault = { readonly key: string; readonly message: string };

const IMAGE_DATATYPES: readonly TensorSpec['datatype'][] = ['UINT8', 'FP16', 'FP32', 'FP64'];

/** The whole decoder, with what the shape and the defaults say; or what does not fit the input. */
export function resolveDecoder(given: GivenDecoder, spec: TensorSpec): InputDecoder | readonly DecoderFault[] {
  return given.kind === 'raw' ? resolveRaw(given, spec) : resolveImage(given, spec);
}

function resolveRaw(given: GivenDecoder, spec: TensorSpec): RawDecoder | readonly DecoderFault[] {
  const others = Object.keys(given).filter((key) => key !== 'kind');
  if (others.length > 0)
    return others.map((key) => ({ key, message: 'belongs to images; raw bytes are taken as they are' }));
  if (spec.datatype === 'BYTES') return [{ key: 'kind', message: 'raw bytes cannot be told apart as strings' }];
  if (spec.shape.slice(1).includes(-1)) {
    return [{ key: 'kind', message: 'raw bytes do not say the size of a free dimension other than the first' }];
  }
  return { kind: 'raw' };
}

function resolveImage(given: GivenDecoder, spec: TensorSpec): ImageDecoder | readonly DecoderFault[] {
  const { shape, datatype } = spec;
  if (!IMAGE_DATATYPES.includes(datatype)) {
    return [{ key: 'kind', message: `an image becomes ${IMAGE_DATATYPES.join(', ')}, not ${datatype}` }];
  }
  if (shape.length !== 4 || (shape[0] !== -1 && shape[0] !== 1)) {
    return [
      {
        key: 'kind',
        message: `an image needs an input of 4 dimensions with a free first one, not [${shape.join(', ')}]`,
      },
    ];
  }
  const faults: DecoderFault[] = [];
  const wantedChannels = given.channels ?? (given.color === undefined ? undefined : given.color === 'gray' ? 1 : 3);
  const layout = given.layout ?? guessLayout(shape, wantedChannels);
  if (layout === null)
    return [{ key: 'layout', message: `the shape [${shape.join(', ')}] does not say whether it is NCHW or NHWC` }];
  const [c, h, w] = layout === 'NCHW' ? [shape[1]!, shape[2]!, shape[3]!] : [shape[3]!, shape[1]!, shape[2]!];
  const size = (key: 'width' | 'height', fixed: number): number => {
    const value = given[key] ?? fixed;
    if (value === -1) faults.push({ key, message: 'is needed, because the shape leaves it free' });
    else if (fixed !== -1 && value !== fixed) faults.push({ key, message: `the graph says ${fixed}` });
    else if (value < 1 || value > MAX_IMAGE_SIDE) faults.push({ key, message: `must be 1 to ${MAX_IMAGE_SIDE}` });
    return value;
  };
  const width = size('width', w);
  const height = size('height', h);
  const channels = wantedChannels ?? (c === -1 ? 3 : c);
  if (channels !== 1 && channels !== 3)
    faults.push({ key: 'channels', message: `an image has 1 or 3, not ${channels}` });
  else if (c !== -1 && c !== channels) faults.push({ key: 'channels', message: `the graph says ${c}` });
  const color = given.color ?? (channels === 1 ? 'gray' : 'rgb');
  if ((color === 'gray') !== (channels === 1)) {
    faults.push({ key: 'color', message: `${color} does not go with ${channels} channels` });
  }
  const perChannel = (key: 'mean' | 'std', neutral: number): readonly number[] => {
    const value = given[key] ?? neutral;
    if (typeof value === 'number') return new Array<number>(Math.max(1, channels)).fill(value);
    if (value.length !== channels)
      faults.push({ key, message: `has ${value.length} numbers for ${channels} channels` });
    return value;
  };
  const scale = scaleOf(given.scale ?? 1);
  if (!Number.isFinite(scale) || scale === 0) faults.push({ key: 'scale', message: 'must be a number other than 0' });
  const mean = perChannel('mean', 0);
  const std = perChannel('std', 1);
  if (std.includes(0)) faults.push({ key: 'std', message: 'must not be 0' });
  if (datatype === 'UINT8' && (scale !== 1 || mean.some((m) => m !== 0) || std.some((s) => s !== 1))) {
    faults.push({
      key: 'scale',
      message: 'pixels of a UINT8 input are taken as they are: leave scale, mean and std out',
    });
  }
  if (faults.length > 0) return faults;
  return {
    kind: 'image',
    width,
    height,
    channels: channels as 1 | 3,
    layout,
    color,
    resize: given.resize ?? 'stretch',
    filter: given.filter ?? 'linear',
    scale,
    mean,
    std,
  };
}

function scaleOf(given: number | string): number {
  if (typeof given === 'number') return given;
  const [over, under] = given.split('/');
  return Number(over) / Number(under);
}

function guessLayout(shape: readonly number[], channels: number | undefined): ImageDecoder['layout'] | null {
  const fits = (size: number): boolean => (channels === undefined ? size === 1 || size === 3 : size === channels);
  const [first, last] = [fits(shape[1]!), fits(shape[3]!)];
  return first === last ? null : first ? 'NCHW' : 'NHWC';
}

/** One line for people and for the difference between two signatures. */
export function decoderText(decoder: InputDecoder): string {
  return JSON.stringify(decoder, Object.keys(decoder).sort());
}
