import type { Signature, SignatureChange, TensorSpec } from '../../sdk/src/types.ts';
import { cleanLine, type Paint, table } from './terminal.ts';

export function shapeText(spec: TensorSpec): string {
  if (spec.shape.length === 0) return 'scalar';
  return `[${spec.shape.map((size, at) => (size === -1 ? (spec.symbols?.[at] ?? '?') : String(size))).join(', ')}]`;
}

const MANY = 8;

function namesText(names: readonly string[] | undefined, word: string): string {
  if (names === undefined || names.length === 0) return '';
  const shown = names.slice(0, MANY).join(', ');
  return names.length > MANY ? `${word} ${shown}, … ${names.length} in all` : `${word} ${shown}`;
}

function decoderText({ decoder }: TensorSpec): string {
  if (decoder === undefined) return '';
  if (decoder.kind === 'raw') return 'takes raw bytes';
  const { width, height, color, layout, resize, filter, scale, mean, std } = decoder;
  const parts = [`takes images: ${width} × ${height} ${color}`, layout, `${resize} ${filter}`];
  if (scale !== 1) parts.push(`× ${Number(scale.toPrecision(6))}`);
  if (mean.some((value) => value !== 0)) parts.push(`mean ${mean.join(' ')}`);
  if (std.some((value) => value !== 1)) parts.push(`std ${std.join(' ')}`);
  return parts.join(', ');
}

/** Inputs and outputs as one table. */
export function signatureTable(signature: Signature, paint: Paint): string {
  const row = (direction: string, spec: TensorSpec): string[] => [
    direction,
    cleanLine(spec.name),
    spec.datatype,
    cleanLine(shapeText(spec)),
    cleanLine(
      [
        spec.optional ? 'optional' : '',
        decoderText(spec),
        spec.pad === undefined
          ? ''
          : `padded at the end of dimension ${spec.pad.axis} with ${JSON.stringify(spec.pad.value)}`,
        namesText(spec.features, 'features'),
        namesText(spec.labels, 'classes'),
      ]
        .filter((part) => part !== '')
        .join('; '),
    ),
  ];
  const rows = [
    ...signature.inputs.map((spec) => row('in', spec)),
    ...signature.outputs.map((spec) => row('out', spec)),
  ];
  return table([{ title: '' }, { title: 'name' }, { title: 'type' }, { title: 'shape' }, { title: '' }], rows, paint);
}

const SIGNS: Record<SignatureChange['change'], string> = { added: '+', removed: '-', changed: '~' };

/** What changed, breaking changes first. */
export function diffText(changes: readonly SignatureChange[], paint: Paint): string {
  if (changes.length === 0) return 'No change of the signature\n';
  const ordered = [...changes].sort((a, b) => Number(b.breaking) - Number(a.breaking));
  return ordered
    .map((change) => {
      const values =
        change.from === null ? (change.to ?? '') : change.to === null ? change.from : `${change.from} → ${change.to}`;
      const line = `${SIGNS[change.change]} ${cleanLine(change.path)}  ${cleanLine(values)}`;
      const why = change.breaking
        ? paint('red', `  breaking: ${cleanLine(change.reason)}`)
        : paint('dim', `  ${cleanLine(change.reason)}`);
      return `  ${line}${why}\n`;
    })
    .join('');
}
